"""What a pod's containers use of CPU and memory, as metrics.k8s.io tells it: the numbers of `kubectl top pod --containers`.

It is a kubelet's own measure, averaged over a window that ended some seconds to a minute ago
(kubernetes/metrics: pkg/apis/metrics/v1beta1/types.go)."""

import re
from datetime import datetime
from typing import Final

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import get_object, object_path

_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)(n|u|m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_UNITS: Final = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class ContainerUsage(msgspec.Struct, frozen=True):
    container: str
    cores: float
    memory_bytes: float


class PodUsage(msgspec.Struct, frozen=True):
    at: datetime
    """The window's end."""
    window_seconds: float
    containers: tuple[ContainerUsage, ...]


async def read_usage(api: KubernetesApi, namespace: str, pod: str) -> PodUsage:
    """Raises `KubernetesError`, with status 404 where nothing has been measured yet or nobody serves metrics.k8s.io."""
    path = object_path(namespace, "metrics.k8s.io/v1beta1", "pods", pod)
    found = await get_object(api, path, _PodMetrics)
    try:
        used = tuple(
            ContainerUsage(each.name, parse_amount(each.usage["cpu"]), parse_amount(each.usage["memory"]))
            for each in found.containers
        )
        return PodUsage(found.timestamp, _seconds(found.window), used)
    except (KeyError, ValueError) as error:
        raise KubernetesError(f"malformed answer for {path}: {error}", reason="Malformed") from error


def parse_amount(quantity: str) -> float:
    """A quantity of Kubernetes in its base unit: cores or bytes. Raises ValueError."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity!r} is no quantity")
    return float(found[1]) * _UNITS[found[2] or ""]


def _seconds(duration: str) -> float:
    """Of Go's text form, such as 30s or 1m0.5s."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))


class _Container(msgspec.Struct, frozen=True):
    name: str
    usage: dict[str, str]


class _PodMetrics(msgspec.Struct, frozen=True):
    timestamp: datetime
    containers: list[_Container]
    window: str = "0s"
