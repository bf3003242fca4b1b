"""GPUs and MIG instances out of the series that exporters show of them, each device once.

Exporters copy a device's numbers to each pod that shares it, two Prometheus replicas tell the same page twice, and two exporters
may see the same device. So a device is its GPU's UUID and its MIG instance, and its numbers at a moment are
- those of the series that names no pod, where there is one: the series of its pods are their processes' shares then;
- else the one number that all series agree on. Where they differ nobody tells the whole device's, and it is missing.

What Prometheus adds to a series (its target's own pod) names no holder. Series without a UUID cannot be told apart: left out.
"""

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from telemetry.gpu_exporters.exporter import GpuExporter, GpuFamily, OwnerLabels
from telemetry.prometheus_pages import PodName

_ROUNDING: Final = 1.01
"""A profiling field's ratio may come out a little above 1; what is more is no ratio."""
_ID: Final = re.compile(r"[A-Za-z0-9:/_.-]{1,96}")
"""Of a GPU or an instance. It is in errors, which people and the HPA's status show: a page must not put lines of its own there."""


class GpuSeries(NamedTuple):
    """A series as Prometheus has it, `__name__` among its labels, with its raw samples (second, value) of some time, in order."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


class TargetName(NamedTuple):
    """A scrape target, as Prometheus names it."""

    job: str
    instance: str


class DeviceKey(NamedTuple):
    uuid: str
    """Of the whole GPU."""
    gpu_instance: str
    """Empty where it is no MIG instance."""

    def __str__(self) -> str:
        return f"{self.uuid} instance {self.gpu_instance}" if self.gpu_instance else self.uuid


class MemoryPoint(NamedTuple):
    """Bytes. `usable`: what can be taken at all, used and free; what the driver reserves is in neither."""

    at: float
    used: float
    usable: float


@dataclass(frozen=True, slots=True)
class Device:
    """One device as one exporter's scrape target tells it. Times in the seconds of its series, oldest first."""

    key: DeviceKey
    exporter: str
    mig_profile: str
    node: str
    cluster: str
    at: float
    """Of its newest sample, of whatever family."""
    owners: frozenset[PodName]
    """Pods that hold it, or a part of it, by then. Where there are any, samples are from when the first of them was named."""
    in_parts: bool
    """It is handed out in parts, of which one pod may hold several."""
    memory: tuple[MemoryPoint, ...]
    utilization: tuple[tuple[float, float], ...]


@dataclass(slots=True)
class _Points:
    """Raw values of one family at each moment."""

    of_device: dict[float, set[float]] = field(default_factory=lambda: defaultdict(set))
    of_owners: dict[float, set[float]] = field(default_factory=lambda: defaultdict(set))

    def told(self) -> dict[float, float]:
        """The device's own values, where they are told and no two contradict each other."""
        told = {at: values for at, values in self.of_owners.items() if at not in self.of_device}
        told |= self.of_device
        return {at: next(iter(values)) for at, values in told.items() if len(values) == 1}


@dataclass(slots=True)
class _Told:
    """What one target's series tell of one device."""

    profile: str = ""
    node: str = ""
    cluster: str = ""
    at: float = -math.inf
    in_parts: bool = False
    owners: dict[PodName, tuple[float, float]] = field(
        default_factory=dict
    )  # when each was first and last named
    families: dict[str, _Points] = field(default_factory=lambda: defaultdict(_Points))

    @property
    def is_held(self) -> bool:
        """By somebody whom this target names."""
        return any(last >= self.at for _, last in self.owners.values())


def read_devices(
    series: Iterable[GpuSeries],
    exporters: Collection[GpuExporter],
    target_labels: Mapping[TargetName, Mapping[str, str]],
    cluster_label: str = "cluster",
) -> list[Device]:
    """The devices, one for each exporter that tells one, in the order of `exporters`. `target_labels`: what Prometheus gives each
    target's series, as far as that is known."""
    exporter_of = {family: exporter for exporter in exporters for family in exporter.families()}
    targets: dict[tuple[str, TargetName], list[GpuSeries]] = defaultdict(list)
    for one in series:
        exporter = exporter_of.get(one.labels.get("__name__", ""))
        if exporter is not None and one.points:
            name = TargetName(one.labels.get("job", ""), one.labels.get("instance", ""))
            targets[exporter.name, name].append(one)
    newest: dict[tuple[str, DeviceKey], _Told] = {}
    named = {exporter.name: exporter for exporter in exporters}
    for (exporter_name, target), shown in sorted(targets.items(), key=lambda item: item[0]):
        added = target_labels.get(target, {})
        for key, told in _of_target(shown, named[exporter_name], added, cluster_label).items():
            before = newest.get((exporter_name, key))
            if before is None or (told.is_held, told.at) > (before.is_held, before.at):
                newest[exporter_name, key] = told
    split: dict[tuple[str, str], float] = {}  # GPUs in instances, which count as these, and until when
    for (exporter_name, key), told in newest.items():
        if key.gpu_instance:
            gpu = exporter_name, key.uuid
            split[gpu] = max(told.at, split.get(gpu, told.at))
    devices = [
        _device(key, told, named[name])
        for (name, key), told in newest.items()
        if key.gpu_instance or told.at > split.get((name, key.uuid), -math.inf)
    ]
    order = list(named)
    return sorted(devices, key=lambda device: (order.index(device.exporter), device.key))


