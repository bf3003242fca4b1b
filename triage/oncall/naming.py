"""Which workload an alert is about, and whether it may be looked at."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec

from telemetry.target import Phase, Target
from triage.oncall.alertmanager import Told
from triage.oncall.jobs import TREES
from triage.oncall.triton_pods import TritonPods, workload_of
from triage.wording import names

ServedModels = Callable[[Target], Awaitable[Sequence[str] | None]]
"""The models that a pod's Triton knows; None where it does not say. Answers within seconds."""
_MOST_ASKED = 50
"""Workloads of a namespace."""
_Models = Mapping[str, Sequence[str] | None]


class Naming:
    def __init__(self, pods: TritonPods, served: ServedModels) -> None:
        self._pods = pods
        self._served = served

    async def named(self, told: Sequence[Told]) -> Sequence[Told]:
        """The alerts under the workloads that incidents of them are kept under; with the reason where nothing may, or can, be
        looked at. However many alerts ask for it, each workload is asked for its models once."""
        asked = {
            one.namespace for one in told if self._is_ours(one) and one.alert.model and not self._name(one)
        }
        models = await asyncio.gather(*map(self._models, asked))
        by_namespace = dict(zip(asked, models, strict=True))
        return [self._named(one, by_namespace.get(one.namespace, {})) for one in told]

    def _is_ours(self, told: Told) -> bool:
        return told.tree in TREES and not told.problem and told.namespace in self._pods.namespaces

    def _name(self, told: Told) -> str:
        return self._pods.named(told.namespace, told.workload)

    def _named(self, told: Told, models: _Models) -> Told:
        if told.tree not in TREES or not told.namespace or told.problem:
            return told
        if told.namespace not in self._pods.namespaces:
            return msgspec.structs.replace(told, problem=not_allowed(told.namespace, self._pods.namespaces))
        workload, known = self._name(told), ""
        if not workload:
            workload, known = _serving(told.alert.model, models)
        if workload:
            return msgspec.structs.replace(told, workload=workload)
        if not known:
            there = self._pods.workloads(told.namespace)
            known = f"there are {names(there)}" if there else "none is known there"
        why = f"the alert names no workload of namespace {told.namespace}, and {known}: give it the label workload, or pod"
        return msgspec.structs.replace(told, problem=why)

    async def _models(self, namespace: str) -> _Models:
        """By workload; None of one that has no server that says it."""
        pods = sorted(
            (pod for pod in self._pods.all() if pod.key.namespace == namespace),
            key=lambda pod: (not pod.ready, pod.phase is not Phase.RUNNING, pod.key.pod),
        )
        first: dict[str, Target] = {}
        for pod in pods:
            first.setdefault(workload_of(pod), pod)
        asked = [pod for pod in list(first.values())[:_MOST_ASKED] if pod.phase is Phase.RUNNING]
        told = await asyncio.gather(*map(self._served, asked))
        known = {workload_of(pod): models for pod, models in zip(asked, told, strict=True)}
        return {workload: known.get(workload) for workload in first}


def not_allowed(namespace: str, allowed: Collection[str]) -> str:
    """Why nothing is looked at in a namespace that is not among these."""
    known = names(sorted(allowed))
    return f"namespace {namespace} is not among those that may be looked at ({known}): see tritons.namespaces"


def _serving(model: str, models: _Models) -> tuple[str, str]:
    """The one workload that knows the model, where all the others say that they do not; else what is known of that, in words."""
    if not model or not models:
        return "", ""
    know = sorted(workload for workload, known in models.items() if known is not None and model in known)
    silent = sorted(workload for workload, known in models.items() if known is None)
    if len(know) == 1 and not silent:
        return know[0], ""
    unsure = f"; {names(silent)} did not say which models they have" if silent else ""
    if know:
        return "", f"model {model} is served by {names(know)}{unsure}"
    return "", f"none of {names(sorted(models))} is known to serve model {model}{unsure}"
