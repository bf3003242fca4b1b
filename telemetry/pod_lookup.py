"""The pods that a person means by `pod/NAME`, by a workload's `deploy/NAME`, or by a label selector."""

import re
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import get_object, list_objects, object_path
from telemetry.listwatch import KubernetesObject
from telemetry.pods import Pod
from telemetry.target import Workload
from telemetry.workloads import ascend, controller_of

_FORBIDDEN = 403
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_SELECTOR_SIGNS = re.compile(r"[=!,()\s]")


class PodTargetError(ValueError):
    """The words name no kind of object that has pods."""


async def find_pods(api: KubernetesApi, namespace: str, target: str, *, selector: bool = False) -> list[Pod]:
    """Pods by name; none where the workload has none or nothing matches the selector.

    `target` is `pod/NAME`, `deploy/NAME`, `sts/NAME`, `ds/NAME`, `rs/NAME` or `rollout/NAME` in any of kubectl's spellings, or a
    label selector with an operator in it (`app=triton`); with `selector` it is one whatever it looks like (`app`, `!app`). A
    workload's pods are those that its selector matches and that it owns; where ReplicaSets may not be listed, a Deployment's are
    told by their owner's name. Raises `PodTargetError` before anything is asked, and `KubernetesError`, with status 404 for an
    object that is not there."""
    if selector or _SELECTOR_SIGNS.search(target):
        return await _list_pods(api, namespace, target.strip())
    kind, name = _parse(target)
    if kind.name == "Pod":
        return [await get_object(api, object_path(namespace, kind.api_version, kind.plural, name), Pod)]
    return await _workload_pods(api, namespace, kind, name)


def check_target(target: str) -> None:
    """Raises `PodTargetError` for words that name no kind of object with pods; nothing is asked."""
    if not _SELECTOR_SIGNS.search(target):
        _parse(target)


class _Kind(NamedTuple):
    name: str
    api_version: str
    plural: str
    short: str

    @property
    def spellings(self) -> Collection[str]:
        group = self.api_version.rpartition("/")[0]
        names = (self.plural, self.name.lower(), self.short)
        return (*names, *(f"{name}.{group}" for name in names[:2] if group))


_KINDS = (
    _Kind("Pod", "v1", "pods", "po"),
    _Kind("Deployment", "apps/v1", "deployments", "deploy"),
    _Kind("StatefulSet", "apps/v1", "statefulsets", "sts"),
    _Kind("DaemonSet", "apps/v1", "daemonsets", "ds"),
    _Kind("ReplicaSet", "apps/v1", "replicasets", "rs"),
    _Kind("Rollout", "argoproj.io/v1alpha1", "rollouts", "ro"),
)
_BY_SPELLING = {spelling: kind for kind in _KINDS for spelling in kind.spellings}


def _parse(target: str) -> tuple[_Kind, str]:
    accepted = (
        ", ".join(f"{kind.name.lower()}/NAME" for kind in _KINDS) + " or a label selector like app=NAME"
    )
    word, slash, name = target.partition("/")
    if not slash:
        raise PodTargetError(
            f"{target!r} is neither KIND/NAME nor a label selector: did you mean pod/{target}? Accepted: {accepted}"
        )
    kind = _BY_SPELLING.get(word.lower())
    if kind is None:
        raise PodTargetError(f"{target!r}: no pods are known of kind {word!r}; accepted: {accepted}")
    if not _NAME.fullmatch(name):
        raise PodTargetError(f"{target!r}: {name!r} is no name of a {kind.name}")
    return kind, name


class _Requirement(msgspec.Struct, frozen=True):
    key: str
    operator: str
    values: list[str] | None = None


class _Selector(msgspec.Struct, frozen=True, rename="camel"):
    match_labels: dict[str, str] | None = None
    match_expressions: list[_Requirement] | None = None


class _WorkloadSpec(msgspec.Struct, frozen=True):
    selector: _Selector


class _Workload(KubernetesObject, frozen=True):
    spec: _WorkloadSpec


async def _workload_pods(api: KubernetesApi, namespace: str, kind: _Kind, name: str) -> list[Pod]:
    path = object_path(namespace, kind.api_version, kind.plural, name)
    workload = await get_object(api, path, _Workload)
    selector = _render(workload.spec.selector, path)
    owners = {workload.metadata.uid}
    if kind.name in ("Deployment", "Rollout"):
        try:
            owners = await _replicasets(api, namespace, selector, workload.metadata.uid)
        except KubernetesError as error:
            if error.status != _FORBIDDEN:
                raise
            pods = await _list_pods(api, namespace, selector)
            return [pod for pod in pods if ascend(pod.metadata, {}).workload == Workload(kind.name, name)]
    return [pod for pod in await _list_pods(api, namespace, selector) if _owner_uid(pod) in owners]


async def _replicasets(api: KubernetesApi, namespace: str, selector: str, owner_uid: str) -> set[str]:
    path = object_path(namespace, "apps/v1", "replicasets")
    found = await list_objects(api, path, KubernetesObject, {"labelSelector": selector})
    return {each.metadata.uid for each in found if _owner_uid(each) == owner_uid}


async def _list_pods(api: KubernetesApi, namespace: str, selector: str) -> list[Pod]:
    return await list_objects(api, object_path(namespace, "v1", "pods"), Pod, {"labelSelector": selector})


def _owner_uid(found: KubernetesObject) -> str | None:
    owner = controller_of(found.metadata)
    return owner.uid if owner is not None else None


def _render(selector: _Selector, path: str) -> str:
    """The selector in the words of a query; both its parts must hold."""
    parts = [f"{key}={value}" for key, value in (selector.match_labels or {}).items()]
    for requirement in selector.match_expressions or ():
        values = f"({','.join(requirement.values or ())})"
        match requirement.operator:
            case "In":
                parts.append(f"{requirement.key} in {values}")
            case "NotIn":
                parts.append(f"{requirement.key} notin {values}")
            case "Exists":
                parts.append(requirement.key)
            case "DoesNotExist":
                parts.append(f"!{requirement.key}")
            case unknown:
                raise KubernetesError(
                    f"{path}: its selector has the unknown operator {unknown!r}", reason="Malformed"
                )
    if not parts:
        raise KubernetesError(f"{path}: its selector is empty", reason="Malformed")
    return ",".join(parts)
