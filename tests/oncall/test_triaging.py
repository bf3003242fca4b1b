"""What waits is looked at: the worst first, a few at once, again where it could not be told, and one cause in one thread."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.oncall.memory_record import MemoryRecord
from tests.oncall.test_joining import NOW
from tests.oncall.values import INCIDENT, report
from triage.oncall.audit import Audit
from triage.oncall.child import TriageFailedError
from triage.oncall.incident import Alert, Incident
from triage.oncall.incidents import Incidents
from triage.oncall.job import Job, ReadSource, Said
from triage.oncall.joining import reopen, resolve
from triage.oncall.own_metrics import OncallMetrics
from triage.oncall.triaging import Triaging
from triage.report import Report


def waiting(name: str, *, severity: str = "warning", opened: float = NOW, **more: object) -> Incident:
    alert = Alert(fingerprint=name, name="A", severity=severity, starts_at=opened)
    values = {
        "name": name,
        "workload": f"deployment/{name}",
        "alerts": (alert,),
        "opened_at": opened,
        "first_severity": severity,
    }
    return msgspec.structs.replace(
        INCIDENT, **{"work": "waiting", "report": None, "report_at": None, **values, **more}
    )


class Looking:
    """Stands for the child: each look waits until it is answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, asyncio.Future[Report | Exception]] = {}
        self.most = self.now = 0

    async def __call__(self, job: Job, on_said: Callable[[Said], None]) -> Said:
        self.asked.append(job.target)
        self.now += 1
        self.most = max(self.most, self.now)
        on_said(Said(kind="progress", answered=2))
        answer = self.answers[job.target] = asyncio.get_running_loop().create_future()
        try:
            told = await answer
        finally:
            self.now -= 1
        if isinstance(told, Exception):
            raise told
        read = ReadSource(
            source="s", query="q", fetched_at="", sha256="0", masked=1, probe="log", missing="timeout"
        )
        return Said(kind="report", report=told, read=(read,), kept="bundle")

    async def answer(self, target: str, told: Report | Exception) -> None:
        await until(lambda: target in self.answers)
        self.answers.pop(target).set_result(told)


@asynccontextmanager
async def at_work(
    folder: Path, *incidents: Incident, refuse: str = "", again: float = 60.0
) -> AsyncIterator[tuple[Incidents, Looking]]:
    here = Incidents(MemoryRecord(*incidents), lambda: NOW, ("p99", "load-failure"))
    await here.load()
    looking = Looking()

    async def why(incident: Incident) -> str:
        return refuse

    triaging = Triaging(
        here,
        lambda one: Job(tree=one.tree, namespace=one.namespace, target=one.workload, start=0, end=1),
        why,
        OncallMetrics(),
        Audit(folder),
        2,
        looking,
        again,
    )
    here.changed.append(triaging.changed)
    task = asyncio.create_task(triaging.run())
    try:
        yield here, looking
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_the_worst_comes_first_and_only_a_few_run_at_once(tmp_path: Path) -> None:
    many = [waiting(f"w{n}", opened=NOW + n) for n in range(4)]
    worst = waiting("worst", severity="critical", opened=NOW + 9)
    async with at_work(tmp_path, *many, worst) as (here, looking):
        await until(lambda: len(looking.asked) == 2)
        assert looking.asked == ["deployment/worst", "deployment/w0"]
        for name in ("worst", "w0", "w1", "w2", "w3"):
            await looking.answer(f"deployment/{name}", report(headline=name, leaf=name))
        await until(lambda: all(one.work == "done" for one in here.all()))
        assert looking.most == 2


