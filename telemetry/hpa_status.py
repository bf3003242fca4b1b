"""HorizontalPodAutoscalers as they stand: bounds, what they want, their conditions and what they see of each metric."""

from datetime import datetime
from typing import Any

import msgspec

from telemetry.kubernetes_api import KubernetesApi
from telemetry.kubernetes_objects import list_objects, object_path
from telemetry.target import Workload

Raw = dict[str, Any]


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class HpaStatus(msgspec.Struct, frozen=True):
    name: str
    target: Workload
    min_replicas: int
    max_replicas: int
    current: int
    desired: int
    conditions: tuple[Condition, ...]
    last_scaled_at: datetime | None
    metrics: tuple[str, ...]
    """Each as `external triton_inference_concurrency: 12 of 8 a pod`; `unknown` for what it could not get."""


async def list_hpas(api: KubernetesApi, namespace: str) -> list[HpaStatus]:
    """All of the namespace; raises `KubernetesError`."""
    path = object_path(namespace, "autoscaling/v2", "horizontalpodautoscalers")
    return [hpa_status(each) for each in await list_objects(api, path, Hpa)]


def hpa_status(hpa: "Hpa") -> HpaStatus:
    spec, status = hpa.spec, hpa.status
    current = {_key(each): each for each in status.current_metrics or ()}
    return HpaStatus(
        name=hpa.metadata.name,
        target=Workload(spec.scale_target_ref.kind, spec.scale_target_ref.name),
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        current=status.current_replicas,
        desired=status.desired_replicas,
        conditions=tuple(status.conditions or ()),
        last_scaled_at=status.last_scale_time,
        metrics=tuple(_metric(each, current.get(_key(each), {})) for each in spec.metrics or ()),
    )


def _metric(wanted: Raw, seen: Raw) -> str:
    name, target, now = _name(wanted), _source(wanted).get("target", {}), _source(seen).get("current", {})
    if (average := target.get("averageValue")) is not None:
        return f"{name}: {now.get('averageValue', 'unknown')} of {average} a pod"
    if (utilization := target.get("averageUtilization")) is not None:
        told = now.get("averageUtilization")
        return f"{name}: {'unknown' if told is None else f'{told}%'} of {utilization}%"
    return f"{name}: {now.get('value', 'unknown')} of {target.get('value', 'unknown')}"


def _source(metric: Raw) -> Raw:
    """The part that is named after the type: `External` is in `external`."""
    kind = str(metric.get("type", ""))
    found = metric.get(kind[:1].lower() + kind[1:])
    return found if isinstance(found, dict) else {}


def _name(metric: Raw) -> str:
    source = _source(metric)
    name = source.get("name") or source.get("metric", {}).get("name", "")
    match metric.get("type"):
        case "ContainerResource":
            return f"resource {name} of container {source.get('container', '')}"
        case "Object":
            of = source.get("describedObject", {})
            return f"object {name} of {str(of.get('kind', '')).lower()}/{of.get('name', '')}"
        case kind:
            return f"{str(kind).lower()} {name}"


def _key(metric: Raw) -> str:
    """Two external metrics may differ in their selector alone. One that failed is an empty object in the status."""
    return f"{_name(metric)} {_source(metric).get('metric', {}).get('selector')}"


class _Metadata(msgspec.Struct, frozen=True):
    name: str


class _Target(msgspec.Struct, frozen=True):
    kind: str
    name: str


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    scale_target_ref: _Target
    max_replicas: int
    min_replicas: int = 1
    metrics: list[Raw] | None = None


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: datetime | None = None
    conditions: list[Condition] | None = None
    current_metrics: list[Raw] | None = None


class Hpa(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec
    status: _Status = _Status()
