"""The workload that a person names, and its pods, with no more rights than to list pods.

Which workload a pod belongs to is told by the pod itself: its owner, and for a Deployment's or Rollout's the hash in its labels."""

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from autoscaler.selector import value_problem
from autoscaler.trial.manifest import API_VERSIONS
from autoscaler.trial.problem import TrialError
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import list_objects, object_path
from telemetry.pods import Pod
from telemetry.target import Workload
from telemetry.workload_above import named_workload
from telemetry.workloads import ascend

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_ROLLOUT = ("rollout", "rollouts", "rollouts.argoproj.io", "rollout.argoproj.io")
_MOST_SHOWN: Final = 8
_OF_ONE_REVISION: Final = (
    "pod-template-hash",
    "controller-revision-hash",
    "rollouts-pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed: a name, and a kind unless it is to be found out."""

    name: str
    kind: str | None


def parse_asked(words: str) -> Asked:
    """`NAME`, `deployment/NAME`, `sts/NAME`, `rollout/NAME` as kubectl's users type them. Raises `TrialError`."""
    kind, slash, name = words.partition("/")
    if not slash:
        kind, name = "", words
    if not _NAME.fullmatch(name):
        raise TrialError(f"{words!r}: {name!r} is no name of a workload; try deployment/NAME", usage=True)
    if not slash:
        return Asked(name, None)
    if kind.lower() in _ROLLOUT:
        return Asked(name, "Rollout")
    found = named_workload(words)
    if found is None or found.kind not in API_VERSIONS:
        scaled = ", ".join(f"{each.lower()}/NAME" for each in API_VERSIONS)
        raise TrialError(f"{words!r}: an HPA scales no {kind}; accepted: NAME, {scaled}", usage=True)
    return Asked(name, found.kind)


class FleetFinder:
    """Looks for the workload's pods, first among all of the namespace, then by the labels that all of them have."""

    def __init__(self, api: KubernetesApi, namespace: str, asked: Asked) -> None:
        self._api = api
        self._namespace = namespace
        self._asked = asked
        self._selector: str | None = None
        self.workload = Workload(asked.kind or "", asked.name)

    async def find(self) -> Sequence[Pod]:
        """The pods now, in the order of their names. Raises `TrialError` where there is no such workload, `KubernetesError`."""
        query = {"labelSelector": self._selector} if self._selector else {}
        pods = await list_objects(self._api, object_path(self._namespace, "v1", "pods"), Pod, query)
        by_workload: dict[Workload, list[Pod]] = defaultdict(list)
        for pod in pods:
            workload = ascend(pod.metadata, {}).workload
            if workload is not None:
                by_workload[workload].append(pod)
        if self._selector is None:
            self.workload = choose(self._asked, self._namespace, by_workload, len(pods))
            self._selector = shared_labels(by_workload[self.workload])
        return sorted(by_workload[self.workload], key=lambda pod: pod.metadata.name)

    async def other_scalers(self) -> Sequence[str]:
        """HPAs that scale the workload already; none where they may not be listed."""
        path = object_path(self._namespace, "autoscaling/v2", "horizontalpodautoscalers")
        try:
            found = await list_objects(self._api, path, _Hpa)
        except KubernetesError:
            return ()
        target = (self.workload.kind, self.workload.name)
        return sorted(
            hpa.metadata.name
            for hpa in found
            if (hpa.spec.scale_target_ref.kind, hpa.spec.scale_target_ref.name) == target
        )


def choose(
    asked: Asked, namespace: str, by_workload: Mapping[Workload, Sequence[Pod]], pods: int
) -> Workload:
    """The one that was meant. Raises `TrialError` with what is there instead."""
    named = [workload for workload in by_workload if workload.name == asked.name]
    fitting = [workload for workload in named if asked.kind in (None, workload.kind)]
    if len(fitting) > 1:
        kinds = " and ".join(sorted(f"{workload.kind.lower()}/{workload.name}" for workload in fitting))
        raise TrialError(f"{asked.name} is both {kinds} in namespace {namespace}: say which", usage=True)
    if fitting:
        [workload] = fitting
        if workload.kind not in API_VERSIONS:
            raise TrialError(f"{asked.name} is a {workload.kind}, which no HPA scales by its pods")
        if (problem := value_problem(workload.name)) is not None:
            raise TrialError(f"{asked.name} cannot be selected by an HPA's metric: {problem}")
        return workload
    if not pods:
        raise TrialError(
            f"namespace {namespace} has no pods: is it the right one (-n NAMESPACE), and the right cluster (--context)?"
        )
    near = _near(asked.name, by_workload)
    listed = ", ".join(near[:_MOST_SHOWN]) + (" ..." if len(near) > _MOST_SHOWN else "")
    kind = f"{asked.kind.lower()}/" if asked.kind else ""
    raise TrialError(
        f"no pods of {kind}{asked.name} in namespace {namespace}; "
        + (f"pods there belong to {listed}" if near else "no pods there belong to a workload")
        + ". A workload with 0 replicas has none to look at."
    )


def _near(name: str, by_workload: Mapping[Workload, Sequence[Pod]]) -> list[str]:
    """Workloads there, those with a name like this one first."""

    def likeness(workload: Workload) -> tuple[float, str]:
        inside = name in workload.name or workload.name in name
        ratio = difflib.SequenceMatcher(None, name, workload.name).ratio()
        return (-(1.0 if inside else ratio), workload.name)

    return [f"{each.kind.lower()}/{each.name}" for each in sorted(by_workload, key=likeness)]


def shared_labels(pods: Sequence[Pod]) -> str:
    """A label selector of what all pods have in common and another revision of them has too; empty for nothing."""
    common = dict(pods[0].metadata.labels or {}) if pods else {}
    for pod in pods:
        labels = pod.metadata.labels or {}
        common = {key: value for key, value in common.items() if labels.get(key) == value}
    return ",".join(f"{key}={value}" for key, value in sorted(common.items()) if key not in _OF_ONE_REVISION)


class _ScaleTarget(msgspec.Struct, frozen=True):
    kind: str
    name: str


class _HpaSpec(msgspec.Struct, frozen=True, rename="camel"):
    scale_target_ref: _ScaleTarget


class _HpaMeta(msgspec.Struct, frozen=True):
    name: str


class _Hpa(msgspec.Struct, frozen=True):
    metadata: _HpaMeta
    spec: _HpaSpec
