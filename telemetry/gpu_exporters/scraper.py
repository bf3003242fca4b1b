"""GPUs as their exporters tell of them, asked directly: the exporters' pods on the nodes of our pods, where no Prometheus is read.

Each page is kept with the moment at which it was asked for, as long as a window and a sample's age need. What they say the pure
core decides, as for pages that came through a Prometheus.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from telemetry.exposition import Series, SeriesTable, parse_in_blocks
from telemetry.gpu_exporters.devices import Device, GpuSeries, read_devices
from telemetry.gpu_exporters.exporter import GpuExporter
from telemetry.gpu_exporters.snapshot import GpuSnapshot
from telemetry.http_body import FAILURES, TIMED_OUT, Pages, TooLargeError, say_failure
from telemetry.kubernetes_api import KubernetesApi
from telemetry.kubernetes_objects import object_path
from telemetry.listwatch import EventType, ListWatch
from telemetry.pods import Pod, target_of
from telemetry.prometheus_queries import TickReport
from telemetry.target import Phase, PodKey, Target, Targets

_MAX_PAGE_BYTES: Final = 8 * 2**20
_MOST_DEVICES: Final = 512
_MOST_SAMPLES: Final = 8192
"""Of one node: 64 GPUs of seven instances; 16 GPUs that 48 pods share, in ten families. A page with more is not kept."""
_LOOK_SECONDS: Final = 0.1
_PORT: Final = 9400
"""Of dcgm-exporter, where a pod does not say its own."""
NOT_ASKED: Final = "their exporters were not asked yet"
ABSENT: Final = "no pod of gpu.exporters runs on the nodes of these pods"

log = structlog.get_logger(__name__)


class ExporterPods(NamedTuple):
    """Where exporters' pods are: a namespace and a label selector."""

    namespace: str
    selector: str


class ExporterTargets:
    """The pods of one selector, kept current; `problem` says why they are not."""

    def __init__(self, api: KubernetesApi, pods: ExporterPods, clock: Callable[[], float]) -> None:
        self.by_key: dict[PodKey, Target] = {}
        path = object_path(pods.namespace, "v1", "pods")
        self._watch = ListWatch(api, path, Pod, self, selector=pods.selector, clock=clock)

    @property
    def problem(self) -> str | None:
        return self._watch.problem

    @property
    def settled(self) -> bool:
        """They were listed, or it is known why not."""
        return self._watch.synced or self._watch.problem is not None

    async def run(self) -> None:
        await self._watch.run()

    def replace(self, objects: Sequence[Pod]) -> None:
        self.by_key = {pod.key: _target(pod) for pod in objects}

    def apply(self, event_type: EventType, obj: Pod) -> None:
        if event_type is EventType.DELETED:
            self.by_key.pop(obj.key, None)
        else:
            self.by_key[obj.key] = _target(obj)


def _target(pod: Pod) -> Target:
    """With its only port where none is called `metrics`: triton-gpu-agent calls its own `http`."""
    ports = {port.container_port for container in pod.spec.containers for port in container.ports or ()}
    return target_of(pod, default_port=ports.pop() if len(ports) == 1 else _PORT)


class _Page(NamedTuple):
    at: float
    samples: Sequence[tuple[Series, float]]


