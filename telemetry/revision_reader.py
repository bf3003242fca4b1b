"""Reads a workload's templates, and the signs of when it rolled them out, into `revisions`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import get_object, list_objects, object_path
from telemetry.listwatch import OwnerReference
from telemetry.managed_by import Owner, owner_of
from telemetry.object_events import list_events
from telemetry.placements import TEMPLATE_LABELS
from telemetry.revisions import Birth, Revision, Sign, Template, revisions_of, scale_up_signs
from telemetry.target import Workload

Raw = dict[str, Any]
_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
KINDS = frozenset(_PLURALS)
"""Kinds of workload whose rollouts can be read."""
_NUMBER = "deployment.kubernetes.io/revision"
_EARLIER = "deployment.kubernetes.io/revision-history"


class WorkloadRevisions(msgspec.Struct, frozen=True):
    workload: Workload
    owner: Owner
    replicas: int | None
    updated: int | None
    available: int | None
    paused: bool
    revisions: tuple[Revision, ...]
    """Oldest rollout first: the last one is what the workload makes its pods from."""


async def read_revisions(
    api: KubernetesApi, namespace: str, workload: Workload, births: Sequence[Birth] = ()
) -> WorkloadRevisions:
    """Raises `KubernetesError`, and `KeyError` for a kind that is not in `KINDS`. `births` are of the pods that there are now."""
    path = object_path(namespace, "apps/v1", _PLURALS[workload.kind], workload.name)
    found = await get_object(api, path, _Workload)
    signs: list[Sign] = []
    if workload.kind == "Deployment":
        path = object_path(namespace, "apps/v1", "replicasets")
        sets = await list_objects(api, path, _ReplicaSet, _query(found))
        templates = [_replicaset(each) for each in sets if _is_owned(each.metadata, found)]
        signs = await _scale_ups(api, namespace, found) + _progress(found)
    else:
        path = object_path(namespace, "apps/v1", "controllerrevisions")
        kept = await list_objects(api, path, _ControllerRevision, _query(found))
        pods = [birth.template for birth in births]
        templates = [_controller_revision(each, pods) for each in kept if _is_owned(each.metadata, found)]
    status, metadata = found.status, found.metadata
    wanted = found.spec.replicas if workload.kind != "DaemonSet" else status.desired_number_scheduled
    managers = {entry.manager for entry in metadata.managed_fields or ()}
    return WorkloadRevisions(
        workload=workload,
        owner=owner_of(metadata.labels or {}, metadata.annotations or {}, managers),
        replicas=wanted,
        updated=status.updated_replicas if workload.kind != "DaemonSet" else status.updated_number_scheduled,
        available=status.available_replicas if workload.kind != "DaemonSet" else status.number_available,
        paused=found.spec.paused,
        revisions=revisions_of(templates, births, signs),
    )


def _replicaset(found: "_ReplicaSet") -> Template:
    annotations = found.metadata.annotations or {}
    earlier = (_whole(number) for number in annotations.get(_EARLIER, "").split(","))
    return Template(
        number=_whole(annotations.get(_NUMBER, "")) or 0,
        hash=_hash(found.metadata),
        name=found.metadata.name,
        created_at=found.metadata.creation_timestamp,
        replicas=found.status.replicas,
        template=found.spec.template,
        earlier_numbers=tuple(sorted(number for number in earlier if number is not None)),
    )


def _controller_revision(found: "_ControllerRevision", pods: Sequence[str]) -> Template:
    # A StatefulSet's pods bear the revision's name, a DaemonSet's its hash.
    mark = _hash(found.metadata) or found.metadata.name
    template = found.data.get("spec", {}).get("template", {})
    return Template(
        number=found.revision,
        hash=mark,
        name=found.metadata.name,
        created_at=found.metadata.creation_timestamp,
        replicas=pods.count(mark),
        template={key: value for key, value in template.items() if key != "$patch"},
    )


async def _scale_ups(api: KubernetesApi, namespace: str, found: "_Workload") -> list[Sign]:
    """Who may not read events has other signs."""
    try:
        events = await list_events(api, namespace, kind="Deployment", uid=found.metadata.uid)
    except KubernetesError:
        return []
    return [sign for event in events for sign in scale_up_signs(event)]


def _progress(found: "_Workload") -> list[Sign]:
    """`ReplicaSet "NAME" has successfully progressed.`: when the last pod of a rollout came up."""
    for condition in found.status.conditions or ():
        words = condition.message.split('"')
        if condition.type == "Progressing" and len(words) == 3 and condition.last_update_time is not None:
            return [Sign(words[1], condition.last_update_time)]
    return []


def _query(found: "_Workload") -> Mapping[str, str] | None:
    """Only what must hold for all; the owner decides."""
    labels = found.spec.selector.match_labels or {}
    words = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return {"labelSelector": words} if words else None


def _is_owned(metadata: "_Metadata", found: "_Workload") -> bool:
    return any(
        owner.controller and owner.uid == found.metadata.uid for owner in metadata.owner_references or ()
    )


def _hash(metadata: "_Metadata") -> str:
    labels = metadata.labels or {}
    return next((labels[label] for label in TEMPLATE_LABELS if label in labels), "")


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


class _ManagedFields(msgspec.Struct, frozen=True):
    manager: str = ""


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    creation_timestamp: datetime
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    managed_fields: list[_ManagedFields] | None = None


class _Selector(msgspec.Struct, frozen=True, rename="camel"):
    match_labels: dict[str, str] | None = None


class _WorkloadSpec(msgspec.Struct, frozen=True):
    selector: _Selector = _Selector()
    replicas: int | None = None
    paused: bool = False


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    message: str = ""
    last_update_time: datetime | None = None


class _WorkloadStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Zeros are left out by the API; a DaemonSet has names of its own."""

    updated_replicas: int = 0
    available_replicas: int = 0
    desired_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    conditions: list[_Condition] | None = None


class _Workload(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _WorkloadSpec = _WorkloadSpec()
    status: _WorkloadStatus = _WorkloadStatus()


class _ReplicaSetSpec(msgspec.Struct, frozen=True):
    template: Raw


class _ReplicaSetStatus(msgspec.Struct, frozen=True):
    replicas: int = 0


class _ReplicaSet(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _ReplicaSetSpec
    status: _ReplicaSetStatus = _ReplicaSetStatus()


class _ControllerRevision(msgspec.Struct, frozen=True):
    metadata: _Metadata
    data: Raw
    revision: int = 0
