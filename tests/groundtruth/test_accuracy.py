"""Queue duration, concurrency and rate as the program gives them, against what really happened.

`pytest -s tests/groundtruth` shows the table. Why each tolerance is what it is stands in `truth.py`."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from autoscaler.answer import NoData, Reason, Value
from tests.groundtruth.generator import Request
from tests.groundtruth.observed import CONCURRENCY, MODEL, QUEUE, RATE, SIGNALS, Observed, Reading, observing
from tests.groundtruth.truth import Disturbance, Record, Truth, read_lives
from tests.tritons.install import TritonInstall
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import CHECKOUT, TritonServer

ACCURACY = pytest.mark.accuracy
LATEST_SECONDS = 0.25
"""A generator later than this did not make the load that the scenario says."""


@dataclass(frozen=True)
class Scenario:
    """A load on one model. One instance of `service_ms` takes at most 1000 / `service_ms` a second."""

    name: str
    per_second: float
    seconds: float
    service_ms: float
    instances: int
    window: float
    interval: float = 1.0


STEADY = (
    Scenario("0.5/s", 0.5, 60, service_ms=1200, instances=1, window=30, interval=2.0),
    Scenario("20/s", 20, 25, service_ms=40, instances=1, window=10),
    Scenario("300/s", 300, 22, service_ms=10, instances=4, window=10),
)
RELOADS = Scenario("20/s, reloads", 20, 32, service_ms=40, instances=1, window=10)
RESTART = Scenario("20/s, restart", 20, 30, service_ms=40, instances=1, window=10)

During = Callable[[TritonServer, Disturbance], Coroutine[None, None, None]]


@dataclass
class Run:
    scenario: Scenario
    observed: Observed
    record: Record


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(each, id=each.name, marks=[] if each.name == "20/s" else ACCURACY) for each in STEADY],
)
async def test_steady_load(scenario: Scenario, triton_install: TritonInstall, tmp_path: Path) -> None:
    """Every answer at every moment is right, from the first."""
    run = await _run(scenario, triton_install, tmp_path)
    assert _silences(run.observed.readings) == {}
    assert _report(run) == []


@ACCURACY
async def test_reloads(triton_install: TritonInstall, tmp_path: Path) -> None:
    """A load in place keeps the counters; an unload and a load start them at zero, and no jump shows either."""

    async def reload(server: TritonServer, disturbance: Disturbance) -> None:
        await asyncio.sleep(8)
        (tmp_path / "models" / MODEL / "1/model.py").touch()
        await _timed(server.load(MODEL), disturbance)
        await asyncio.sleep(8)
        disturbance.removals.append(time.monotonic())
        await _timed(server.unload(MODEL), disturbance)
        await asyncio.sleep(1.5)
        await _timed(server.load(MODEL), disturbance)

    run = await _run(RELOADS, triton_install, tmp_path, reload)
    assert _silences(run.observed.readings).keys() <= {Reason.NO_SERIES}
    assert _report(run) == []


@ACCURACY
async def test_a_restart(triton_install: TritonInstall, tmp_path: Path) -> None:
    """A crash and a new process: silent while it is gone, never zero, and right when it is back."""

    async def restart(server: TritonServer, disturbance: Disturbance) -> None:
        await asyncio.sleep(12)
        disturbance.removals.append(time.monotonic())
        server.kill()
        await server.restart()

    run = await _run(RESTART, triton_install, tmp_path, restart)
    assert _silences(run.observed.readings).keys() <= {Reason.COVERAGE, Reason.NOT_ANSWERING}
    assert _report(run) == []


async def _run(scenario: Scenario, install: TritonInstall, folder: Path, during: During | None = None) -> Run:
    model = Model(
        str(Path(__file__).parent / "model"),
        name=MODEL,
        instances=scenario.instances,
        parameters={"service_ms": str(scenario.service_ms)},
    )
    repository = lay_out(folder / "models", model)
    arguments = ["--model-control-mode=explicit", f"--load-model={MODEL}"]
    disturbance = Disturbance()
    async with (
        TritonServer(install, repository, folder, arguments=arguments) as server,
        observing(
            server, window=scenario.window, interval=scenario.interval, every=0.7 * scenario.interval
        ) as observed,
        asyncio.TaskGroup() as group,
    ):
        if during is not None:
            group.create_task(during(server, disturbance))
        requests = await _generate(server, scenario)
    lives = read_lives(server.ground_truth / "requests")
    record = Record(requests, lives, observed.scrapes, disturbance, scenario.instances)
    assert record.lateness() < LATEST_SECONDS, (
        f"the load generator was {record.lateness():.3f} s late: no load of {scenario.name}, nothing to compare with"
    )
    return Run(scenario, observed, record)


async def _timed(call: Coroutine[None, None, None], disturbance: Disturbance) -> None:
    begun = time.monotonic()
    await call
    disturbance.calls.append((begun, time.monotonic()))


async def _generate(server: TritonServer, scenario: Scenario) -> list[Request]:
    arguments = [server.url, MODEL, str(scenario.per_second), str(scenario.seconds), "1"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.groundtruth.generator", *arguments, cwd=CHECKOUT, stdout=PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, "the load generator failed: see its message above"
    return [Request(**json.loads(line)) for line in output.splitlines()]


def _silences(readings: Sequence[Reading]) -> dict[Reason, int]:
    """How often there was no value, by reason."""
    return Counter(reading.answer.reason for reading in readings if isinstance(reading.answer, NoData))


@dataclass(frozen=True)
class Compared:
    reading: Reading
    ours: float
    truth: Truth

    @property
    def error(self) -> float:
        return self.ours - self.truth.value

    @property
    def share(self) -> float:
        """The error as a share of what is tolerated."""
        return abs(self.error) / self.truth.tolerance if self.truth.tolerance else float(self.error != 0)


def _report(run: Run) -> list[str]:
    """Prints the table; returns a line for each answer that was further from the truth than tolerated."""
    scenario, misses = run.scenario, []
    print(
        f"\n{scenario.name}: {len(run.record.requests)} requests, {len(run.record.served)} executed, "
        f"generator late by at most {run.record.lateness() * 1000:.1f} ms, front end {run.record.front_end_seconds * 1000:.2f} ms "
        f"(longest stall {run.record.longest_stall():.2f} s), "
        f"no value: {dict(_silences(run.observed.readings)) or 'never'}"
    )
    print(
        f"{'signal':30} {'answers':>7} {'truth':>9} {'ours':>9} {'worst error':>11} {'tolerated':>9}   (at mean, and worst)"
    )
    for signal in SIGNALS:
        compared = list(_compare(run, signal))
        assert compared, f"{signal}: no answer had a value"
        worst = max(compared, key=lambda each: each.share)
        truth, ours = mean(each.truth.value for each in compared), mean(each.ours for each in compared)
        print(
            f"{signal:30} {len(compared):7} {truth:9.3f} {ours:9.3f} {worst.error:+11.4f} {worst.truth.tolerance:9.4f}"
        )
        misses += [_say(each, run) for each in compared if each.share > 1]
    return misses


def _compare(run: Run, signal: str) -> Iterator[Compared]:
    """Each answer with a value beside the truth; a queue duration without any request to average has no truth."""
    for reading in run.observed.readings:
        if reading.signal != signal or not isinstance(reading.answer, Value):
            continue
        of = {QUEUE: run.record.queue_ms, CONCURRENCY: run.record.concurrency, RATE: run.record.rate}
        told, before = run.observed.windows(reading)
        windows = [told] if run.record.moved(before) else [told, before]
        truths = [truth for window in windows if (truth := of[signal](window)) is not None]
        if truths:
            yield min((Compared(reading, _ours(reading, truth), truth) for truth in truths), key=_share)
        else:
            assert reading.answer.idle


def _ours(reading: Reading, truth: Truth) -> float:
    """The answer; for a while after a silence a total may lie above the truth, up to what it was before, and never below."""
    assert isinstance(reading.answer, Value)
    [row] = reading.answer.trace
    before = row["before_silence"]
    floored = reading.signal != QUEUE and before is not None and reading.answer.value <= before + 1e-9
    return min(reading.answer.value, truth.value) if floored else reading.answer.value


def _share(compared: Compared) -> float:
    return compared.share


def _say(miss: Compared, run: Run) -> str:
    at = miss.reading.sampled_at - run.record.requests[0].due
    return (
        f"{miss.reading.signal} of the sample {at:.2f} s after the first request: {miss.ours:.4f}, "
        f"truth {miss.truth.value:.4f} ± {miss.truth.tolerance:.4f}"
    )
