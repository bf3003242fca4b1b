"""One load on the fleets of all systems at once: the same requests for each, on one control plane with the real HPA."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.hpa_watch import HpaWatch
from tests.controlplane.kubelet import HELD
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import deployment, rules_with_window
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer
from tests.stability.chart import ChartAdapter
from tests.stability.fleet_queue import FleetQueue
from tests.stability.loads import BASE, POD_RATE, SEED, WARM_UP, Load, arrivals
from tests.stability.outcome import Outcome, Step, judge
from tests.stability.pods import QueueingPods
from tests.stability.systems import (
    LOADING_SECONDS,
    SCRAPE_SECONDS,
    SUMMARY_SECONDS,
    WINDOW_SECONDS,
    Behaviour,
    System,
    hpa,
)

READY_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.2
LATE_SECONDS: Final = 1.0
CONFIG: Final[dict[str, Any]] = {
    "targets": {"kubernetes": {"selector": "app.kubernetes.io/name=triton"}},
    "scrape": {"interval": f"{SCRAPE_SECONDS:g}s", "timeout": "800ms"},
}


@dataclass
class _Fleet:
    system: System
    behaviour: Behaviour
    pods: QueueingPods
    watch: HpaWatch

    def outcome(self, load: Load, ended: float) -> Outcome:
        zero = self.pods.zero
        steps = [Step(round(c.at - zero, 1), c.wanted, c.ready) for c in self.watch.replicas]
        held, error = _held(self.watch, zero, ended)
        named = self.system.name, self.behaviour.name
        return judge(load, *named, steps, self.pods.queue.seconds, held, error)


async def play(
    load: Load,
    runs: Sequence[tuple[System, Behaviour]],
    control_plane: ControlPlane,
    prometheus: PrometheusTools,
    folder: Path,
    say: Callable[[str], None],
) -> list[Outcome]:
    """Outcomes in the order of `runs`; `folder` is there. Raises what kept a part from its work."""
    fleets: dict[str, _Fleet] = {}

    def pods_of(namespace: str) -> Iterable[str]:
        return fleets[namespace].pods.serving

    async with AsyncExitStack() as stack:
        rules = rules_with_window(folder / "rules", WINDOW_SECONDS)
        daemon = Daemon(control_plane, folder, CONFIG, rules=rules)
        await control_plane.install_external_metrics(daemon.port)
        stack.push_async_callback(control_plane.remove_external_metrics)
        await stack.enter_async_context(daemon)
        await control_plane.wait_for_external_metrics()
        scraper = await stack.enter_async_context(PrometheusServer(prometheus, folder / "prometheus"))

        def retarget() -> None:
            of_chart = [fleet.pods for fleet in fleets.values() if fleet.system.of_chart]
            scraper.set_targets([target for pods in of_chart for target in pods.targets()])

        if any(system.of_chart for system, _ in runs):
            await stack.enter_async_context(ChartAdapter(control_plane, scraper, pods_of))
        for system, behaviour in runs:
            namespace = f"{load.name}-{system.name}-{behaviour.name}"
            queue = FleetQueue(arrivals(load, SEED), system.instances, summary_seconds=SUMMARY_SECONDS)
            pods = await _pods(control_plane, namespace, queue, retarget, stack)
            watch = await stack.enter_async_context(HpaWatch(control_plane, namespace, "triton", "triton"))
            fleets[namespace] = _Fleet(system, behaviour, pods, watch)
            retarget()
        await _until_ready(fleets.values())
        say(f"{load.name}: {len(fleets)} fleets are ready")
        await _run(load, fleets, control_plane, say)
        ended = time.monotonic()
        return [fleet.outcome(load, ended) for fleet in fleets.values()]


async def _pods(
    control_plane: ControlPlane,
    namespace: str,
    queue: FleetQueue,
    changed: Callable[[], None],
    stack: AsyncExitStack,
) -> QueueingPods:
    """The fleet at its base size, and no HPA yet."""
    await control_plane.create_namespace(namespace)
    stack.push_async_callback(control_plane.delete_namespace, namespace)
    pods = await stack.enter_async_context(QueueingPods(control_plane, namespace, changed, queue=queue))
    workload = deployment(namespace)
    workload["spec"]["replicas"] = round(BASE / POD_RATE)
    workload["spec"]["template"]["metadata"]["annotations"] = {HELD: "held"}
    await control_plane.api.apply(workload)
    return pods


async def _until_ready(fleets: Iterable[_Fleet]) -> None:
    async def ready() -> bool:
        return all(fleet.pods.are(round(BASE / POD_RATE)) for fleet in fleets)

    await eventually(ready, seconds=READY_SECONDS)


async def _run(
    load: Load, fleets: dict[str, _Fleet], control_plane: ControlPlane, say: Callable[[str], None]
) -> None:
    """The warm-up and the load. The HPAs come as the windows have filled: before, there is no load to be right about."""
    for fleet in fleets.values():
        fleet.pods.loading_seconds = LOADING_SECONDS
        fleet.pods.begin()
    began = time.monotonic()
    zero = began + WARM_UP
    await asyncio.sleep(WINDOW_SECONDS + SCRAPE_SECONDS)
    await control_plane.api.apply(
        [hpa(namespace, fleet.system, fleet.behaviour) for namespace, fleet in fleets.items()]
    )
    longest, last = 0.0, time.monotonic()
    while (now := time.monotonic()) < zero + load.seconds:
        longest, last = max(longest, now - last), now
        for fleet in fleets.values():
            fleet.pods.catch_up()
            fleet.pods.raise_failures()
        await asyncio.sleep(LOOK_SECONDS)
    if longest > LATE_SECONDS:
        say(f"{load.name}: this machine was too busy, pods answered nothing for {longest:.1f} s")


def _held(watch: HpaWatch, zero: float, ended: float) -> tuple[float, str]:
    """Seconds of the run in which the HPA had no value, and the last reason."""
    held, error = 0.0, ""
    ends = [*(change.at for change in watch.changes[1:]), ended]
    for change, until in zip(watch.changes, ends, strict=True):
        if change.says("ScalingActive").startswith("False") and until > zero:
            held += until - max(change.at, zero)
            error = change.conditions["ScalingActive"][2]
    return held, error