async def test_while_one_looks_it_is_told_how_far(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web")) as (here, looking):
        await until(lambda: here.all()[0].progress == "2 sources answered")
        assert here.all()[0].work == "running"
        await looking.answer("deployment/web", report())
        await until(lambda: here.all()[0].work == "done")
        (one,) = here.all()
        assert (one.report, one.bundle, one.progress) == (report(), "bundle", "")


async def test_what_must_not_be_looked_at_is_not(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web"), refuse="it is gone") as (here, looking):
        await until(lambda: here.all()[0].work == "done")
        assert here.all()[0].refused == "it is gone"
        assert not looking.asked


async def test_what_could_not_be_told_is_looked_at_again_a_few_times(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web"), again=0.02) as (here, looking):
        for _ in range(3):
            await looking.answer("deployment/web", report("cannot_tell", "cannot_tell"))
            await until(lambda: here.all()[0].report is not None)
        await asyncio.sleep(0.2)
        assert looking.asked == ["deployment/web"] * 3


async def test_a_triage_that_failed_says_so_and_is_tried_again(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web"), again=0.02) as (here, looking):
        await looking.answer("deployment/web", TriageFailedError("no report within 120 s"))
        await until(lambda: here.all()[0].work == "failed")
        assert here.all()[0].failure == "no report within 120 s"
        await looking.answer("deployment/web", report())
        await until(lambda: here.all()[0].work == "done")
        assert here.all()[0].failure == ""


async def test_a_report_outlives_a_later_look_that_fails(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web", report=report("cannot_tell", "cannot_tell")), again=0.02) as (
        here,
        looking,
    ):
        await looking.answer("deployment/web", TriageFailedError("killed"))
        await until(lambda: here.all()[0].failure == "killed")
        assert here.all()[0].work == "done"
        assert here.all()[0].report is not None


async def test_one_that_came_back_while_it_was_looked_at_is_looked_at_anew(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web")) as (here, looking):
        await until(lambda: "deployment/web" in looking.answers)
        here.show("web", lambda one: msgspec.structs.replace(one, reopened=1))
        await looking.answer("deployment/web", report())
        await until(lambda: len(looking.asked) == 2)


async def test_one_cause_on_many_workloads_is_told_by_the_first(tmp_path: Path) -> None:
    three = [waiting(f"w{n}", opened=NOW + n) for n in range(3)]
    other = waiting("other", opened=NOW + 5)
    async with at_work(tmp_path, *three, other) as (here, looking):
        for name in ("w0", "w1", "w2"):
            await looking.answer(f"deployment/{name}", report())
        await looking.answer("deployment/other", report(leaf="another"))
        await until(lambda: all(one.work == "done" for one in here.all()))
        await until(lambda: len(found(here, "w0").also) == 2)
        assert [one.same_as for one in here.all()] == ["", "w0", "w0", ""]
        assert found(here, "w0").also == ("prod/deployment/w1", "prod/deployment/w2")


async def again(here: Incidents, name: str) -> None:
    """Its alerts had ended, and fire again."""
    await here.change(name, lambda one: reopen(resolve(one, NOW)))
    await until(lambda: found(here, name).work == "running")


async def test_who_has_another_cause_when_looked_at_again_tells_it(tmp_path: Path) -> None:
    async with at_work(tmp_path, *(waiting(f"w{n}", opened=NOW + n) for n in range(2))) as (here, looking):
        for name in ("w0", "w1"):
            await looking.answer(f"deployment/{name}", report())
        await until(lambda: found(here, "w0").also == ("prod/deployment/w1",))
        await again(here, "w1")
        await looking.answer("deployment/w1", report(leaf="another"))
        await until(lambda: not found(here, "w1").same_as)
        await until(lambda: not found(here, "w0").also)


async def test_where_the_one_that_tells_has_another_cause_the_next_tells_it(tmp_path: Path) -> None:
    async with at_work(tmp_path, *(waiting(f"w{n}", opened=NOW + n) for n in range(3))) as (here, looking):
        for name in ("w0", "w1", "w2"):
            await looking.answer(f"deployment/{name}", report())
        await until(lambda: len(found(here, "w0").also) == 2)
        await again(here, "w0")
        await looking.answer("deployment/w0", report(leaf="another"))
        await until(lambda: found(here, "w1").also == ("prod/deployment/w2",))
        assert [one.same_as for one in here.all()] == ["", "", "w1"]
        assert found(here, "w0").also == ()


async def test_a_mistake_of_ours_costs_only_its_incident(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("bad"), waiting("good", opened=NOW + 1)) as (here, looking):
        await looking.answer("deployment/bad", LookupError("nobody thought of this"))
        await looking.answer("deployment/good", report())
        await until(lambda: all(one.work in ("done", "failed") for one in here.all()))
        assert [one.work for one in here.all()] == ["failed", "done"]
        assert "LookupError" in found(here, "bad").failure


async def test_a_workload_that_was_gone_is_looked_at_when_it_comes_again(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web", work="done", refused="it is gone")) as (here, looking):
        await here.change("web", lambda one: reopen(resolve(one, NOW)))
        await looking.answer("deployment/web", report())
        await until(lambda: found(here, "web").work == "done")
        assert (found(here, "web").refused, found(here, "web").report) == ("", report())


async def test_one_that_comes_again_has_its_tries_anew(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web"), again=0.02) as (here, looking):
        for times in (3, 6):
            for _ in range(3):
                await looking.answer("deployment/web", report("cannot_tell", "cannot_tell"))
            await until(lambda: found(here, "web").work == "done")
            assert looking.asked == ["deployment/web"] * times
            await here.change("web", lambda one: reopen(resolve(one, NOW)))


@pytest.mark.parametrize(
    ("category", "confidence"), [("cannot_tell", "cannot_tell"), ("cold_start", "possible")]
)
async def test_what_is_not_sure_is_no_common_cause(tmp_path: Path, category: str, confidence: str) -> None:
    async with at_work(tmp_path, waiting("w0"), waiting("w1")) as (here, looking):
        for name in ("w0", "w1"):
            await looking.answer(f"deployment/{name}", report(category, confidence))
        await until(lambda: all(one.work == "done" for one in here.all()))
        await asyncio.sleep(0.05)
        assert [one.same_as for one in here.all()] == ["", ""]


async def test_what_was_read_stands_in_the_audit_record(tmp_path: Path) -> None:
    async with at_work(tmp_path, waiting("web")) as (_, looking):
        await looking.answer("deployment/web", report())

        def lines() -> list[dict[str, object]]:
            text = "".join(file.read_text() for file in tmp_path.glob("audit-*.jsonl"))
            return [msgspec.json.decode(line) for line in text.splitlines()]

        await until(lambda: bool(lines()))
        (line,) = lines()
        assert (line["what"], line["incident"], line["query"], line["missing"]) == (
            "read",
            "web",
            "q",
            "timeout",
        )


def found(here: Incidents, name: str) -> Incident:
    one = here.get(name)
    assert one is not None
    return one
