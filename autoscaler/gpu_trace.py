"""The devices behind a number, for explaining it."""

from collections.abc import Mapping
from typing import Any

from autoscaler.gpu_pooling import DeviceAnswer, Reading
from telemetry.gpu_exporters.snapshot import GpuSnapshot


def trace_devices(answer: DeviceAnswer, gpus: GpuSnapshot, now: float) -> list[Mapping[str, Any]]:
    """One mapping a pod and device, and one for a pod of whose devices nobody tells."""
    rows: list[Mapping[str, Any]] = []
    for held in answer.pods:
        target = held.pod.state.target
        about: dict[str, Any] = {
            "pod": held.pod.name,
            "workload": target.workload.name if target.workload else None,
            "ready": target.ready,
            "standing": str(held.standing),
            "counted": bool(held.readings),
            "age_seconds": None,
            "failure": held.cause[1] if held.cause else None,
            "gpus_by_limits": target.gpus,
        }
        rows += [{**about, **_trace_reading(one, gpus, now)} for one in held.readings] or [about]
    return rows


def _trace_reading(reading: Reading, gpus: GpuSnapshot, now: float) -> Mapping[str, Any]:
    device = reading.device
    return {
        "gpu": str(reading.key),
        "mig_profile": device.mig_profile if device else "",
        "gpu_node": device.node if device else "",
        "gpu_exporter": reading.told_by,
        "held_by": sorted("/".join(pod) for pod in gpus.holders.get(reading.key, ())),
        "age_seconds": round(now - reading.at, 3),
        "above": reading.above,
        "below": reading.below,
        "contribution": reading.above / reading.below,
    }
