"""GPUs as their exporters tell of them, read once an interval out of the Prometheus that scrapes these.

Seven queries a tick, whatever the number of GPUs, pods and HPAs: what Prometheus itself puts on the exporters' series, and for each
quantity the raw samples of its families, with their own timestamps. Which of them say what, the pure core decides (devices.py).
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from telemetry.circuit import Circuit
from telemetry.gpu_exporters.devices import Device, GpuSeries, TargetName, read_devices
from telemetry.gpu_exporters.exporter import GpuExporter
from telemetry.gpu_exporters.snapshot import GpuSnapshot, merged, shifted
from telemetry.prometheus import PrometheusError, PrometheusSource, Reason, does_not_answer
from telemetry.prometheus_matrix import Matrix
from telemetry.prometheus_queries import PrometheusQueries, TickReport
from telemetry.prometheus_reader import first_error
from telemetry.prometheus_ticks import keep_ticking
from telemetry.prometheus_vector import Vector

NOT_ASKED: Final = "Prometheus was not asked for them yet"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """Seconds: `interval` between ticks, `timeout` for one, `delay` after its timestamp by which a sample can be queried, `max_age`
    for which a sample stands, `window` the longest over which one is averaged."""

    interval: float = 15.0
    timeout: float = 10.0
    delay: float = 1.0
    max_age: float = 60.0
    window: float = 30.0
    matchers: str = ""
    cluster_label: str = "cluster"


class GpuReader:
    """Reads until cancelled; `snapshot` is what is known now. `clock` is monotonic."""

    def __init__(
        self,
        exporters: Sequence[GpuExporter],
        settings: GpuSettings,
        source: PrometheusSource,
        clock: Callable[[], float],
        on_tick: Callable[[TickReport], None] = lambda report: None,
    ) -> None:
        self._exporters = tuple(exporters)
        self._groups = _groups(self._exporters)
        self._settings = settings
        self._source = source
        self._clock = clock
        self._on_tick = on_tick
        self._queries = PrometheusQueries(source, clock)
        self._circuit = Circuit(settings.interval)
        self._target_labels: Mapping[TargetName, Mapping[str, str]] = {}
        self._empty = GpuSnapshot(
            failure=NOT_ASKED,
            max_age=settings.max_age,
            remedies={exporter.name: exporter.remedies for exporter in self._exporters},
        )
        self.snapshot = self._empty
        self.last_round_at: float | None = None

    async def run(self) -> None:
        await keep_ticking(self._source, self.tick, self._circuit.wait, self._clock)

    async def tick(self) -> None:
        """One look at all devices."""
        begun, self._queries.report = self._clock(), TickReport()
        report = self._queries.report
        try:
            async with asyncio.timeout(self._settings.timeout):
                devices, in_part = await self._read(begun + self._settings.timeout)
        except PrometheusError as error:
            self._fail(error.reason, str(error))
        except TimeoutError:
            self._fail("timeout", "the tick took too long")
        else:
            self._circuit.succeeded()
            report.outcome = "partial" if in_part else "ok" if devices else "no_samples"
            since = begun - self._settings.window - self._settings.max_age
            known = merged(self.snapshot.devices, devices, since) if in_part else tuple(devices)
            self._show(known, None)
        report.seconds = self._clock() - begun
        self._on_tick(report)
        self.last_round_at = self._clock()

    def _fail(self, reason: Reason, detail: str) -> None:
        self._circuit.failed()
        self._queries.report.outcome = reason
        self._show(self.snapshot.devices, does_not_answer(reason))
        log.warning("gpu_tick_failed", reason=reason, detail=detail[:300], failures=self._circuit.failures)

    def _show(self, devices: tuple[Device, ...], failure: str | None) -> None:
        before = {(device.exporter, device.key) for device in self.snapshot.devices}
        after = {(device.exporter, device.key) for device in devices}
        if before != after:
            names = sorted({exporter for exporter, _ in after})
            log.info("gpus_changed", gpus=len(after), exporters=names)
        self.snapshot = GpuSnapshot(devices, failure, self._settings.max_age, self._empty.remedies)

    async def _read(self, deadline: float) -> tuple[list[Device], bool]:
        """The devices, in our monotonic seconds, and whether the answers were in part. Raises PrometheusError."""
        settings = self._settings
        everything = self._selector(family for group in self._groups for family in group)
        own = f"up{{{settings.matchers}}} and on (job, instance) {everything}"
        up = await self._queries.present(f"({own}) or vector(time())", deadline)
        assert up.at is not None  # noqa: S101 -- vector(time()) is always there
        at = up.at - settings.delay
        span = f"{round((settings.window + settings.max_age) * 1000)}ms"
        queries = [f"{self._selector(group)}[{span}]" for group in self._groups]
        try:
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    tasks.create_task(self._queries.ask_raw(query, at, deadline, lambda matrix: matrix))
                    for query in queries
                ]
        except* PrometheusError as errors:
            raise first_error(errors) from None
        answers = [task.result() for task in asked]
        # A target whose scrapes fail is not told with its labels any more, and has samples for a while.
        labels = {**self._target_labels, **_target_labels(up)}
        ahead = self._queries.ahead
        devices, names = await asyncio.to_thread(self._devices, answers, labels, ahead)
        self._target_labels = {name: told for name, told in labels.items() if name in names}
        return devices, bool(up.warnings) or any(answer.warnings for answer in answers)

    def _devices(
        self, answers: Sequence[Matrix], labels: Mapping[TargetName, Mapping[str, str]], ahead: float
    ) -> tuple[list[Device], set[TargetName]]:
        """Takes a second for eight thousand GPUs, so it runs in a thread."""
        series = [GpuSeries(one.labels, one.samples) for answer in answers for one in answer.series]
        found = read_devices(series, self._exporters, labels, self._settings.cluster_label)
        return [shifted(device, ahead) for device in found], {_target_name(one.labels) for one in series}

    def _selector(self, families: Iterable[str]) -> str:
        names = "|".join(map(re.escape, sorted(families)))
        return f'{{__name__=~"{names}"{_more(self._settings.matchers)}}}'


def _groups(exporters: Iterable[GpuExporter]) -> list[frozenset[str]]:
    """Families by what they say, a query each: one answer of all would be past its bound for some thousand GPUs."""
    found: list[frozenset[str]] = []
    for quantity in ("memory_used", "memory_free", "memory_reserved", "memory_total", "utilization"):
        families = frozenset(gauge.family for each in exporters for gauge in getattr(each, quantity))
        found.append(families)
    found.append(frozenset(each.owner_family for each in exporters if each.owner_family))
    return [families for families in found if families]


def _more(matchers: str) -> str:
    return f",{matchers}" if matchers else ""


def _target_name(labels: Mapping[str, str]) -> TargetName:
    return TargetName(labels.get("job", ""), labels.get("instance", ""))


def _target_labels(up: Vector) -> dict[TargetName, Mapping[str, str]]:
    return {_target_name(labels): labels for labels in up.labels if labels.get("__name__") == "up"}
