"""The same requests on a real Triton and in the queue: the same counters, within errors that are measured beside them.

Requests come when the load generator sent them. Each occupies its instance for as long as the test model recorded, and where the
next one waited until that began: what lies between two executions is not free. What is left is a request's way from the sender to
Triton's queue and from there to the model, which shows on the requests that found the instance free. The queue knows no way, so it
begins each busy period earlier by that of its first request, and all that wait in it. And where a request waits, Triton's clock
starts later and ends sooner by parts of its own way; where none does, Triton may count some of it."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import pytest

from telemetry.exposition import SeriesTable, parse_exposition
from tests.groundtruth.generator import Stream, generate, schedule
from tests.local_process import eventually
from tests.stability.loads import SERVICE_SECONDS
from tests.stability.queueing import Counters, Queue, page
from tests.tritons.executions import Execution
from tests.tritons.install import TritonInstall
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = 8.0


@pytest.mark.parametrize("busy", [0.65, 0.9])
async def test_a_real_queue_is_as_long(busy: float, triton_install: TritonInstall, tmp_path: Path) -> None:
    model = Model("slow", parameters={"service_ms": f"{SERVICE_SECONDS * 1000:g}"})
    per_second, seed = busy / SERVICE_SECONDS, 3
    moments = schedule(per_second, SECONDS, seed)
    async with TritonServer(triton_install, lay_out(tmp_path / "models", model), tmp_path) as server:
        await server.infer("slow", 0.0)
        before = await _counted(server, 1)
        known = len(server.executions())
        stream = Stream(server.url, "slow", per_second, SECONDS, seed, at=time.monotonic() + 0.1)
        requests = await generate(stream, moments)
        after = await _counted(server, before.success + len(moments))
        executions = server.executions()[known:]
    assert [request.status for request in requests] == [200] * len(moments)
    real = Counters(after.success - before.success, after.queue_seconds - before.queue_seconds)
    ordered = sorted(requests, key=lambda one: one.sent)
    runs = [_Run(one.sent, *_moments(execution)) for one, execution in zip(ordered, executions, strict=True)]
    queue = Queue()
    for run, following in pairwise([*runs, None]):
        assert run is not None
        waited_for = following is not None and following.sent < run.ended
        queue.offer(run.sent, (following.started if following and waited_for else run.ended) - run.started)
    simulated = queue.counters(runs[-1].ended + 60.0)
    assert simulated.success == real.success == len(moments)
    ways = list(_ways(runs))
    waits = simulated.queue_seconds / len(moments), real.queue_seconds / len(moments)
    error = mean(way for way, _ in ways) + mean(way for way, first in ways if first)
    print(
        f"busy {busy:g}: mean wait {waits[0] * 1000:.1f} ms, Triton's {waits[1] * 1000:.1f}, tolerated {error * 1000:.1f}"
    )
    assert error < waits[0] / 2, "this machine is too busy to tell a queue from the way to it"
    assert waits[0] == pytest.approx(waits[1], abs=error)


class _Run(NamedTuple):
    """One request, in monotonic seconds."""

    sent: float
    started: float
    ended: float


def _moments(execution: Execution) -> tuple[float, float]:
    assert execution.ended_ns is not None
    return execution.started_ns / 1e9, execution.ended_ns / 1e9


def _ways(runs: Sequence[_Run]) -> Iterator[tuple[float, bool]]:
    """For each request the seconds on its way of the first of its busy period, and whether it is that one."""
    way, free = 0.0, -math.inf
    for run in runs:
        first = run.sent > free
        way, free = (run.started - run.sent if first else way), run.ended
        yield way, first


async def _counted(server: TritonServer, success: int) -> Counters:
    """The counters once so many requests are in them: each is counted just after its answer."""

    async def are_counted() -> bool:
        return _counters(_series(await server.metrics())).success == success

    await eventually(are_counted, seconds=10)
    return _counters(_series(await server.metrics()))


def _series(page: str) -> dict[str, float]:
    return {series.key: value for series, value in parse_exposition(page, SeriesTable())}


def _counters(shown: Mapping[str, float]) -> Counters:
    """Of the real page, by the names of the queue's own."""
    assert _series("\n".join(page(Queue(), "slow", 0.0)) + "\n").keys() <= shown.keys()
    labels = '{model="slow",version="1"}'
    success, queue = (f"nv_inference_{family}{labels}" for family in ("request_success", "queue_duration_us"))
    return Counters(round(shown[success]), shown[queue] / 1e6)
