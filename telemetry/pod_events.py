"""What Kubernetes recorded about one pod: scheduling, pulls, probes, back-offs. Events expire, after an hour by default."""

from datetime import UTC, datetime

import msgspec

from telemetry.kubernetes_api import KubernetesApi
from telemetry.kubernetes_objects import list_objects, object_path

_NO_TIME = datetime.min.replace(tzinfo=UTC)


class PodEvent(msgspec.Struct, frozen=True):
    type: str
    """`Warning` or `Normal`."""
    reason: str
    message: str
    count: int
    """How often it happened from `first_at` to `last_at`; at least 1."""
    first_at: datetime | None
    last_at: datetime | None
    source: str
    """Who says it, such as `kubelet`."""
    about: str
    """The part of the pod, such as `spec.containers{triton}`; empty: the pod itself."""


async def read_events(api: KubernetesApi, namespace: str, uid: str) -> list[PodEvent]:
    """Events of the pod with this uid, newest last; raises `KubernetesError`."""
    path = object_path(namespace, "v1", "events")
    found = await list_objects(api, path, _Event, {"fieldSelector": f"involvedObject.uid={uid}"})
    events = [_pod_event(event) for event in found]
    return sorted(events, key=lambda event: event.last_at or _NO_TIME)


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    creation_timestamp: datetime | None = None


class _Source(msgspec.Struct, frozen=True):
    component: str = ""


class _About(msgspec.Struct, frozen=True, rename="camel"):
    field_path: str = ""


class _Series(msgspec.Struct, frozen=True, rename="camel"):
    count: int = 0
    last_observed_time: datetime | None = None


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    metadata: _Metadata = _Metadata()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: _Series | None = None
    source: _Source = _Source()
    reporting_component: str = ""
    involved_object: _About = _About()


def _pod_event(event: _Event) -> PodEvent:
    """The older form counts in the event itself, the newer one (`events.k8s.io`, as the scheduler's) in its series."""
    series = event.series or _Series()
    once = event.event_time or event.metadata.creation_timestamp
    first = event.first_timestamp or once
    return PodEvent(
        type=event.type,
        reason=event.reason,
        message=event.message,
        count=max(event.count or 0, series.count, 1),
        first_at=first,
        last_at=series.last_observed_time or event.last_timestamp or first,
        source=event.source.component or event.reporting_component,
        about=event.involved_object.field_path,
    )