class GpuScraper:
    """Reads until cancelled; `snapshot` is what is known now. Seconds: `interval` between rounds, `timeout` for one page, `max_age`
    for which one stands, `window` the longest over which one is averaged. `holders`: pods whose nodes count; `clock`: monotonic."""

    def __init__(
        self,
        exporters: Sequence[GpuExporter],
        groups: Sequence[ExporterTargets],
        holders: Targets,
        pages: Pages,
        clock: Callable[[], float],
        *,
        interval: float,
        timeout: float,
        max_age: float,
        window: float,
        on_tick: Callable[[TickReport], None] = lambda report: None,
    ) -> None:
        self._exporters = tuple(exporters)
        self._groups = tuple(groups)
        self._holders = holders
        self._pages = pages
        self._clock = clock
        self._interval = interval
        self._timeout = timeout
        self._span = window + max_age
        self._max_age = max_age
        self._on_tick = on_tick
        self._series = SeriesTable({family for each in exporters for family in each.families()})
        self._kept: dict[PodKey, deque[_Page]] = {}
        self._failures: dict[PodKey, str | None] = {}
        self.snapshot = self._made([], NOT_ASKED)
        self.last_round_at: float | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for each in self._groups:
                group.create_task(each.run())
            group.create_task(self._rounds())

    async def _rounds(self) -> None:
        for _ in range(int(self._interval / _LOOK_SECONDS)):
            if self._listed:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        while True:
            begun = self._clock()
            await self.tick()
            await asyncio.sleep(max(0.0, begun + self._interval - self._clock()))

    @property
    def _listed(self) -> bool:
        return self._holders.complete and all(each.settled for each in self._groups)

    async def tick(self) -> None:
        """One round over the exporters on the nodes of our pods."""
        begun = self._clock()
        targets = self._targets()
        self._kept = {
            key: pages
            for key, pages in self._kept.items()
            if key in targets
            or pages[-1].at >= begun - self._max_age  # one that is gone may be followed by the next
        }
        async with asyncio.TaskGroup() as group:
            asked = {key: group.create_task(self._scrape(key, url)) for key, url in targets.items()}
        self._series.end_round()
        failures = {key: task.result() for key, task in asked.items()}
        if failures != self._failures:
            told = Counter(failure or "answers" for failure in failures.values())
            log.info("gpu_exporters_changed", exporters=dict(told))
        self._failures = failures
        devices = await asyncio.to_thread(self._read)  # a thousand nodes' pages would hold up answers
        self.snapshot = self._made(devices, self._failure())
        answered = sum(failure is None for failure in failures.values())
        outcome = "no_samples" if not answered else "ok" if answered == len(failures) else "partial"
        self._on_tick(TickReport(outcome, self._clock() - begun))
        self.last_round_at = self._clock()

    def _targets(self) -> Mapping[PodKey, str]:
        nodes = {target.node for target in self._holders.by_key.values() if target.node}
        return {
            key: target.metrics_url
            for each in self._groups
            for key, target in each.by_key.items()
            if target.node in nodes and target.phase is Phase.RUNNING and target.metrics_url
        }

    async def _scrape(self, key: PodKey, url: str) -> str | None:
        """Keeps the page; or why there is none."""
        async with self._pages.turn(mute=self._failures.get(key) == TIMED_OUT):
            at = self._clock()
            try:
                async with asyncio.timeout(self._timeout):
                    page = await self._pages.read(url, _MAX_PAGE_BYTES)
                samples: list[tuple[Series, float]] = []
                for _ in parse_in_blocks(page.decode(), self._series, samples):
                    await asyncio.sleep(0)
                self._check(samples)
            except FAILURES as error:
                return say_failure(error)
        kept = self._kept.setdefault(key, deque())
        kept.append(_Page(at, samples))
        while kept[0].at < at - self._span:
            kept.popleft()
        return None

    def _check(self, samples: Sequence[tuple[Series, float]]) -> None:
        """Raises TooLargeError for what no node has."""
        if len(samples) > _MOST_SAMPLES:
            raise TooLargeError(f"shows more than {_MOST_SAMPLES} samples of GPUs")
        names = {name for each in self._exporters for name in (*each.labels.uuid, *each.labels.gpu_instance)}
        devices = {tuple(series.labels.get(name) for name in names) for series, _ in samples}
        if len(devices) > _MOST_DEVICES:
            raise TooLargeError(f"tells of more than {_MOST_DEVICES} GPUs and instances")

    def _failure(self) -> str | None:
        """Why something is not told: no exporter that answers, or lists that fail. That others answer does not say on which nodes
        the unlisted run."""
        failing = sorted({failure for failure in self._failures.values() if failure})
        if failing and all(self._failures.values()):
            return f"exporters do not answer: {failing[0]}"
        problems = [each.problem for each in self._groups if each.problem]
        if problems:
            return f"{'some ' if self._failures else ''}exporters' pods cannot be listed: {problems[0]}"
        return None

    def _read(self) -> list[Device]:
        return read_devices(self._as_series(), self._exporters, {})

    def _made(self, devices: Sequence[Device], failure: str | None) -> GpuSnapshot:
        remedies = {exporter.name: exporter.remedies for exporter in self._exporters}
        return GpuSnapshot(tuple(devices), failure, self._max_age, remedies, ABSENT)

    def _as_series(self) -> Sequence[GpuSeries]:
        found = []
        for key, pages in self._kept.items():
            points: dict[Series, list[tuple[float, float]]] = {}
            for page in pages:
                for series, value in page.samples:
                    points.setdefault(series, []).append((page.at, value))
            instance = f"{key.namespace}/{key.pod}/{key.uid}"
            found += [
                GpuSeries({**series.labels, "__name__": series.family, "instance": instance, "job": ""}, told)
                for series, told in points.items()
            ]
        return found
