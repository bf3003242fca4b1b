"""The same requests on a real Triton and in the queue: the same counters, within stated errors.

Requests come when the load generator sent them and compute for as long as the test model recorded; `between` is the median time
that an instance takes from the end of an execution to the begin of the next one that waits for it, which the queue counts as
service. What is left: a request takes a few milliseconds from the sender to Triton's queue, and as many to the model where nothing
is before it. So the mean wait is compared within a tenth and twice `between`."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from telemetry.exposition import SeriesTable, parse_exposition
from tests.groundtruth.generator import generate, schedule
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
    moments = schedule(busy / SERVICE_SECONDS, SECONDS, seed=3)
    async with TritonServer(triton_install, lay_out(tmp_path / "models", model), tmp_path) as server:
        await server.infer("slow", 0.0)
        known, before = len(server.executions()), _counters(_series(await server.metrics()))
        requests = await generate(server.url, "slow", moments)
        after = _counters(_series(await server.metrics()))
        executions = server.executions()[known:]
    assert [request.status for request in requests] == [200] * len(moments)
    real = Counters(after.success - before.success, after.queue_seconds - before.queue_seconds)
    between = _between(executions)
    queue = Queue()
    for request, execution in zip(sorted(requests, key=lambda one: one.sent), executions, strict=True):
        assert execution.ended_ns is not None
        queue.offer(request.sent, (execution.ended_ns - execution.started_ns) / 1e9 + between)
    simulated = queue.counters(executions[-1].started_ns / 1e9 + 60.0)
    assert simulated.success == real.success == len(moments)
    waits = simulated.queue_seconds / len(moments), real.queue_seconds / len(moments)
    print(
        f"busy {busy:g}: mean wait {waits[0] * 1000:.1f} ms, Triton's {waits[1] * 1000:.1f}, between {between * 1000:.1f}"
    )
    assert waits[0] == pytest.approx(waits[1], rel=0.1, abs=2 * between)


def _between(executions: list[Execution]) -> float:
    """Where the next one waited: it began within 10 ms."""
    gaps = [
        (after.started_ns - before.ended_ns) / 1e9
        for before, after in pairwise(executions)
        if before.ended_ns is not None
    ]
    return median(gap for gap in gaps if gap < 0.01)


def _series(page: str) -> dict[str, float]:
    return {series.key: value for series, value in parse_exposition(page, SeriesTable())}


def _counters(shown: Mapping[str, float]) -> Counters:
    """Of the real page, by the names of the queue's own."""
    assert _series("\n".join(page(Queue(), "slow", 0.0)) + "\n").keys() <= shown.keys()
    labels = '{model="slow",version="1"}'
    success, queue = (f"nv_inference_{family}{labels}" for family in ("request_success", "queue_duration_us"))
    return Counters(round(shown[success]), shown[queue] / 1e6)
