"""Pods that stay unready for a known reason are an incident without an alert; what only takes its time is none."""

from collections.abc import Mapping, Sequence

import pytest

from telemetry.target import Phase, Target
from tests.oncall.memory_record import MemoryRecord
from tests.oncall.pods import KnownPods, pod
from tests.oncall.test_joining import NOW
from triage.oncall.alertmanager import Told
from triage.oncall.incident import Alert, Incident
from triage.oncall.incidents import Incidents
from triage.oncall.unready import ALERT, UnreadyPods

AFTER = 120.0
UNREADY = pod("web-1", ready=False)


class Night:
    """The looks of one night: pods, what their Tritons say, and the time, as one sets them."""

    def __init__(self, *pods: Target, listed: bool = True) -> None:
        self.pods = KnownPods(*pods, listed=listed)
        self.failed: Mapping[str, Sequence[str]] = {"web-1": ["resnet50"]}
        self.now = NOW
        self.asked: list[str] = []
        self.record = MemoryRecord()
        self.incidents = Incidents(self.record, lambda: self.now, ("p99", "load-failure"))
        self.looking = UnreadyPods(self.pods, self.incidents, AFTER, self._failed, lambda: self.now)

    async def _failed(self, target: Target) -> Sequence[str]:
        self.asked.append(target.key.pod)
        return self.failed.get(target.key.pod, ())

    async def look(self, *pods: Target, seconds: float = 0.0) -> Sequence[Incident]:
        """After so long, with these pods if any are given."""
        if pods:
            self.pods.set(*pods)
        self.now += seconds
        await self.looking.look()
        return self.incidents.all()

    async def only(self, *pods: Target, seconds: float = 0.0) -> Incident:
        (one,) = await self.look(*pods, seconds=seconds)
        return one


async def test_a_failed_model_is_told_once_its_pod_has_been_unready_for_long() -> None:
    night = Night(UNREADY, pod("web-2"))
    assert not await night.look()
    assert not await night.look(seconds=AFTER - 1)
    one = await night.only(seconds=1)
    assert (one.key, one.began) == (("prod", "deployment/web", "load-failure"), "unready_pods")
    (alert,) = one.alerts
    assert (alert.name, alert.starts_at) == (ALERT, NOW)
    assert alert.summary == "1 pod not ready for 2 minutes; failed to load: resnet50"


async def test_while_it_is_open_nobody_is_asked_again_and_it_is_heard_of() -> None:
    night = Night(UNREADY)
    await night.look()
    one = await night.only(seconds=AFTER)
    night.asked.clear()
    assert await night.only(seconds=5000) == one
    assert not night.asked
    assert night.incidents.heard_at(one.name) == night.now


@pytest.mark.parametrize(
    ("given", "failed"),
    [
        (UNREADY, {}),  # it loads, was told to unload a model, or does not answer
        (pod("web-1", ready=False, phase=Phase.STARTING), {"web-1": ["resnet50"]}),
        (pod("web-1", ready=False, phase=Phase.TERMINATING), {"web-1": ["resnet50"]}),
        (pod("web-1", ready=True), {"web-1": ["resnet50"]}),
        (pod("web-1", ready=False, phase=Phase.STOPPED, finished=True), {}),  # evicted, or a job that is done
    ],
)
async def test_what_is_no_load_failure_for_all_we_know_is_no_incident(
    given: Target, failed: Mapping[str, Sequence[str]]
) -> None:
    night = Night(given)
    night.failed = failed
    await night.look()
    assert not await night.look(seconds=9000)


async def test_a_server_that_ends_again_and_again_is_told() -> None:
    down, up = pod("web-1", ready=False, phase=Phase.STOPPED), pod("web-1", ready=False)
    night = Night(up)
    night.failed = {}
    for given in (up, down, up):
        assert not await night.look(given, seconds=50)
    one = await night.only(down, seconds=50)
    assert "the server of web-1 ended and is not running" in one.alerts[0].summary


async def test_it_ends_when_all_pods_are_ready_or_there_is_none_any_more() -> None:
    for after in ([pod("web-1")], [pod("api-1", "api")]):
        night = Night(UNREADY)
        await night.look()
        await night.look(seconds=AFTER)
        night.pods.set(*after)
        assert (await night.only(seconds=5)).state == "resolved"


async def test_an_evicted_pod_beside_ready_ones_keeps_nothing_open() -> None:
    night = Night(UNREADY)
    await night.look()
    await night.look(seconds=AFTER)
    evicted = pod("web-1", ready=False, phase=Phase.STOPPED, finished=True)
    assert (await night.only(evicted, pod("web-2"), seconds=5)).state == "resolved"


async def test_one_that_is_ready_and_fails_again_is_the_same_incident() -> None:
    night = Night(UNREADY)
    await night.look()
    await night.look(seconds=AFTER)
    await night.look(pod("web-1"), seconds=5)
    await night.look(UNREADY, seconds=60)
    one = await night.only(seconds=AFTER)
    assert (one.state, one.reopened, len(one.alerts)) == ("open", 1, 1)


async def test_flapping_readiness_is_not_long() -> None:
    night = Night(UNREADY)
    for _ in range(20):
        assert not await night.look(UNREADY, seconds=AFTER - 1)
        assert not await night.look(pod("web-1"), seconds=1)


async def test_an_alert_joins_it_and_the_last_of_both_ends_it() -> None:
    night = Night(UNREADY)
    await night.look()
    await night.look(seconds=AFTER)
    alert = Alert(fingerprint="f", name="A", starts_at=night.now)
    fires = Told(alert=alert, tree="load-failure", namespace="prod", workload="deployment/web")
    assert await night.incidents.take([fires]) == ("joined",)
    assert (await night.only(pod("web-1"), seconds=5)).state == "open"
    ended = Alert(fingerprint="f", name="A", starts_at=alert.starts_at, firing=False, ends_at=night.now)
    assert await night.incidents.take(
        [Told(alert=ended, tree="load-failure", namespace="prod", workload="deployment/web")]
    ) == ("resolved",)


async def test_before_the_pods_are_listed_nothing_is_known() -> None:
    """What an earlier run kept does not end because no pod is known yet."""
    night = Night(UNREADY)
    await night.look()
    one = await night.only(seconds=AFTER)
    again = Night(listed=False)
    again.record.kept = {one.name: one}
    await again.incidents.load()
    assert (await again.only(seconds=9000)).state == "open"


async def test_a_record_that_is_away_is_told_at_the_next_look() -> None:
    night = Night(UNREADY)
    await night.look()
    night.record.away = True
    assert not await night.look(seconds=AFTER)
    night.record.away = False
    assert await night.only(seconds=5)


async def test_of_a_large_fleet_a_few_are_asked() -> None:
    many = [pod(f"web-{n}", ready=False) for n in range(500)]
    night = Night(*many)
    night.failed = {}
    await night.look()
    await night.look(seconds=AFTER)
    assert len(night.asked) <= 20


async def test_the_clock_going_back_tells_nothing_early() -> None:
    night = Night(UNREADY)
    await night.look()
    assert not await night.look(seconds=-4000)
    assert not await night.look(seconds=AFTER)
