"""A cluster with workloads in several namespaces: each pod has the log of a real Triton's failure, or of its health, and answers
what that Triton answered, through the real API server's pod proxy."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kube_client import Object
from tests.controlplane.kubelet import HELD, crash_loop, running, waiting
from tests.loadfailures.outcomes import Seen
from tests.local_process import eventually
from tests.opened import Opened

State = Literal["ready", "unready", "crash_loop", "image"]
IMAGE = "registry.example/nvidia/tritonserver:24.10-py3"
_READY_SECONDS = 120.0
_TOGETHER = 8
"""Pods that are set up at once."""


@dataclass(frozen=True)
class Workload:
    """A Deployment whose pods, in the order of their names, stand like this."""

    namespace: str
    name: str
    pods: Sequence[tuple[State, Seen | None]]
    container: Object = field(default_factory=lambda: triton_container())


class FailingCluster(Opened):
    """Pods answer inside; the namespaces go with whoever made them."""

    def __init__(self, control_plane: ControlPlane) -> None:
        super().__init__()
        self._control_plane = control_plane
        self._together = asyncio.Semaphore(_TOGETHER)
        self.asked: list[str] = []
        """Pods whose index was asked for."""

    async def _start(self) -> None:
        """Nothing yet."""

    async def add(self, workload: Workload) -> list[str]:
        """The names of its pods."""
        plane, namespace = self._control_plane, workload.namespace
        await plane.api.apply(deployment(workload))
        names: list[str] = []

        async def run() -> bool:
            found = await plane.api.list("v1", "Pod", namespace, selector=f"app={workload.name}")
            names[:] = sorted(pod["metadata"]["name"] for pod in found)
            begun = all(
                pod["status"].get("phase") == "Running" and pod["status"].get("podIP") for pod in found
            )
            return len(found) == len(workload.pods) and begun

        await eventually(run, seconds=_READY_SECONDS)
        pods = zip(names, workload.pods, strict=True)
        await asyncio.gather(*(self._be(namespace, name, *stands) for name, stands in pods))
        return names

    async def add_pending(self, namespace: str, name: str, message: str) -> None:
        """A pod that no node has room for."""
        api = self._control_plane.api
        metadata = {"name": name, "namespace": namespace, "annotations": {HELD: "held"}}
        await api.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": {"containers": [triton_container()]},
            }
        )
        unscheduled = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
        }
        await api.patch(
            "v1",
            "Pod",
            name,
            {"status": {"phase": "Pending", "conditions": [unscheduled]}},
            namespace,
            subresource="status",
        )
        await self._control_plane.kubelet.event(namespace, name, "FailedScheduling", message)

    async def _be(self, namespace: str, pod: str, state: State, seen: Seen | None) -> None:
        async with self._together:
            await self._stand(namespace, pod, state, seen)

    async def _stand(self, namespace: str, pod: str, state: State, seen: Seen | None) -> None:
        kubelet = self._control_plane.kubelet
        file = await kubelet.log_file(namespace, pod, "triton", previous=state == "crash_loop")
        if seen is not None:
            await asyncio.to_thread(file.write_bytes, cri_lines(seen.log))
            if seen.failed.url is not None and state in ("ready", "unready"):
                await self._answer(namespace, pod, seen)
        match state:
            case "ready" | "unready":
                await kubelet.report(namespace, pod, running("triton", ready=state == "ready"))
            case "crash_loop":
                await kubelet.report(namespace, pod, crash_loop("triton", exit_code=1))
            case "image":
                said = 'Back-off pulling image "registry.example/nvidia/tritonserver:25.13"'
                await kubelet.report(namespace, pod, waiting("triton", "ImagePullBackOff", said))

    async def _answer(self, namespace: str, pod: str, seen: Seen) -> None:
        """Its index, as the failure's server gave it."""
        address = await self._control_plane.pod_proxy.join(namespace, pod)
        await self._resources.enter_async_context(self._control_plane.pod_addresses[address])

        async def index(request: web.Request) -> web.Response:
            self.asked.append(pod)
            return web.json_response(seen.failed.index)

        app = web.Application()
        app.router.add_post("/v2/repository/index", index)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, address, 8000).start()


def triton_container() -> Object:
    ports = [{"containerPort": number} for number in (8000, 8001, 8002)]
    return {"name": "triton", "image": IMAGE, "ports": ports}


def deployment(workload: Workload) -> Object:
    labels = {"app": workload.name}
    spec = {"nodeName": "node-0", "containers": [workload.container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": {
            "replicas": len(workload.pods),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