def _of_target(
    series: Sequence[GpuSeries], exporter: GpuExporter, added: Mapping[str, str], cluster_label: str
) -> Mapping[DeviceKey, _Told]:
    pair = _owner_labels(series, exporter, added)
    devices: dict[DeviceKey, _Told] = defaultdict(_Told)
    for labels, points in series:
        key = DeviceKey(_first(labels, exporter.labels.uuid), _first(labels, exporter.labels.gpu_instance))
        if not _ID.fullmatch(key.uuid) or (key.gpu_instance and not _ID.fullmatch(key.gpu_instance)):
            continue
        told = devices[key]
        last = points[-1][0]
        owner = _owner(labels, pair, added)
        if last >= told.at:
            told.at = last
            told.profile = _first(labels, exporter.labels.mig_profile)
            told.node = _first(labels, exporter.labels.node)
            told.cluster = labels.get(cluster_label, "")
        told.in_parts |= bool(_first(labels, exporter.labels.part))
        if owner is not None:
            first, until = told.owners.get(owner, (points[0][0], last))
            told.owners[owner] = min(first, points[0][0]), max(until, last)
        family = told.families[labels["__name__"]]
        values = family.of_device if owner is None else family.of_owners
        for at, value in points:
            if _is_number(value, exporter):
                values[at].add(value)
    return devices


def _owner_labels(
    series: Sequence[GpuSeries], exporter: GpuExporter, added: Mapping[str, str]
) -> OwnerLabels:
    """Under which labels this target names owners: Prometheus puts `exported_` before each that the target has itself."""
    for pair in exporter.labels.owners:
        if any(_owner(labels, pair, added) is not None for labels, _ in series):
            return pair
    return exporter.labels.owners[-1]


def _owner(labels: Mapping[str, str], pair: OwnerLabels, added: Mapping[str, str]) -> PodName | None:
    pod, namespace = labels.get(pair.pod, ""), labels.get(pair.namespace, "")
    own = added.get(pair.pod) == pod and added.get(pair.namespace, "") == namespace
    return PodName(namespace, pod) if pod and namespace and not own else None


def _is_number(value: float, exporter: GpuExporter) -> bool:
    blank = exporter.blank_from is not None and value >= exporter.blank_from
    return 0 <= value < math.inf and not blank


def _device(key: DeviceKey, told: _Told, exporter: GpuExporter) -> Device:
    firsts = {owner: first for owner, (first, last) in told.owners.items() if last >= told.at}
    since = min(firsts.values(), default=-math.inf)

    def read(families: Sequence[GpuFamily]) -> dict[float, float]:
        for each in families:
            applies = each.devices == "all" or not key.gpu_instance
            if applies and each.family in told.families:
                values = told.families[each.family].told()
                if values:
                    return {at: value * each.scale for at, value in values.items() if at >= since}
        return {}

    utilization = {at: min(1.0, v) for at, v in read(exporter.utilization).items() if v <= _ROUNDING}
    memory = _memory(
        read(exporter.memory_used),
        read(exporter.memory_free),
        read(exporter.memory_reserved),
        read(exporter.memory_total),
    )
    return Device(
        key,
        exporter.name,
        told.profile,
        told.node,
        told.cluster,
        told.at,
        frozenset(firsts),
        told.in_parts,
        tuple(memory),
        tuple(sorted(utilization.items())),
    )


def _memory(
    used: Mapping[float, float],
    free: Mapping[float, float],
    reserved: Mapping[float, float],
    total: Mapping[float, float],
) -> Iterator[MemoryPoint]:
    """Total is used and free and reserved; of the three that are needed any may be worked out of the others, of the same scrape."""
    for at in sorted({*used, *free, *total}):
        taken = used.get(at)
        if taken is None and at in total and at in free and at in reserved:
            taken = total[at] - free[at] - reserved[at]
        if taken is None or taken < 0:
            continue
        if at in free:
            usable = taken + free[at]
        elif at in total:
            usable = total[at] - reserved.get(at, 0.0)
        else:
            continue
        if usable > 0 and taken <= usable:
            yield MemoryPoint(at, taken, usable)


def _first(labels: Mapping[str, str], names: Sequence[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")
