"""What is known of all devices at one moment, and what may be read of one: samples that are not too old, over a window."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

from telemetry.gpu_exporters.devices import Device, DeviceKey, MemoryPoint
from telemetry.gpu_exporters.exporter import Remedies
from telemetry.prometheus_pages import PodName

_Point = TypeVar("_Point", MemoryPoint, tuple[float, float])


class Memory(NamedTuple):
    """Means over the window, in bytes; `at`: the second of the newest sample."""

    used: float
    usable: float
    at: float


class Utilization(NamedTuple):
    """Mean over the window, 0 to 1."""

    ratio: float
    at: float


@dataclass(frozen=True)
class GpuSnapshot:
    """`devices` of preferred exporters first, times in monotonic seconds; `failure`: why the last look failed, in words that stay
    the same while the cause does."""

    devices: tuple[Device, ...] = ()
    failure: str | None = None
    max_age: float = 60.0
    remedies: Mapping[str, Remedies] = field(default_factory=dict)
    """By exporter, the preferred first."""
    absent: str = "Prometheus has no GPU of dcgm-exporter or triton-gpu-agent; let it scrape one of them on every GPU node"
    """What is so where there is no device at all, and what to do."""

    @cached_property
    def by_key(self) -> Mapping[DeviceKey, tuple[Device, ...]]:
        """Of the exporters that tell it, the preferred first."""
        found: defaultdict[DeviceKey, list[Device]] = defaultdict(list)
        for device in self.devices:
            found[device.key].append(device)
        return {key: tuple(devices) for key, devices in found.items()}

    @cached_property
    def held(self) -> Mapping[PodName, Mapping[DeviceKey, float]]:
        """Each pod's devices, by whichever exporter names it, and the second at which one did last."""
        found: defaultdict[PodName, dict[DeviceKey, float]] = defaultdict(dict)
        for device in self.devices:
            for owner in device.owners:
                found[owner][device.key] = max(device.at, found[owner].get(device.key, device.at))
        return found

    @cached_property
    def holders(self) -> Mapping[DeviceKey, frozenset[PodName]]:
        """Without whom only an exporter names that fell silent while another went on to tell of the device."""
        return {
            key: frozenset().union(*(d.owners for d in devices if d.at >= newest - self.max_age))
            for key, devices in self.by_key.items()
            for newest in [max(d.at for d in devices)]
        }

    @cached_property
    def in_clusters(self) -> frozenset[PodName]:
        """Pods of which there are two, in clusters of different names."""
        clusters: defaultdict[PodName, set[str]] = defaultdict(set)
        for device in self.devices:
            for owner in device.owners:
                clusters[owner].add(device.cluster)
        return frozenset(pod for pod, seen in clusters.items() if len(seen) > 1)


def memory_of(device: Device, window: float, fresh_since: float) -> Memory | None:
    """None where the newest sample is from before `fresh_since`, or there is none."""
    points = _window(device.memory, window, fresh_since)
    if not points:
        return None
    count = len(points)
    return Memory(sum(p.used for p in points) / count, sum(p.usable for p in points) / count, points[-1].at)


def utilization_of(device: Device, window: float, fresh_since: float) -> Utilization | None:
    points = _window(device.utilization, window, fresh_since)
    if not points:
        return None
    return Utilization(math.fsum(value for _, value in points) / len(points), points[-1][0])


def _window(points: tuple[_Point, ...], window: float, fresh_since: float) -> list[_Point]:
    """Those of the window that ends at the newest."""
    if not points or points[-1][0] < fresh_since:
        return []
    since = points[-1][0] - window
    return [point for point in points if point[0] > since]


def shifted(device: Device, seconds: float) -> Device:
    """With all times later by so much: of another clock."""
    return replace(
        device,
        at=device.at + seconds,
        memory=tuple(point._replace(at=point.at + seconds) for point in device.memory),
        utilization=tuple((at + seconds, value) for at, value in device.utilization),
    )


def merged(before: Iterable[Device], now: Iterable[Device], since: float) -> tuple[Device, ...]:
    """After an answer in part: what it lacks may be there still. One without a sample `since` then would be in no whole one."""
    found = {(device.exporter, device.key): device for device in before if device.at >= since}
    found |= {(device.exporter, device.key): device for device in now}
    return tuple(found.values())
