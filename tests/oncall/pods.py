"""Triton's pods as the watch would have told them."""

from typing import Any, cast

from telemetry.target import Phase, PodKey, Target, Workload
from triage.oncall.triton_pods import TritonPods


def pod(
    name: str,
    workload: str = "web",
    *,
    namespace: str = "prod",
    phase: Phase = Phase.RUNNING,
    ready: bool = True,
    **more: Any,
) -> Target:
    """Of a deployment; of none where `workload` is empty."""
    url = "http://10.0.0.1:8000" if phase is Phase.RUNNING else None
    return Target(
        key=PodKey(namespace, name, f"uid-{name}"),
        metrics_url=url and f"{url}/metrics",
        http_url=url,
        phase=phase,
        ready=ready,
        workload=Workload("Deployment", workload) if workload else None,
        **more,
    )


class KnownPods(TritonPods):
    """With no API server behind it."""

    def __init__(self, *pods: Target, namespaces: tuple[str, ...] = ("prod",), listed: bool = True) -> None:
        super().__init__(cast(Any, None), namespaces, "")
        if listed:
            self.set(*pods)

    def set(self, *pods: Target) -> None:
        self._targets.replace({each.key: each for each in pods})
