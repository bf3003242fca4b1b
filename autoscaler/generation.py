"""One configuration with its rules at work: its targets, the source of their pages, and the answers made of them.

A changed configuration gets a generation of its own. It scrapes beside the one that answers until its windows are full, and
then takes its place: nothing that was measured under one configuration is read under another, and no question falls into a gap.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import aiohttp
import structlog

from autoscaler.answer import Answer
from autoscaler.config import Config
from autoscaler.core import Autoscaler, View
from autoscaler.gateway_evaluate import GatewayView, is_gateway
from autoscaler.gpu_formula import GpuDevices
from autoscaler.own_metrics import OwnMetrics
from autoscaler.selector import Selector
from autoscaler.signal import Signal, needed_families
from autoscaler.sources import make_gateway_source, make_gpu_source, make_source
from telemetry.auto_source import AutoSource, Overview
from telemetry.gateways.kind import GatewayKind
from telemetry.gpu_exporters.exporter import GpuExporter
from telemetry.kubernetes_api import KubernetesApi
from telemetry.pods import PodTargets
from telemetry.target import Targets

log = structlog.get_logger(__name__)

LIVE_ROUNDS = 5
"""Rounds of the source that may be overdue before its loop counts as dead."""
BLIND_SECONDS = 60.0
"""A start that lists no pods for this long is told; so is a new generation, which waits on."""
HELD_UP_SECONDS = 60.0
LOOK_SECONDS = 0.25


class Generation:
    """`run` keeps it current; it answers from what it knows by then."""

    def __init__(
        self,
        config: Config,
        rows: Mapping[str, Signal],
        api: KubernetesApi,
        session: aiohttp.ClientSession,
        metrics: OwnMetrics,
        exporters: Sequence[GpuExporter] = (),
        gateways: Mapping[str, GatewayKind] | None = None,
    ) -> None:
        self.config = config
        self.rows = rows
        self.exporters = exporters
        self.gateways = gateways or {}
        self.targets = Targets()
        served = _with_windows(rows, config)
        of_gateways = {row.window for row in served.values() if is_gateway(row)}
        windows = {row.window for row in served.values() if not is_gateway(row)} or of_gateways
        self.longest_window = max(windows)
        self.pod_targets: PodTargets | None = None
        if config.targets.kubernetes is not None:
            found = config.targets.kubernetes
            self.pod_targets = PodTargets(
                api, self.targets, namespaces=found.namespaces, selector=found.selector
            )
        else:
            static = [target.target() for target in config.targets.static]
            self.targets.replace({target.key: target for target in static})
        self.source = make_source(
            config, self.targets, needed_families(served), windows, session, metrics, time.monotonic
        )
        of_devices = [row.window for row in served.values() if isinstance(row.formula, GpuDevices)]
        self.gpus = make_gpu_source(
            config,
            exporters,
            max(of_devices, default=0.0),
            self.targets,
            api,
            session,
            metrics,
            time.monotonic,
        )
        self.gateway_source = make_gateway_source(config, self.gateways, of_gateways, metrics, time.monotonic)
        self.autoscaler = Autoscaler(
            served,
            self.source.pods,
            config.settings(),
            time.monotonic,
            metrics.answered,
            self._alone(),
            lambda: self.gpus.snapshot if self.gpus is not None else None,
            self._gateway_view,
        )
        self._started = time.monotonic()

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.source.run())
            if self.pod_targets is not None:
                group.create_task(self.pod_targets.run())
            if self.gpus is not None:
                group.create_task(self.gpus.run())
            if self.gateway_source is not None:
                group.create_task(self.gateway_source.run())

    def _gateway_view(self) -> GatewayView | None:
        found = self.gateway_source
        if found is None:
            return None
        return GatewayView(found.names, found.reading, found.failure, found.settings.max_age)

    def _alone(self) -> Mapping[str, View]:
        """What each of two sources knows, for explaining; empty where there is one."""
        if not isinstance(self.source, AutoSource):
            return {}
        settings, ages = self.config.settings(), self.config.ages()
        return {
            name: View(pods, replace(settings, source=name, max_age=ages.of(name)))
            for name, pods in self.source.alone.items()
        }

    @property
    def sources(self) -> Overview | None:
        """How two sources stand to each other; None where there is one."""
        return self.source.overview() if isinstance(self.source, AutoSource) else None

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def problems(self) -> Sequence[str]:
        """Why pods cannot be listed or watched, or their workloads not be looked up, in words; empty while they can."""
        return self.pod_targets.problems if self.pod_targets else ()

    @property
    def follows_pods(self) -> bool:
        """A pod that comes or goes is known at once; static targets neither come nor go."""
        return self.pod_targets is None or self.pod_targets.followed

    @property
    def full(self) -> bool:
        """Pods are listed, a window has passed (or the source told of it), and the window of every pod that answers is covered by
        samples; a pod that keeps falling silent holds it up for a minute at most."""
        if not self.targets.complete or (self.gpus is not None and self.gpus.last_round_at is None):
            return False
        if self.gateway_source is not None and self.gateway_source.last_round_at is None:
            return False
        if self.age_seconds >= self.longest_window + HELD_UP_SECONDS:
            return True
        namespaces = {key.namespace for key in self.targets.by_key}
        states = [state for namespace in namespaces for state in self.source.pods(namespace)]
        known = [state.windows[self.longest_window] for state in states if state.windows]
        if self.age_seconds < self.longest_window and not (known and self.source.reads_past):
            return False
        return self.source.last_round_at is not None and all(window.full for window in known)

    @property
    def alive(self) -> bool:
        """The sources' loops went round lately."""
        sources = [found for found in (self.source, self.gateway_source) if found is not None]
        return all(self._is_alive(found.last_round_at, found.interval) for found in sources)

    def _is_alive(self, last_round_at: float | None, interval: float) -> bool:
        since = last_round_at or self._started
        return time.monotonic() - since <= LIVE_ROUNDS * interval + 10.0


