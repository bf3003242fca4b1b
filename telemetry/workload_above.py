"""The workload that a target names, or that owns the pods which it finds."""

import re
from collections import Counter
from collections.abc import Sequence

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import get_object, object_path
from telemetry.listwatch import KubernetesObject, OwnerReference
from telemetry.pods import Pod
from telemetry.target import Workload
from telemetry.workloads import ascend, controller_of

_OWNER_PLURALS = {"ReplicaSet": "replicasets", "StatefulSet": "statefulsets", "Pod": "pods"}
_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout")
_SHORT = {
    "deploy": "Deployment",
    "sts": "StatefulSet",
    "ds": "DaemonSet",
    "rs": "ReplicaSet",
    "ro": "Rollout",
}

# Of hashes and random suffixes: no vowels, so that they spell nothing (kubernetes/apimachinery:pkg/util/rand/rand.go).
_HASH = "[bcdfghjklmnpqrstvwxz2456789]{1,10}"
_SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]{5}"
_MADE = {
    ("Deployment", "ReplicaSet"): _HASH,
    ("Deployment", "Pod"): f"{_HASH}-{_SUFFIX}",
    ("Rollout", "ReplicaSet"): _HASH,
    ("Rollout", "Pod"): f"{_HASH}-{_SUFFIX}",
    ("ReplicaSet", "Pod"): _SUFFIX,
    ("DaemonSet", "Pod"): _SUFFIX,
    ("StatefulSet", "Pod"): r"\d+",
}


def is_made_by(workload: Workload, kind: str, name: str) -> bool:
    """Whether an object of this kind and name, which may be gone, is the workload's: another's name may only begin alike."""
    ending = _MADE.get((workload.kind, kind))
    return ending is not None and re.fullmatch(f"{re.escape(workload.name)}-{ending}", name) is not None


def named_workload(target: str) -> Workload | None:
    """The workload in the target's own words, in any of kubectl's spellings; None for a pod and for what is no workload."""
    word, _, name = target.partition("/")
    stem = word.lower().partition(".")[0]
    kind = _SHORT.get(stem) or next((k for k in _KINDS if k.lower() == stem.removesuffix("s")), None)
    return Workload(kind, name) if kind and name else None


async def find_workload(api: KubernetesApi, namespace: str, pods: Sequence[Pod]) -> Workload | None:
    """The one with the most of the pods; None where no workload owns any. Owners that may not be read are guessed by labels."""
    owners: dict[str, OwnerReference | None] = {}
    found: Counter[Workload] = Counter()
    for pod in pods:
        workload = await _ascend(api, namespace, pod, owners)
        if workload is not None:
            found[workload] += 1
    return min(found, key=lambda each: (-found[each], each), default=None)


async def _ascend(
    api: KubernetesApi, namespace: str, pod: Pod, owners: dict[str, OwnerReference | None]
) -> Workload | None:
    """As far as the owners can be read; else what the pod's own labels tell."""
    while True:
        ascent = ascend(pod.metadata, owners)
        owner = ascent.unknown
        plural = _OWNER_PLURALS.get(owner.kind) if owner else None
        if owner is None or plural is None:
            return ascent.workload
        path = object_path(namespace, owner.api_version, plural, owner.name)
        try:
            owners[owner.uid] = controller_of((await get_object(api, path, KubernetesObject)).metadata)
        except KubernetesError:
            return ascent.workload
