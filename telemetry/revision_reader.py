"""Reads a workload's templates, the signs of when it rolled them out, and how far the latest rollout is, into `revisions`.

An Argo Rollout keeps ReplicaSets with notes of its own (`argoproj/argo-rollouts:pkg/apis/rollouts/v1alpha1/types.go`)."""

import math
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
_RESOURCES = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "Rollout": ("argoproj.io/v1alpha1", "rollouts"),
}
KINDS = frozenset(_RESOURCES)
"""Kinds of workload whose rollouts can be read."""
_NUMBERS = {"Deployment": "deployment.kubernetes.io/revision", "Rollout": "rollout.argoproj.io/revision"}
_EARLIER = "-history"
"""Behind the name of the number's annotation."""
_UNAVAILABLE = {"Deployment": "25%", "Rollout": "25%"}
"""What may be missing during a rollout where nothing is said; of the others one pod."""


class WorkloadRevisions(msgspec.Struct, frozen=True):
    workload: Workload
    owner: Owner
    replicas: int | None
    updated: int | None
    available: int | None
    paused: bool
    revisions: tuple[Revision, ...]
    """Oldest rollout first: the last one is what the workload makes its pods from."""
    strategy: str = ""
    """`RollingUpdate`, `Recreate`, `OnDelete`, `Canary` or `BlueGreen`."""
    max_unavailable: int | None = None
    """Of the replicas, so many may be missing while it rolls out; None: the strategy knows no such number."""
    stuck: bool = False
    """Its progress deadline is over: nothing undoes the rollout by itself."""
    aborted: bool = False
    """An Argo Rollout that went back to its stable pods, and stays there until it is retried."""
    stable: str = ""
    """Hash of the template that an Argo Rollout takes for stable."""
    partition: int = 0
    """So many of a StatefulSet's pods, the first ones, are not replaced by a rollout."""


async def read_revisions(
    api: KubernetesApi, namespace: str, workload: Workload, births: Sequence[Birth] = ()
) -> WorkloadRevisions:
    """Raises `KubernetesError`, and `KeyError` for a kind that is not in `KINDS`. `births` are of the pods that there are now."""
    path = object_path(namespace, *_RESOURCES[workload.kind], workload.name)
    found = await get_object(api, path, _Workload)
    signs: list[Sign] = []
    if number := _NUMBERS.get(workload.kind):
        path = object_path(namespace, "apps/v1", "replicasets")
        sets = await list_objects(api, path, _ReplicaSet, _query(found))
        templates = [_replicaset(each, number) for each in sets if _is_owned(each.metadata, found)]
        signs = await _scale_ups(api, namespace, found, workload.kind) + _progress(found)
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
        strategy=_strategy(found, workload.kind),
        max_unavailable=_max_unavailable(found, workload.kind, wanted),
        stuck=any(
            condition.type == "Progressing" and condition.reason == "ProgressDeadlineExceeded"
            for condition in status.conditions or ()
        ),
        aborted=status.abort,
        stable=status.stable_rs,
        partition=_partition(found, workload.kind),
    )


def _strategy(found: "_Workload", kind: str) -> str:
    strategy = found.spec.strategy or found.spec.update_strategy or _Strategy()
    if kind == "Rollout":
        return "BlueGreen" if strategy.blue_green is not None else "Canary"
    return strategy.type


def _partition(found: "_Workload", kind: str) -> int:
    strategy = found.spec.update_strategy or _Strategy()
    rolling = strategy.rolling_update if kind == "StatefulSet" else None
    return (rolling.partition or 0) if rolling else 0


def _max_unavailable(found: "_Workload", kind: str, wanted: int | None) -> int | None:
    """Percentages are of the replicas, rounded down (kubernetes/kubernetes: pkg/controller/deployment/util, ResolveFenceposts)."""
    strategy = found.spec.strategy or found.spec.update_strategy or _Strategy()
    rolling = strategy.canary if kind == "Rollout" else strategy.rolling_update
    if _strategy(found, kind) not in ("RollingUpdate", "Canary"):
        return None
    said = (rolling or _Rolling()).max_unavailable
    text = str(_UNAVAILABLE.get(kind, 1) if said is None else said)
    number = _whole(text.removesuffix("%"))
    if number is None or (text.endswith("%") and wanted is None):
        return None
    return math.floor(number * (wanted or 0) / 100) if text.endswith("%") else number


def _replicaset(found: "_ReplicaSet", numbered_by: str) -> Template:
    annotations = found.metadata.annotations or {}
    earlier = (_whole(number) for number in annotations.get(numbered_by + _EARLIER, "").split(","))
    return Template(
        number=_whole(annotations.get(numbered_by, "")) or 0,
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


async def _scale_ups(api: KubernetesApi, namespace: str, found: "_Workload", kind: str) -> list[Sign]:
    """Who may not read events has other signs."""
    try:
        events = await list_events(api, namespace, kind=kind, uid=found.metadata.uid)
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


class _Rolling(msgspec.Struct, frozen=True, rename="camel"):
    max_unavailable: int | str | None = None
    partition: int | None = None


class _Strategy(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""
    rolling_update: _Rolling | None = None
    canary: _Rolling | None = None
    blue_green: Raw | None = None


class _WorkloadSpec(msgspec.Struct, frozen=True, rename="camel"):
    selector: _Selector = _Selector()
    replicas: int | None = None
    paused: bool = False
    strategy: _Strategy | None = None
    update_strategy: _Strategy | None = None


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    reason: str = ""
    message: str = ""
    last_update_time: datetime | None = None


class _WorkloadStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Zeros are left out by the API; a DaemonSet has names of its own, and so has a Rollout."""

    abort: bool = False
    stable_rs: str = msgspec.field(default="", name="stableRS")

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
