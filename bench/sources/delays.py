"""How long a change of the load takes until the HPA has seen it, by the system that measures the load.

Fleets of one pod, each on an HPA of its own that is far from scaling; at random moments a fleet's load doubles or halves. The
delay ends when the HPA's `status.currentMetrics` shows more than half of that step, and again when it shows 90 % of it. All systems
run at once, each on a control plane of its own, beside one that tells the truth of the moment: what that takes is the HPA's own
sync."""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Final

from bench.sources.control_planes import control_plane_in_turn
from bench.sources.pace import Pace
from bench.sources.status_watch import StatusWatch
from bench.sources.systems import KedaAtDefaults, Measured, Ours, Truth
from tests.faults.keda_build import ensure_keda
from tests.faults.stage import Stage
from tests.prometheus.build_tools import ensure_prometheus

LOADS: Final = (20.0, 10.0)
"""Requests, in turn."""
STEP: Final = 10.0
_TARGET: Final = 1000.0
"""Requests a pod at which the HPA aims: nothing scales."""
_SETTLED: Final = 0.05
"""Of a step. Nearer than this the windows are full of what is."""
_PATIENCE: Final = 180.0


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Seconds."""

    p50: float
    p95: float
    most: float
    runs: int


@dataclass(frozen=True, slots=True)
class DelayResult:
    system: str
    way: str
    """What of the delay is the system's own: its window and how often it looks."""
    half: Quantiles
    """Until the HPA's status showed more than half of the step."""
    most_of_it: Quantiles
    """Until it showed 90 %."""


@dataclass(frozen=True, slots=True)
class _Delay:
    half: float
    most_of_it: float


async def measure_delays(*, fleets: int, steps: int, pace: Pace, keda: bool) -> list[DelayResult]:
    """`steps` of each of so many fleets with every system; `keda` is built unless an earlier run built it. Raises ExceptionGroup of
    what a system did not do, such as TimeoutError for a step that the HPA never showed."""
    systems: list[Measured] = [Truth()]
    systems += [Ours(source, pace) for source in ("scrape", "prometheus")]
    systems += [KedaAtDefaults(ensure_keda(), pace)] if keda else []
    with tempfile.TemporaryDirectory(prefix="triton-ops-bench-") as name:
        turn = asyncio.Lock()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_delays(system, turn, Path(name) / str(number), fleets, steps, pace))
                for number, system in enumerate(systems)
            ]
    return [_result(system, task.result()) for system, task in zip(systems, tasks, strict=True)]


async def _delays(
    system: Measured, turn: asyncio.Lock, folder: Path, fleets: int, steps: int, pace: Pace
) -> list[_Delay]:
    async with (
        control_plane_in_turn(turn, folder, pace.hpa_sync) as control_plane,
        Stage(
            system,
            control_plane,
            ensure_prometheus(),
            folder,
            scrape_interval=f"{pace.prometheus_scrape:g}s",
        ) as stage,
        StatusWatch(control_plane) as watch,
        asyncio.TaskGroup() as group,
    ):
        names = [f"fleet-{number}" for number in range(fleets)]
        tasks = [group.create_task(_play(system, stage, watch, name, steps, pace)) for name in names]
    return [delay for task in tasks for delay in task.result()]


async def _play(
    system: Measured, stage: Stage, watch: StatusWatch, namespace: str, steps: int, pace: Pace
) -> list[_Delay]:
    """One fleet's steps. Its HPA and its pod begin at a moment of their own, and so do their syncs and scrapes."""
    found = []
    await asyncio.sleep(_anywhere_in(pace.hpa_sync))
    async with AsyncExitStack() as stack:
        pods = await stage.fleet(namespace, stack, _TARGET)
        if isinstance(system, Truth):
            system.fleets[namespace] = pods
        level = LOADS[-1]
        pods.put(level)
        for step in range(steps):
            await watch.until(namespace, partial(_is_near, level), seconds=_PATIENCE)
            await asyncio.sleep(_anywhere_in(pace.hpa_sync))
            before, level = level, LOADS[step % len(LOADS)]
            began = time.monotonic()
            pods.put(level)
            half = await _until_shown(watch, namespace, before, 0.5)
            most_of_it = await _until_shown(watch, namespace, before, 0.9)
            found.append(_Delay(half - began, most_of_it - began))
    return found


def _is_near(level: float, value: float) -> bool:
    return abs(value - level) < _SETTLED * STEP


async def _until_shown(watch: StatusWatch, namespace: str, before: float, share: float) -> float:
    return await watch.until(namespace, lambda v: abs(v - before) > share * STEP, seconds=_PATIENCE)


def _anywhere_in(seconds: float) -> float:
    return random.uniform(0.0, seconds)  # noqa: S311 -- guards nothing


def _result(system: Measured, delays: Sequence[_Delay]) -> DelayResult:
    half, most_of_it = ([d.half for d in delays], [d.most_of_it for d in delays])
    return DelayResult(system.name, system.way, _quantiles(half), _quantiles(most_of_it))


def _quantiles(seconds: Sequence[float]) -> Quantiles:
    ordered = sorted(seconds)
    p50, p95 = (ordered[ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
    return Quantiles(p50, p95, ordered[-1], len(ordered))
