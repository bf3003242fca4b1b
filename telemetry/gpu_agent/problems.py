"""What keeps the agent from seeing, by name: a closed list, since alerts and other programs read it."""

from dataclasses import dataclass
from typing import Final, Literal

ProblemKind = Literal[
    "no_driver",
    "driver_mismatch",
    "no_gpu",
    "no_permission",
    "gpu_lost",
    "gpu_needs_reset",
    "nvml_hangs",
    "nvml_error",
    "pod_resources_unreachable",
    "pod_resources_forbidden",
    "pod_resources_error",
    "unknown_device",
    "not_offered",
]

MEANING: Final[dict[ProblemKind, str]] = {
    "no_driver": "libnvidia-ml.so.1 or the kernel module is not there: the runtime class gives no GPUs, or the node has no driver",
    "driver_mismatch": "the library is of another driver version than the kernel module: the driver was upgraded under this pod; "
    "start it again",
    "no_gpu": "NVML works and names no GPU: the runtime gives this container the driver alone, or the GPUs are with another driver",
    "no_permission": "NVML refuses what it is asked: the container lacks the device, or the right to look at MIG instances",
    "gpu_lost": "the GPU is off the bus or gone: it needs a reset, or the node a restart",
    "gpu_needs_reset": "the GPU does not work before it is reset",
    "nvml_hangs": "a call into the driver does not return",
    "nvml_error": "NVML answers with another error",
    "pod_resources_unreachable": "the kubelet's pod-resources socket does not answer, so owners are unknown",
    "pod_resources_forbidden": "the kubelet's pod-resources socket is not open to this user, so owners are unknown",
    "pod_resources_error": "the kubelet answers with an error, so owners are unknown",
    "unknown_device": "a container holds a device that NVML does not show here, so its owner stands nowhere",
    "not_offered": "the kubelet offers other GPUs to pods but not this one: its plugin holds it for unhealthy or leaves it out",
}

OWNERS_UNKNOWN: Final[frozenset[ProblemKind]] = frozenset(
    {"pod_resources_unreachable", "pod_resources_forbidden", "pod_resources_error"}
)


@dataclass(frozen=True, slots=True)
class Problem:
    kind: ProblemKind
    gpu: str = ""
    """The GPU's index; "" where it is about none or all of them."""
    detail: str = ""
    """What was asked and what came back, for the log and /readyz; never in a metric."""

    def __str__(self) -> str:
        of = f" (GPU {self.gpu})" if self.gpu else ""
        return f"{self.kind}{of}: {self.detail or MEANING[self.kind]}"
