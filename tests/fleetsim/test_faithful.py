"""The same arrivals and the same service times on a real Triton and in the simulator: the same counters, within stated errors.

Arrivals are when the load generator sent, service times what the test models recorded of themselves. What may differ: a request
takes some milliseconds from the sender to the queue and from the queue to the model, and an instance takes some between two
executions; `between` is the median of these, and both sides' queues are compared within twice of it a request."""

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

import pytest

from tests.fleetsim.counters import Counters
from tests.fleetsim.loop import Loop
from tests.fleetsim.models import Model, Request, Service
from tests.fleetsim.server import Server
from tests.local_process import eventually
from tests.tritons import repository
from tests.tritons.executions import Execution
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load, Sent
from tests.tritons.server import TritonServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEAST_BETWEEN_MS = 3.0


@dataclass
class Counted:
    """A real model's counters, in milliseconds."""

    success: float
    inferences: float
    executions: float
    queue_ms: float
    infer_ms: float


async def both(
    install: TritonInstall, folder: Path, model: Model, *loads: tuple[float, float], seconds: float
) -> tuple[Counted, Counters, float]:
    """What the real server counted, what the simulated one did, and the milliseconds between two executions. Each load: requests
    a second, and the milliseconds that each of its requests takes."""
    laid_out = repository.lay_out(folder / "models", repository.Model(model.name, instances=model.instances))
    configuration = laid_out / model.name / "config.pbtxt"
    delay = f"max_queue_delay_microseconds: {model.max_queue_delay_ms * 1000:.0f}"
    configuration.write_text(re.sub(r"max_queue_delay_microseconds: \d+", delay, configuration.read_text()))
    async with TritonServer(install, laid_out, folder) as server:
        running = [Load(lambda: [server.url], model=model.name, value=value) for _, value in loads]
        await server.infer(model.name, 1.0)

        async def is_counted() -> bool:
            """A request is counted just after its answer."""
            return _counted(await server.metrics(), model.name).success == 1

        await eventually(is_counted, seconds=10)
        before = _counted(await server.metrics(), model.name)
        known = len(server.executions())
        async with asyncio.TaskGroup() as group:
            for load, (per_second, _) in zip(running, loads, strict=True):
                group.create_task(load.open_loop(per_second=per_second, seconds=seconds))
        await asyncio.sleep(0.2)
        after = _counted(await server.metrics(), model.name)
        executions = server.executions()[known:]
    sent = [(one, load.value) for load in running for one in load.sent]
    assert all(one.status == 200 for one, _ in sent)
    difference = Counted(*(vars(after)[name] - vars(before)[name] for name in vars(after)))
    between = _between_ms(executions)
    return difference, _simulated(model, sent, executions, between), between


def _counted(page: str, model: str) -> Counted:
    def read(family: str) -> float:
        rows = re.findall(
            rf'^nv_inference_{family}{{model="{model}",version="1"}} (\S+)$', page, re.MULTILINE
        )
        return sum(map(float, rows))

    return Counted(
        read("request_success"),
        read("count"),
        read("exec_count"),
        read("queue_duration_us") / 1000,
        read("compute_infer_duration_us") / 1000,
    )


def _between_ms(executions: Sequence[Execution]) -> float:
    gaps = []
    by_instance: dict[str, list[Execution]] = {}
    for one in executions:
        by_instance.setdefault(one.instance, []).append(one)
    for of_one in by_instance.values():
        for first, second in pairwise(of_one):
            assert first.ended_ns is not None
            gap = (second.started_ns - first.ended_ns) / 1e6
            if gap < 10:
                gaps.append(gap)
    return max(LEAST_BETWEEN_MS, median(gaps) if gaps else 0.0)


def _simulated(
    model: Model, sent: Sequence[tuple[Sent, float]], executions: Sequence[Execution], between: float
) -> Counters:
    """Each request takes what those of its kind really took in the mean."""
    asked = mean(value for _, value in sent)
    took = mean((one.ended_ns - one.started_ns) / 1e6 for one in executions if one.ended_ns is not None)
    scale = took / asked if model.max_batch_size == 0 else 1.0
    loop = Loop(0.0)
    server = Server(loop, random.Random(1))
    server.host.overhead_ms = 0.0
    service = Service(1.0, sigma=0.0, input_ms=between / 2, output_ms=between / 2)
    server.load(Model(**{name: getattr(model, name) for name in model.__slots__} | {"service": service}))
    start = min(one.sent for one, _ in sent)
    for one, value in sent:
        request = Request(model.name)
        request.weight = value * scale
        loop.at(one.sent - start, server.enqueue, request)
    loop.run(600.0)
    return server.models[model.name].counters


def _check(real: Counted, simulated: Counters, between: float) -> None:
    requests = real.success
    assert (simulated.success, simulated.inferences) == (real.success, real.inferences)
    assert simulated.infer_ms == pytest.approx(real.infer_ms, rel=0.1, abs=2 * between * requests)
    assert simulated.queue_ms == pytest.approx(real.queue_ms, rel=0.15, abs=2 * between * requests)


async def test_below_capacity_the_queues_are_the_same(triton_install: TritonInstall, tmp_path: Path) -> None:
    """Two kinds of requests beat against each other on one instance, seven tenths busy."""
    model = Model("slow", Service(1.0))
    real, simulated, between = await both(triton_install, tmp_path, model, (11, 25), (7, 60), seconds=3)
    _check(real, simulated, between)
    assert simulated.executions == real.executions
    assert real.queue_ms / real.success > 3


async def test_above_capacity_the_queues_grow_alike(triton_install: TritonInstall, tmp_path: Path) -> None:
    model = Model("slow", Service(1.0), instances=2)
    real, simulated, between = await both(triton_install, tmp_path, model, (45, 60), seconds=2)
    _check(real, simulated, between)
    assert simulated.executions == real.executions
    assert real.queue_ms / real.success > 200


@pytest.mark.accuracy
@pytest.mark.parametrize(("delay_ms", "per_second", "of_queue"), [(0, 60, 0.15), (5, 120, 0.25)])
async def test_batches_are_as_large(
    triton_install: TritonInstall, tmp_path: Path, delay_ms: float, per_second: float, of_queue: float
) -> None:
    """With a delay it is down to single milliseconds which batch a request still gets into. Executions and their sizes are the
    same then, too; time in the queue is where most batches are full, and at half of that load the simulator's is up to half as
    long again."""
    model = Model(
        "batching",
        Service(1.0),
        max_batch_size=8,
        dynamic_batching=True,
        max_queue_delay_ms=delay_ms,
    )
    real, simulated, between = await both(triton_install, tmp_path, model, (per_second, 50), seconds=2)
    assert (simulated.success, simulated.inferences) == (real.success, real.inferences)
    assert simulated.executions == pytest.approx(real.executions, rel=0.1)
    assert simulated.infer_ms == pytest.approx(real.infer_ms, rel=0.1, abs=2 * between * real.success)
    assert simulated.queue_ms == pytest.approx(real.queue_ms, rel=of_queue, abs=2 * between * real.success)
