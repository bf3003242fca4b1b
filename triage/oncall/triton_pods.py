"""Triton's pods in the namespaces that may be looked at, as they are known now, and what they are named by in alerts."""

from collections.abc import Sequence

from telemetry.kubernetes_api import KubernetesApi
from telemetry.pods import PodTargets
from telemetry.target import Target, Targets
from telemetry.workload_above import is_made_by


class TritonPods:
    """`run` keeps it current; everything else answers from memory."""

    def __init__(self, api: KubernetesApi, namespaces: Sequence[str], selector: str) -> None:
        self.namespaces = frozenset(namespaces)
        self._targets = Targets()
        self._pods = PodTargets(api, self._targets, namespaces=namespaces, selector=selector)

    async def run(self) -> None:
        """Runs until cancelled."""
        await self._pods.run()

    @property
    def listed(self) -> bool:
        return self._targets.complete

    @property
    def problems(self) -> Sequence[str]:
        return self._pods.problems

    def all(self) -> Sequence[Target]:
        return tuple(self._targets.by_key.values())

    def of(self, namespace: str, workload: str) -> Sequence[Target]:
        """The pods of `deployment/NAME` and the like, or of `pod/NAME`."""
        return [
            target
            for target in self.all()
            if target.key.namespace == namespace
            and workload in (workload_of(target), f"pod/{target.key.pod}")
        ]

    def named(self, namespace: str, workload: str) -> str:
        """What alerts on this workload are told under: the workload above a pod, and where none is named the only one there is.
        As given where that is not known."""
        if workload.startswith("pod/"):
            owner = next((workload_of(target) for target in self.of(namespace, workload)), "")
            return owner or self._made(namespace, workload.removeprefix("pod/")) or workload
        if workload:
            return workload
        there = self.workloads(namespace)
        return there[0] if len(there) == 1 else ""

    def _made(self, namespace: str, pod: str) -> str:
        """The workload that a pod of this name was made by, which is gone; nothing where none of those known makes such names."""
        for target in self.all():
            made_by = target.workload
            if target.key.namespace == namespace and made_by is not None and is_made_by(made_by, "Pod", pod):
                return workload_of(target)
        return ""

    def workloads(self, namespace: str) -> Sequence[str]:
        return sorted({workload_of(target) for target in self.all() if target.key.namespace == namespace})


def workload_of(target: Target) -> str:
    """`deployment/NAME` and the like; `pod/NAME` where no workload owns it."""
    if target.workload is None:
        return f"pod/{target.key.pod}"
    return f"{target.workload.kind.lower()}/{target.workload.name}"
