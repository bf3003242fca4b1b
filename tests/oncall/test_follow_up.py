"""After the alerts have ended: what was measured says whether it worked, and then the incident is closed."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.oncall.memory_record import MemoryRecord
from tests.oncall.test_joining import NOW
from tests.oncall.values import INCIDENT, report
from triage.oncall.child import TriageFailedError
from triage.oncall.follow_up import FollowUp, outcome_of
from triage.oncall.incident import Incident, Outcome
from triage.oncall.incidents import Incidents
from triage.oncall.job import Job, Said
from triage.oncall.joining import REOPENS_SECONDS, reopen, resolve
from triage.report import Chart, Curve, Report

AFTER = 600.0
ENDED = msgspec.structs.replace(INCIDENT, name="web", state="resolved", resolved_at=NOW)
CALM = report("recovered", "confirmed", headline="NOTHING TO DO: all is as usual.")


def ended(**more: Any) -> Incident:
    return msgspec.structs.replace(ENDED, **more)


class Later:
    """Looks at times that one sets; what the child would say is `told`."""

    def __init__(self, *incidents: Incident, told: Report | Exception = CALM) -> None:
        self.now = NOW
        self.told: Report | Exception = told
        self.meanwhile: Callable[[], Any] = lambda: None
        self.asked = 0
        self.record = MemoryRecord(*incidents)
        self.incidents = Incidents(self.record, lambda: self.now, ("p99", "load-failure"))
        self.follow_up = FollowUp(self.incidents, self._job, AFTER, self._run, lambda: self.now)

    def _job(self, incident: Incident) -> Job:
        return Job(tree=incident.tree, namespace="prod", target=incident.workload, start=0.0, end=1.0)

    async def _run(self, job: Job, on_said: Callable[[Said], None]) -> Said:
        self.asked += 1
        self.meanwhile()
        if isinstance(self.told, Exception):
            raise self.told
        return Said(kind="report", report=self.told)

    async def look(self, seconds: float = 0.0) -> Incident:
        self.now += seconds
        if not self.incidents.all():
            await self.incidents.load()
        await self.follow_up.look()
        (one,) = self.incidents.all()
        assert self.record.kept == {one.name: one}
        return one


@pytest.mark.parametrize(
    ("told", "worked", "says"),
    [
        (CALM, "yes", "NOTHING TO DO"),
        (report(), "no", "Install torch"),
        (report("cannot_tell", "cannot_tell", headline="CANNOT TELL: nobody answers."), "unknown", "nobody"),
        (TriageFailedError("no report within 120 s"), "unknown", "could not be looked at: no report within"),
        (OSError("no more processes"), "unknown", "could not be looked at: no more processes"),
        (LookupError("nobody thought of this"), "unknown", "failed on it (LookupError)"),
    ],
)
async def test_what_is_measured_later_says_whether_it_worked(
    told: Report | Exception, worked: str, says: str
) -> None:
    later = Later(ENDED, told=told)
    assert (await later.look(AFTER - 1)).outcome is None
    outcome = (await later.look(1)).outcome
    assert outcome is not None
    assert (outcome.worked, outcome.at) == (worked, NOW + AFTER)
    assert says in outcome.said
    await later.look(60)
    assert later.asked == 1


async def test_it_is_closed_once_it_can_reopen_no_more() -> None:
    later = Later(ENDED)
    await later.look(AFTER)
    assert (await later.look(REOPENS_SECONDS - AFTER)).state == "resolved"
    assert (await later.look(1)).state == "closed"


@pytest.mark.parametrize("work", ["waiting", "running"])
async def test_it_is_neither_followed_nor_closed_while_its_triage_waits(work: str) -> None:
    later = Later(ended(report=None))
    await later.incidents.load()
    await later.incidents.change("web", lambda one: ended(work=work, report=None))
    assert await later.look(9 * REOPENS_SECONDS) == ended(work=work, report=None)
    assert later.asked == 0


@pytest.mark.parametrize(
    "more", [{"report": None, "work": "failed", "failure": "killed"}, {"refused": "gone", "work": "done"}]
)
async def test_what_was_not_looked_at_is_closed_without_an_outcome(more: dict[str, Any]) -> None:
    later = Later(ended(**more))
    assert (await later.look(AFTER)).outcome is None
    assert (await later.look(REOPENS_SECONDS)).state == "closed"
    assert later.asked == 0


@pytest.mark.parametrize("state", ["open", "closed"])
async def test_what_has_not_ended_or_is_closed_is_left_alone(state: str) -> None:
    later = Later(ended(state=state))
    assert await later.look(9 * REOPENS_SECONDS) == ended(state=state)
    assert later.asked == 0


async def test_one_that_came_again_meanwhile_has_no_outcome_of_before() -> None:
    later = Later(ENDED)
    await later.incidents.load()
    later.meanwhile = lambda: later.incidents.show("web", reopen)
    later.now += AFTER
    await later.follow_up.look()
    assert [(one.state, one.outcome) for one in later.incidents.all()] == [("open", None)]


async def test_one_that_came_again_and_ended_again_meanwhile_is_looked_at_anew() -> None:
    later = Later(ENDED)
    later.meanwhile = lambda: later.incidents.show(
        "web", lambda one: msgspec.structs.replace(resolve(reopen(one), later.now), work="done")
    )
    assert (await later.look(AFTER)).outcome is None
    later.meanwhile = lambda: None
    assert (await later.look(AFTER)).outcome is not None
    assert later.asked == 2


async def test_a_record_that_is_away_holds_nothing_up() -> None:
    later = Later(ENDED)
    await later.incidents.load()
    later.record.away = True
    later.now += AFTER
    async with asyncio.timeout(1):
        await later.follow_up.look()
    assert later.incidents.all()[0].outcome is not None
    later.record.away = False
    await later.incidents.check()
    assert later.record.kept["web"].outcome is not None


def chart(*values: float | None, step: float = 60.0, usual: tuple[float, float] | None = None) -> Chart:
    return Chart(
        title="99th percentile",
        unit="ms",
        start=NOW,
        step=step,
        curves=(Curve(label="web", values=values),),
        usual=usual,
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            chart(900.0, 900.0, *[280.0] * 5, usual=(250.0, 300.0)),
            "280 ms over the last 5 minutes, 900 ms at most",
        ),
        (chart(900.0, *[None] * 5), "nothing was measured in the last 5 minutes"),
        (chart(), "nothing was measured"),
        (chart(1.0, step=0.0), "1 ms over the last 5 minutes"),
    ],
)
def test_the_verification_query_is_told_and_a_gap_is_no_zero(given: Chart, says: str) -> None:
    said = outcome_of(ENDED, msgspec.structs.replace(CALM, charts=(given,)), NOW)
    assert isinstance(said, Outcome)
    assert says in said.said
