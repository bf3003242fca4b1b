"""Which workload an alert is about, and whether it may be looked at."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from telemetry.target import Phase, Target
from triage.oncall.alertmanager import Told
from triage.oncall.jobs import TREES
from triage.oncall.triton_pods import TritonPods, workload_of
from triage.wording import names

ServedModels = Callable[[Target], Awaitable[Sequence[str]]]
"""The models that a pod's Triton knows."""
_SECONDS = 3.0
_MOST_ASKED = 20


class Naming:
    def __init__(self, pods: TritonPods, served: ServedModels) -> None:
        self._pods = pods
        self._served = served

    async def named(self, told: Told) -> Told:
        """The alert under the workload that an incident of it is kept under; with the reason where nothing may, or can, be looked
        at."""
        if told.tree not in TREES or not told.namespace or told.problem:
            return told
        if told.namespace not in self._pods.namespaces:
            allowed = names(sorted(self._pods.namespaces))
            why = f"namespace {told.namespace} is not among those that may be looked at ({allowed}): see tritons.namespaces"
            return msgspec.structs.replace(told, problem=why)
        workload = self._pods.named(told.namespace, told.workload)
        if not workload and told.alert.model:
            workload = await self._serving(told.namespace, told.alert.model)
        if workload:
            return msgspec.structs.replace(told, workload=workload)
        there = self._pods.workloads(told.namespace)
        known = f"there are {names(there)}" if there else "none is known there"
        why = f"the alert names no workload of namespace {told.namespace}, and {known}: give it the label workload, or pod"
        return msgspec.structs.replace(told, problem=why)

    async def _serving(self, namespace: str, model: str) -> str:
        """The one workload whose Triton knows the model; nothing where that is none or several, or nobody answers in time."""
        one_of_each = {
            workload_of(pod): pod
            for pod in self._pods.all()
            if pod.key.namespace == namespace and pod.phase is Phase.RUNNING
        }
        asked = list(one_of_each.items())[:_MOST_ASKED]
        try:
            async with asyncio.timeout(_SECONDS):
                served = await asyncio.gather(*(self._served(pod) for _, pod in asked))
        except TimeoutError:
            return ""
        found = [workload for (workload, _), models in zip(asked, served, strict=True) if model in models]
        return found[0] if len(found) == 1 else ""
