"""What Kubernetes recorded about objects of a namespace: scaling, scheduling, probes, kills. Events expire, after an hour by
default, and those of an object that is gone stay till then."""

from datetime import datetime

import msgspec

from telemetry.kubernetes_api import KubernetesApi
from telemetry.kubernetes_objects import list_objects, object_path


class ObjectEvent(msgspec.Struct, frozen=True):
    kind: str
    """Of the object that it is about, such as `Deployment`."""
    name: str
    reason: str
    message: str
    first_at: datetime
    last_at: datetime
    count: int = 1
    """How often it happened from `first_at` to `last_at`."""


async def list_events(
    api: KubernetesApi, namespace: str, *, kind: str, name: str = "", uid: str = ""
) -> list[ObjectEvent]:
    """Events about one object, or about all objects of its kind; raises `KubernetesError`. One that bears no time is left out."""
    about = {"kind": kind, "name": name, "uid": uid}
    selector = ",".join(f"involvedObject.{key}={value}" for key, value in about.items() if value)
    path = object_path(namespace, "v1", "events")
    found = await list_objects(api, path, _Event, {"fieldSelector": selector})
    return [event for event in map(_object_event, found) if event is not None]


def merged(events: list[ObjectEvent], most: int) -> list[ObjectEvent]:
    """The newest `most`, newest last; those that say the same of the same object are one."""
    by_words: dict[tuple[str, ...], ObjectEvent] = {}
    for event in events:
        key = (event.kind, event.name, event.reason, event.message)
        same = by_words.get(key, event)
        by_words[key] = msgspec.structs.replace(
            event,
            first_at=min(event.first_at, same.first_at),
            last_at=max(event.last_at, same.last_at),
            count=event.count + (same.count if same is not event else 0),
        )
    ordered = sorted(by_words.values(), key=lambda event: (event.last_at, event.first_at, event.name))
    return ordered[-most:]


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    creation_timestamp: datetime | None = None


class _Series(msgspec.Struct, frozen=True, rename="camel"):
    count: int = 0
    last_observed_time: datetime | None = None


class _About(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    involved_object: _About
    metadata: _Metadata = _Metadata()
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: _Series | None = None


def _object_event(event: _Event) -> ObjectEvent | None:
    """The older form counts in the event itself, the newer one (`events.k8s.io`, as the scheduler's) in its series."""
    series = event.series or _Series()
    first = event.first_timestamp or event.event_time or event.metadata.creation_timestamp
    last = series.last_observed_time or event.last_timestamp or first
    if first is None or last is None:
        return None
    return ObjectEvent(
        kind=event.involved_object.kind,
        name=event.involved_object.name,
        reason=event.reason,
        message=event.message,
        first_at=first,
        last_at=last,
        count=max(event.count or 0, series.count, 1),
    )