def _with_windows(rows: Mapping[str, Signal], config: Config) -> Mapping[str, Signal]:
    """The rows, with windows that hold two samples of this source at least; an answer says its window."""
    settings = config.prometheus_settings()
    of_pods = settings.shortest_window if settings else 0.0
    of_gateways = config.gateway_settings().shortest_window if config.gateway else 0.0
    return {
        name: row.model_copy(update={"window": max(row.window, of_gateways if is_gateway(row) else of_pods)})
        for name, row in rows.items()
    }


class Generations:
    """The generation that answers and, for as long as it takes to fill its windows, the one that will. It is what the API
    asks: `signals` and `answer` of the present one."""

    def __init__(self, first: Generation) -> None:
        self.current = first
        self._changed = asyncio.Event()
        self._wanted: tuple[Generation, Callable[[], None]] | None = None

    def signals(self) -> Sequence[str]:
        return self.current.autoscaler.signals()

    def answer(self, namespace: str, signal: str, selector: Selector, *, explain: bool) -> Answer:
        return self.current.autoscaler.answer(namespace, signal, selector, explain=explain)

    def replace(self, successor: Generation | None, taken_over: Callable[[], None] = lambda: None) -> None:
        """Lets `successor` take over once its windows are full, in place of one that was still waiting; None only calls that
        one off. `taken_over` is called when it has."""
        self._wanted = None if successor is None else (successor, taken_over)
        self._changed.set()

    async def run(self) -> None:
        """Runs until cancelled; a generation that ends or raises ends this too."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.current.run())
            while True:
                await self._changed.wait()
                self._changed.clear()
                if self._wanted is None:
                    continue
                successor, taken_over = self._wanted
                warming = group.create_task(successor.run())
                if await self._filled(successor):
                    self.current, self._wanted = successor, None
                    running.cancel()
                    running = warming
                    taken_over()
                else:
                    warming.cancel()

    async def _filled(self, successor: Generation) -> bool:
        """False once another generation is wanted instead, be this one full or not."""
        told = False
        while not self._changed.is_set():
            if successor.full:
                return True
            if not told and not successor.targets.complete and successor.age_seconds > BLIND_SECONDS:
                told = True
                log.warning("new configuration waits: its pods are not listed", causes=successor.problems)
            await asyncio.sleep(LOOK_SECONDS)
        return False
