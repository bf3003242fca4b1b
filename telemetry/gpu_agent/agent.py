"""The agent's loop, and what it promises on its port."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from telemetry.gpu_agent.families import device_families, problem_family
from telemetry.gpu_agent.nvml import Nvml
from telemetry.gpu_agent.pod_resources import PodResources
from telemetry.gpu_agent.problems import MEANING
from telemetry.gpu_agent.sampler import Sampler, changes
from telemetry.gpu_agent.snapshot import Snapshot
from telemetry.listen import listen
from telemetry.plain_port import Condition, add_plain_routes
from telemetry.until_stopped import until_stopped

log = structlog.get_logger(__name__)

_STALE_INTERVALS: Final = 3
_LIVE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    node: str
    """The label `node` of every series: the Kubernetes node's name."""
    address: str | None
    """None: every address of the pod, of IPv4 and of IPv6."""
    port: int
    interval: float
    """Seconds between two looks."""
    pod_resources: Path | None
    """The kubelet's socket; None: owners are not asked for."""


async def serve(settings: Settings) -> None:
    """Runs until SIGINT or SIGTERM. Raises OSError when the port cannot be opened."""
    await until_stopped(_run(settings))


async def _run(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        pod_resources = None
        if settings.pod_resources is not None:
            pod_resources = await stack.enter_async_context(PodResources(settings.pod_resources))
        agent = Agent(settings, Sampler(Nvml(), pod_resources))
        await agent.open_port(stack)
        await agent.keep_looking()


class Agent(Collector):
    """The last snapshot, how old it is, and who may read it."""

    def __init__(self, settings: Settings, sampler: Sampler) -> None:
        self._settings = settings
        self._sampler = sampler
        self._snapshot = Snapshot()
        self._taken = 0
        self._taken_at = self._turned_at = time.monotonic()

    async def open_port(self, stack: AsyncExitStack) -> None:
        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        app = web.Application()
        add_plain_routes(app, live=self.live, ready=self.ready, registry=registry)
        port = await listen(stack, app, self._settings.address, self._settings.port)
        log.info("serving", node=self._settings.node, port=port, interval=self._settings.interval)

    async def keep_looking(self) -> None:
        """A look each interval, measured from the start of the one before."""
        while True:
            began = time.monotonic()
            self._turned_at = began
            snapshot = await self._sampler.look(self._snapshot)
            self._tell(snapshot)
            self._snapshot, self._taken_at = snapshot, time.monotonic()
            self._taken += 1
            await asyncio.sleep(max(0.0, began + self._settings.interval - time.monotonic()))

    def live(self) -> Sequence[Condition]:
        """Live: the loop goes round, whatever it sees. A driver that hangs is not mended by starting this program again."""
        waited = time.monotonic() - self._turned_at
        alive = waited < _LIVE_SECONDS + self._settings.interval
        return [Condition("looks", alive, "no look at the GPUs has begun lately")]

    def ready(self) -> Sequence[Condition]:
        """Ready: there is a fresh snapshot. What it lacks is a note: blindness is told, on /metrics too, and mended elsewhere."""
        fresh = self._fresh()
        missing = "; ".join(map(str, self._snapshot.problems))
        return [
            Condition(
                "snapshot", fresh, "the first is not taken yet" if not self._taken else "the last is too old"
            ),
            Condition("sight", ok=True, note=missing),
            Condition("owners", ok=True, note="" if self._settings.pod_resources else "not asked for"),
        ]

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "triton_gpu_agent_snapshots", "Looks at the node's GPUs.", value=self._taken
        )
        if self._taken:
            age = time.monotonic() - self._taken_at
            yield GaugeMetricFamily(
                "triton_gpu_agent_snapshot_age_seconds", "Age of what is served.", value=age
            )
        if self._fresh():
            yield from device_families(self._settings.node, self._snapshot)
        yield problem_family(self._settings.node, self._snapshot)

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def _fresh(self) -> bool:
        age = time.monotonic() - self._taken_at
        return bool(self._taken) and age <= _STALE_INTERVALS * self._settings.interval

    def _tell(self, snapshot: Snapshot) -> None:
        began, ended = changes(self._snapshot.problems, snapshot.problems)
        for problem in began:
            log.warning(
                "a problem began",
                problem=problem.kind,
                gpu=problem.gpu,
                detail=problem.detail,
                means=MEANING[problem.kind],
            )
        for problem in ended:
            log.info("a problem ended", problem=problem.kind, gpu=problem.gpu)
        for at, count in snapshot.xids.items():
            if new := count - self._snapshot.xids.get(at, 0):
                log.warning(
                    "XID",
                    xid=at.code,
                    count=new,
                    gpu=str(at.index),
                    uuid=at.device.uuid,
                    gpu_instance=at.device.instance,
                    owner=str(at.owner or "no container alone"),
                )
        if not self._taken or len(snapshot.gpus) != len(self._snapshot.gpus):
            log.info("GPUs seen", count=len(snapshot.gpus))
