"""The fleet's Deployment in a real control plane, with the pods that the history knows, and an account that may look at them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.fleet import NAMESPACE, Fleet
from bench.triage.fleet import PODS_A_NODE, WORKLOAD, Pod
from tests.controlplane.build_tools import Tools
from tests.controlplane.components import Options
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.latency.on_call import on_call
from tests.local_process import eventually

_READY_SECONDS = 120.0
_TOGETHER = 20


@dataclass(frozen=True, slots=True)
class Cluster:
    kubeconfig: Path
    server: str
    certificate_authority: Path

    def through(self, proxy: str) -> Path:
        """A kubeconfig of the same account that asks there."""
        told = json.loads(self.kubeconfig.read_text())
        told["clusters"][0]["cluster"] = {"server": proxy}
        written = self.kubeconfig.with_suffix(".proxied")
        written.touch(mode=0o600)
        written.write_text(json.dumps(told))
        return written


@asynccontextmanager
async def cluster_of(fleet: Fleet, tools: Tools, folder: Path) -> AsyncIterator[Cluster]:
    options = Options(nodes=-(-fleet.pods // PODS_A_NODE))
    async with ControlPlane(tools, folder, options) as control_plane:
        await control_plane.create_namespace(NAMESPACE)
        await _create(control_plane, fleet)
        kubeconfig = await on_call(control_plane, NAMESPACE, "on-call")
        yield Cluster(kubeconfig, control_plane.server, control_plane.certificates.cluster_ca)


async def _create(control_plane: ControlPlane, fleet: Fleet) -> None:
    """A ReplicaSet takes pods that it did not make, if they fit: so they have the names that the history knows."""
    api = control_plane.api
    await api.apply(_deployment(replicas=0))
    made: list[Object] = []

    async def has_replicaset() -> bool:
        made[:] = await api.list("apps/v1", "ReplicaSet", NAMESPACE)
        return bool(made)

    await eventually(has_replicaset, seconds=_READY_SECONDS)
    await api.delete("apps/v1", "Deployment", WORKLOAD, NAMESPACE)

    async def has_none() -> bool:
        return not await api.list("apps/v1", "ReplicaSet", NAMESPACE)

    await eventually(has_none, seconds=_READY_SECONDS)
    for first in range(0, fleet.pods, _TOGETHER):
        numbers = range(first, min(first + _TOGETHER, fleet.pods))
        labels = made[0]["spec"]["selector"]["matchLabels"]
        await asyncio.gather(*(api.apply(_pod(Pod(number), labels)) for number in numbers))
    await api.apply([_deployment(replicas=fleet.pods), _hpa(fleet)])

    async def is_ready() -> bool:
        deployment = await api.get("apps/v1", "Deployment", WORKLOAD, NAMESPACE)
        return bool(deployment.get("status", {}).get("readyReplicas") == fleet.pods)

    await eventually(is_ready, seconds=_READY_SECONDS)
    names = {pod["metadata"]["name"] for pod in await api.list("v1", "Pod", NAMESPACE)}
    if names != {Pod(number).name for number in range(fleet.pods)}:
        raise ValueError("the ReplicaSet did not take the pods that were made for it")


def _deployment(replicas: int) -> Object:
    labels = {"app": WORKLOAD}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": WORKLOAD, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [_CONTAINER]}},
        },
    }


def _pod(pod: Pod, labels: Object) -> Object:
    metadata = {"name": pod.name, "namespace": NAMESPACE, "labels": labels}
    spec = {"nodeName": pod.node, "containers": [_CONTAINER]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _hpa(fleet: Fleet) -> Object:
    metric = {
        "metric": {"name": "triton_inference_concurrency"},
        "target": {"type": "AverageValue", "averageValue": "4"},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": WORKLOAD, "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKLOAD},
            "minReplicas": 2,
            "maxReplicas": 2 * fleet.pods,
            "metrics": [{"type": "External", "external": metric}],
        },
    }


_CONTAINER: Object = {
    "name": "triton",
    "image": "nvcr.io/nvidia/tritonserver:25.09-py3",
    "resources": {"limits": {"cpu": "8", "memory": "16Gi"}},
}
