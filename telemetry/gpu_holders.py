"""Which pods on a node were given GPUs: by their limits, since no API tells what a device plugin gave to whom.

A cluster-wide list, with a field selector for the node: a right that most people do not have."""

import msgspec

from telemetry.gpu_resources import Resources, gpus_scheduled
from telemetry.kubernetes_api import KubernetesApi
from telemetry.kubernetes_objects import list_objects


class GpuPod(msgspec.Struct, frozen=True):
    namespace: str
    pod: str
    gpus: int
    leaving: bool


async def read_gpu_pods(api: KubernetesApi, node: str) -> list[GpuPod]:
    """Those that have not ended, by namespace and name. Raises `KubernetesError`."""
    query = {"fieldSelector": f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"}
    pods = await list_objects(api, "/api/v1/pods", _Pod, query)
    found = [
        GpuPod(
            pod.metadata.namespace,
            pod.metadata.name,
            gpus_scheduled(pod.spec.containers, pod.spec.init_containers),
            pod.metadata.deletion_timestamp is not None,
        )
        for pod in pods
    ]
    return sorted((pod for pod in found if pod.gpus), key=lambda pod: (pod.namespace, pod.pod))


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    deletion_timestamp: str | None = None


class _Container(msgspec.Struct, frozen=True, rename="camel"):
    resources: Resources = Resources()
    restart_policy: str = ""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    containers: list[_Container]
    init_containers: list[_Container] | None = None


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec
