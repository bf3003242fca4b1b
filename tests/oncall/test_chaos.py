"""Nights at random: a record that fails before or after it wrote, triages that fail, restarts, and alerts in any order."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.oncall.memory_record import MemoryRecord
from tests.oncall.test_joining import NOW, told
from tests.oncall.test_triaging import until
from tests.oncall.values import report
from triage.oncall.alertmanager import Told
from triage.oncall.audit import Audit
from triage.oncall.child import TriageFailedError
from triage.oncall.follow_up import FollowUp
from triage.oncall.incident import Incident, Posted
from triage.oncall.incidents import Incidents
from triage.oncall.job import Job, Said
from triage.oncall.own_metrics import OncallMetrics
from triage.oncall.posting import PostedIncidents
from triage.oncall.record import RecordError
from triage.oncall.retention import Retention
from triage.oncall.triaging import Triaging
from triage.slack.outbox import RecordAway

STEPS = 80
WORKLOADS = ("deployment/web", "deployment/api", "statefulset/llm", "pod/web-1")
TREES = ("p99", "load-failure")


class RandomRecord(MemoryRecord):
    """Fails a part of its writes, some of them after they arrived."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self.fails = 0.0

    async def save(self, incident: Incident) -> None:
        for _ in range(self._rng.randrange(20)):
            await asyncio.sleep(0)
        fails, late = self._rng.random() < self.fails, self._rng.random() < 0.5
        if not fails or late:
            self._keep(incident)
        if fails:
            raise RecordError("the record failed")

    async def remove(self, name: str) -> None:
        if self._rng.random() < self.fails:
            raise RecordError("the record failed")
        await super().remove(name)

    async def check(self) -> None:
        if self._rng.random() < self.fails:
            raise RecordError("the record failed")

    def _keep(self, incident: Incident) -> None:
        before = self.kept.get(incident.name)
        if before is not None and before.report is not None and not before.preliminary:
            assert incident.report is not None, "a report is lost"
            assert not incident.preliminary, "a report is replaced by less than it was"
        self.kept[incident.name] = incident


class Night:
    """The service's parts over one record, as they are between two restarts."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.record = RandomRecord(self.rng)
        self.now = NOW
        self.told: dict[tuple[str, str], bool | None] = {}
        """By workload and tree, and fingerprint: whether it fires by what was acknowledged last; None where nobody knows."""
        self.jobs_fail = 0.3
        self._folder = folder

    async def start(self) -> None:
        self.incidents = Incidents(self.record, lambda: self.now, TREES)
        await self.incidents.load()
        assert all(one.work != "running" for one in self.incidents.all())
        self.follow_up = FollowUp(self.incidents, job, 600.0, self._run, lambda: self.now)
        self.retention = Retention(
            self.incidents, self._folder / "none", 3600.0, 20, 1 << 20, lambda: self.now
        )
        self.posted = PostedIncidents(self.incidents)
        triaging = Triaging(
            self.incidents, job, refuse, OncallMetrics(), Audit(self._folder), 2, self._run, 0.001
        )
        self.incidents.changed.append(triaging.changed)
        self._triaging = asyncio.create_task(triaging.run())

    async def kill(self) -> None:
        """What is in memory alone is gone."""
        assert not self._triaging.done(), self._triaging.exception()
        self._triaging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._triaging

    async def step(self) -> None:
        doing: Sequence[Callable[[], object]] = (
            self.notify, self.notify, self.notify, self.later, self.follow_up.look, self.retention.look,
            self.post, self.incidents.check, self.breathe, self.weather, self.restart,
        )  # fmt: skip
        await self.rng.choice(doing)()  # type: ignore[misc]
        self.look()

    def look(self) -> None:
        kept = [one.key for one in self.incidents.all() if one.state == "open"]
        assert len(kept) == len(set(kept)), "two open incidents of one workload and tree"

    async def notify(self) -> None:
        """Some notifications at the same time; of an alert that more than one of them tells nobody knows which came last."""
        sent = [
            [self._alert() for _ in range(self.rng.randrange(1, 5))] for _ in range(self.rng.randrange(1, 4))
        ]
        taken = await asyncio.gather(*map(self.incidents.take, sent), return_exceptions=True)
        each = Counter(known_as(one) for notification in sent for one in notification)
        for notification, answer in zip(sent, taken, strict=True):
            assert not isinstance(answer, BaseException) or isinstance(answer, RecordError), answer
            for one in notification:
                known = not isinstance(answer, BaseException) and each[known_as(one)] == 1
                self.told[known_as(one)] = one.alert.firing if known else None

    def _alert(self) -> Told:
        workload, tree = self.rng.choice(WORKLOADS), self.rng.choice(TREES)
        fingerprint = f"{workload} {tree} {self.rng.randrange(3)}"
        fires = self.rng.random() < 0.6
        return told(fingerprint, firing=fires, workload=workload, tree=tree, starts=self.now)

    async def later(self) -> None:
        """Or earlier: clocks are set back."""
        self.now += self.rng.choice((1.0, 30.0, 700.0, 4000.0, -300.0))

    async def post(self) -> None:
        for one in self.incidents.all():
            if self.rng.random() < 0.3:
                part = self.rng.choice(("root", "details", "resolved"))
                try:
                    await self.posted.note(one.name, part, Posted(digest="d", ts="1"), "C1")
                except RecordAway:
                    continue
                assert part in self.record.kept[one.name].posted

    async def breathe(self) -> None:
        for _ in range(self.rng.randrange(50)):
            await asyncio.sleep(0)

    async def weather(self) -> None:
        self.record.fails = self.rng.choice((0.0, 0.0, 0.2, 1.0))
        self.jobs_fail = self.rng.choice((0.0, 0.5, 1.0))

    async def restart(self) -> None:
        await self.kill()
        await self.start()
        fires = {
            alert.fingerprint: alert.firing
            for one in self.incidents.by_key().values()
            for alert in one.alerts
        }
        for (_, fingerprint), acknowledged in self.told.items():
            if acknowledged:
                assert fires.get(fingerprint), (
                    f"{fingerprint} fires, was acknowledged, and is not in the record"
                )

    async def morning(self) -> None:
        """All is well again: everything is looked at, and the record has what memory has."""
        self.record.fails = self.jobs_fail = 0.0
        await until(
            lambda: all(
                one.work in ("done", "failed") for one in self.incidents.all() if one.state != "closed"
            )
        )
        await self.incidents.check()
        await until(lambda: all(self.record.kept[one.name] == one for one in self.incidents.all()))
        await self.restart()

    async def _run(self, job: Job, on_said: Callable[[Said], None]) -> Said:
        for _ in range(self.rng.randrange(10)):
            await asyncio.sleep(0)
        on_said(Said(kind="preliminary", answered=1, report=report(headline="so far")))
        for _ in range(self.rng.randrange(10)):
            await asyncio.sleep(0)
        if self.rng.random() < self.jobs_fail:
            raise self.rng.choice((TriageFailedError("killed"), LookupError("nobody thought of this")))
        verdict = self.rng.choice((("cannot_tell", "cannot_tell"), ("runtime_version", "likely")))
        return Said(kind="report", report=report(*verdict, leaf=self.rng.choice("ab")))


def job(incident: Incident) -> Job:
    return Job(tree=incident.tree, namespace=incident.namespace, target=incident.workload, start=0.0, end=1.0)


async def refuse(incident: Incident) -> str:
    return ""


def known_as(one: Told) -> tuple[str, str]:
    return f"{one.workload} {one.tree}", one.alert.fingerprint


@pytest.mark.parametrize("seed", range(40))
async def test_nothing_acknowledged_is_lost_and_there_is_one_incident_of_each(
    seed: int, tmp_path: Path
) -> None:
    night = Night(seed, tmp_path)
    await night.start()
    for _ in range(STEPS):
        await night.step()
    await night.morning()
    await night.kill()
