"""GPU nodes as triton-gpu-agent and dcgm-exporter tell of them, as samples of the past."""

from functools import partial

from tests.prometheus.samples import Samples

GIB = 2**30
BLANK = 9223372036854775794
"""DCGM_INT64_NOT_SUPPORTED, as old exporters print it."""
BLANK_32 = 0x7FFFFFF0
"""DCGM_INT32_BLANK."""
HALF = 1800
"""Seconds after the first sample, where something changes."""
HONOURED, EXPORTED, OLD, OF_SERVICE = (
    ("pod", "namespace"),
    ("exported_pod", "exported_namespace"),
    ("pod_name", "pod_namespace"),
    ("pod", "exported_namespace"),
)
BESIDE = {"pod": "exporter-x2v9k", "namespace": "monitoring"}
SERVICE = {"namespace": "monitoring", "service": "exporter"}
"""Of a job that finds its targets by their Services, as `kubernetes-service-endpoints` does."""


def always(value: float, t: float) -> float:
    return value


def halfway(before: float, during: float, t: float) -> float:
    return before if t < HALF else during


def now_and_then_blank(value: float, t: float) -> float:
    return BLANK if t % 60 == 0 else value


def rising(rate: float, t: float) -> float:
    return rate * t


def agent(samples: Samples, node: str, names: tuple[str, str], beside: dict[str, str], pods: str) -> None:
    """A node of triton-gpu-agent: GPU 0 is one pod's, GPU 1 is shared, GPU 2 is split. `names`: under which the owner comes out of
    Prometheus; `beside`: the target's own labels."""
    pod, namespace = names

    def of(
        index: int, owner: str = "", space: str = "serving", instance: str = "", profile: str = ""
    ) -> dict[str, str]:
        labels = {
            **beside,
            "node": node,
            "gpu": str(index),
            "uuid": f"GPU-{node}-{index}",
            "gpu_instance": instance,
        }
        return {**labels, "mig_profile": profile, pod: owner, namespace: space if owner else ""}

    for place, (labels, owners) in enumerate(
        (
            (of(0, f"{pods}-0"), [of(0, f"{pods}-0")]),
            (of(1), [of(1, f"{pods}-1"), of(1, "notebook-0", "data")]),
            (of(2, f"{pods}-2", "serving", "7", "1g.10gb"), [of(2, f"{pods}-2", "serving", "7", "1g.10gb")]),
            (of(2, "other-0", "data", "8", "1g.10gb"), [of(2, "other-0", "data", "8", "1g.10gb")]),
            (of(3, "other-1", "data"), [of(3, "other-1", "data")]),
        )
    ):
        samples.add("triton_gpu_memory_used_bytes", labels, partial(always, (place + 1) * GIB))
        samples.add("triton_gpu_memory_free_bytes", labels, partial(always, (9 - place) * GIB))
        for owner in owners:
            samples.add("triton_gpu_owner", owner, partial(always, 1))
        if not labels["gpu_instance"]:
            samples.add("triton_gpu_utilization_ratio", labels, partial(always, 0.5))
    for index in range(4):
        clock = partial(halfway, 1.98e9, 0.9e9) if index == 0 else partial(always, 1.5e9)
        samples.add("triton_gpu_sm_clock_hertz", of(index), clock)
        for reason in ("hw_thermal_slowdown", "gpu_idle", "sw_power_cap"):
            hot = index == 0 and reason == "hw_thermal_slowdown"
            value = partial(halfway, 0, 1) if hot else partial(always, float(reason == "gpu_idle"))
            samples.add("triton_gpu_throttled", {**of(index), "reason": reason}, value)
        samples.add("triton_gpu_xid_watched", of(index), partial(always, 1))
    late = Samples(samples.start + HALF, samples.end)
    late.add("triton_gpu_xid_total", {**of(1), "xid": "79"}, partial(always, 1))
    samples.lines.setdefault("triton_gpu_xid_total", []).extend(late.lines["triton_gpu_xid_total"])
    lost = {**beside, "node": node, "problem": "gpu_lost", "gpu": "3"}
    samples.add("triton_gpu_agent_problem", lost, partial(halfway, 0, 1))
    samples.add("triton_gpu_agent_problem", {**lost, "problem": "no_driver", "gpu": ""}, partial(always, 0))


def dcgm(
    samples: Samples,
    pods: str,
    names: tuple[str, str],
    host: str,
    beside: dict[str, str],
    own: str = "serving",
) -> None:
    """A node of dcgm-exporter: GPU 0 is shared by two pods, with the same values twice; GPU 1 is split."""
    pod, namespace = names
    uuid = "uuid" if names == OLD else "UUID"  # one flag, --use-old-namespace, renames both
    for owner, space in ((f"{pods}-0", own), ("notebook-0", "data")):
        labels = {
            **beside,
            "gpu": "0",
            uuid: f"GPU-{pods}-0",
            host: f"node-{pods}",
            pod: owner,
            namespace: space,
        }
        samples.add("DCGM_FI_DEV_SM_CLOCK", labels, partial(now_and_then_blank, 1980))
        samples.add("DCGM_FI_DEV_FB_USED", labels, partial(always, 30 * 1024))
        samples.add("DCGM_FI_DEV_FB_FREE", labels, partial(always, 50 * 1024))
        samples.add("DCGM_FI_DEV_GPU_UTIL", labels, partial(always, 90))
        samples.add("DCGM_FI_DEV_POWER_USAGE", labels, partial(always, BLANK))
        samples.add("DCGM_FI_DEV_GPU_TEMP", labels, partial(always, BLANK_32))
        samples.add("DCGM_FI_DEV_XID_ERRORS", labels, partial(halfway, 0, 31))
        samples.add("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", labels, partial(halfway, 1, 0x44))
        samples.add("DCGM_FI_DEV_THERMAL_VIOLATION", labels, partial(rising, 2e8))
    split = {
        **beside,
        "gpu": "1",
        uuid: f"GPU-{pods}-1",
        host: f"node-{pods}",
        pod: f"{pods}-1",
        namespace: own,
    }
    for instance, owner in (("7", f"{pods}-1"), ("8", "other-0")):
        labels = {**split, "GPU_I_ID": instance, "GPU_I_PROFILE": "1g.10gb", pod: owner}
        samples.add("DCGM_FI_DEV_FB_USED", labels, partial(always, 1024 * int(instance)))
        samples.add("DCGM_FI_DEV_FB_FREE", labels, partial(always, 1024 * (10 - int(instance))))
        samples.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, partial(always, 0.01 * int(instance)))
