"""What NVML said of a node's GPUs, as values. None everywhere means that it was not told, never that it is zero."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Final

THROTTLE_REASONS: Final[Mapping[str, int]] = {
    "gpu_idle": 0x001,
    "applications_clocks_setting": 0x002,
    "sw_power_cap": 0x004,
    "hw_slowdown": 0x008,
    "sync_boost": 0x010,
    "sw_thermal_slowdown": 0x020,
    "hw_thermal_slowdown": 0x040,
    "hw_power_brake_slowdown": 0x080,
    "display_clock_setting": 0x100,
}
"""NVML's bits (nvml.h, nvmlClocksEventReason*) by NVML's names."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, by nvmlDeviceGetMemoryInfo_v2: used, free and reserved make up total. (The first version counts reserved as used.)"""

    used: int
    free: int
    reserved: int
    total: int


@dataclass(frozen=True, slots=True)
class GpuInstance:
    """A MIG GPU instance. Its compute instances share its memory, so it is the smallest thing whose memory can be told."""

    number: int
    """The GPU instance's id, which NVML also calls so."""
    profile: str
    """Such as `1g.10gb`; "" if it could not be told."""
    uuids: tuple[str, ...]
    """Of its MIG devices, one a compute instance, by which the kubelet knows them."""
    memory: Memory | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as it was at one moment."""

    index: int
    """NVML's, of this node. It may change when the driver is loaded again; the UUID does not."""
    uuid: str
    minor: int | None = None
    """The N of /dev/nvidiaN, by which some device plugins name it."""
    mig: bool = False
    memory: Memory | None = None
    utilization_ratio: float | None = None
    """Share of the last sample period, 1/6 s to 1 s, in which any kernel ran. NVML does not tell it in MIG mode."""
    sm_clock_hertz: float | None = None
    sm_clock_max_hertz: float | None = None
    throttled: Mapping[str, bool] = field(default_factory=dict)
    """The reasons that this GPU can tell, and whether each holds."""
    instances: tuple[GpuInstance, ...] = ()


def throttled(reasons: int | None, supported: int | None) -> Mapping[str, bool]:
    """Each reason of NVML's bit mask that this GPU supports. Without `supported` (None) all are taken to be."""
    if reasons is None:
        return {}
    return {
        name: bool(reasons & bit)
        for name, bit in THROTTLE_REASONS.items()
        if supported is None or supported & bit
    }


def mig_profile(slices: int, memory_mib: int, gpu_total_bytes: int) -> str:
    """The name of a GPU instance's profile: its slices and its share of the GPU's memory, in eighths, rounded up.

    Formula: NVIDIA/go-nvlib, pkg/nvlib/device/mig_profile.go, getMigMemorySizeGB, by which the device plugin names its resources.
    What NVML shows to unprivileged programs does not tell `+me` profiles from those without."""
    if not slices or not gpu_total_bytes:
        return ""
    eighths = ceil(memory_mib * 2**20 / gpu_total_bytes * 8)
    gigabytes = eighths / 8 * ceil(gpu_total_bytes / 2**30)
    return f"{slices}g.{int(gigabytes + 0.5)}gb"
