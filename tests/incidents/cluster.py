"""The Kubernetes API beside an incident: a real API server with its own controllers, in which the world's pods stand as they would.

The Deployment and ReplicaSet controllers make, name and delete the pods; here are the parts of the scheduler, which binds a pod to
the node that the incident wants, and of the kubelet, which tells of its container what the process, its probe and its log do."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tests.controlplane import components
from tests.controlplane.build_tools import Tools
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kube_client import ApiRefused, Object
from tests.controlplane.kubelet import HELD, ContainerReport
from tests.incidents.pod_server import PodServer
from tests.latency.on_call import RIGHTS, account
from tests.local_process import eventually

if TYPE_CHECKING:
    from tests.incidents.world import World

NAMESPACE = "incidents"
WORKLOAD = "web"
CONTAINER = "triton"
NO_NODE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
IMAGE = "registry.example/triton:24.10"
ENDS = "triton-ops.test/kubelet"
"""A finalizer: a pod is there until its container has ended, as with a kubelet."""
SYNC_SECONDS = 0.3
HPA_SYNC_SECONDS = 3.0
"""15 s by default, as an incident is shorter than most."""
NOT_FOUND = 404
PATIENCE_SECONDS = 30.0
MAY = {**RIGHTS, "": (*RIGHTS[""], "pods/log")}


@dataclass(frozen=True)
class Template:
    """What the Deployment says of its pods."""

    image: str = IMAGE
    arguments: tuple[str, ...] = ()
    steady_seconds: int = 0
    """So long a new pod must have been ready before an old one ends."""
    memory_bytes: int = 0
    """The container's limit; 0: none."""


class Cluster:
    """An async context manager: `replicas` pods wait for their containers inside."""

    def __init__(self, tools: Tools, folder: Path, replicas: int, template: Template | None = None) -> None:
        self.plane = ControlPlane(
            tools, folder / "control-plane", components.Options(hpa_sync_seconds=HPA_SYNC_SECONDS, nodes=0)
        )
        self._template, self._replicas = template or Template(), replicas
        self._claimed: set[str] = set()
        self.addresses: dict[str, str] = {}
        """Of the pods that are placed: each has one of its own on loopback."""
        self._reported: dict[str, ContainerReport] = {}
        self._logged: dict[str, int] = {}
        self._placing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.plane.__aenter__()
        try:
            await self.plane.create_namespace(NAMESPACE)
            await self.plane.api.apply(account(NAMESPACE, "on-call", MAY))
            self.kubeconfig = await self.plane.service_account_kubeconfig(NAMESPACE, "on-call")
            await self.plane.api.apply(self._deployment())
        except BaseException:
            await self.plane.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.plane.__aexit__(kind, error, trace)

    async def place(self, node: str) -> str:
        """The name of a pod that waits for a node, and now has this one; the Deployment gets one more where none waits."""
        async with self._placing:
            waiting = await self._waiting()
            if not waiting and await self._has_all():
                await self._scale(len(await self.pods()) + 1)
            if not waiting:
                await eventually(self._some_wait, seconds=PATIENCE_SECONDS)
                waiting = await self._waiting()
            name = waiting[0]
            self._claimed.add(name)
        await self._bind(name, node)
        return name

    async def place_waiting(self, node: str) -> str | None:
        """As `place`, and None where no pod waits: how many there are is for others to say."""
        async with self._placing:
            waiting = await self._waiting()
            if not waiting:
                return None
            self._claimed.add(waiting[0])
        await self._bind(waiting[0], node)
        return waiting[0]

    async def refuse_waiting(self) -> str | None:
        """A pod that waits finds no node, as the scheduler would say; its name, or None where none waits."""
        waiting = await self._waiting()
        if not waiting:
            return None
        self._claimed.add(waiting[0])
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": NO_NODE,
            "lastTransitionTime": _time(time.time()),
        }
        status = {"status": {"conditions": [condition]}}
        await self.plane.api.patch("v1", "Pod", waiting[0], status, NAMESPACE, subresource="status")
        await self.plane.kubelet.event(NAMESPACE, waiting[0], "FailedScheduling", NO_NODE)
        return waiting[0]

    async def endings(self) -> list[str]:
        """Names of the pods that are to end."""
        listed = await self._listed()
        return [pod["metadata"]["name"] for pod in listed if "deletionTimestamp" in pod["metadata"]]

    async def _bind(self, name: str, node: str) -> None:
        await self._ensure_node(node)
        path = await self.plane.api.path("v1", "Pod", name, NAMESPACE)
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
        await self.plane.api.call(
            "POST", f"{path}/binding", binding | {"target": {"kind": "Node", "name": node}}
        )
        # kwok gives out the network's first addresses.
        self.addresses[name] = f"{self.plane.pod_network}.200.{len(self.addresses) + 1}"
        address = {"podIP": self.addresses[name], "podIPs": [{"ip": self.addresses[name]}]}
        await self.plane.api.patch("v1", "Pod", name, {"status": address}, NAMESPACE, subresource="status")
        await self.plane.kubelet.event(
            NAMESPACE, name, "Scheduled", f"Successfully assigned {NAMESPACE}/{name} to {node}", type="Normal"
        )

    async def delete(self, name: str) -> None:
        """As `kubectl delete pod` would: its ReplicaSet makes another at once."""
        await self.plane.api.delete("v1", "Pod", name, NAMESPACE)

    async def roll_out(self, template: Template) -> None:
        self._template = template
        await self.plane.api.apply(self._deployment())

    async def next_ending(self, known: set[str]) -> str:
        """The name of a pod that was told to end, and is none of these."""
        found: list[str] = []

        async def ending() -> bool:
            found[:] = [name for name in await self.endings() if name not in known]
            return bool(found)

        await eventually(ending, seconds=PATIENCE_SECONDS)
        return found[0]

    async def released(self, name: str) -> None:
        """Its container has ended, and nothing holds the pod any more."""
        patch: Object = {"metadata": {"finalizers": None}}
        with _gone():
            await self.plane.api.patch("v1", "Pod", name, patch, NAMESPACE)

    async def pods(self) -> list[Object]:
        """Of the Deployment, without those that are to end."""
        return [pod for pod in await self._listed() if "deletionTimestamp" not in pod["metadata"]]

    async def follow(self, world: "World") -> None:
        """The kubelet's loop, without end."""
        while True:
            for name, server in [*world.starting.items(), *world.pods.items()]:
                upstream = world.gateway.upstreams.get(name)
                with _gone():
                    await self._sync(name, server, ready=upstream is not None and upstream.ready)
            await asyncio.sleep(SYNC_SECONDS)

    async def _sync(self, name: str, server: PodServer, *, ready: bool) -> None:
        if not server.log.exists():
            return
        log = await self.plane.kubelet.log_file(NAMESPACE, name, CONTAINER)
        told = self._reported.get(name)
        now = _report(server, ready=ready)
        if told is not None and told.restart_count != now.restart_count:
            previous = await self.plane.kubelet.log_file(NAMESPACE, name, CONTAINER, previous=True)
            previous.with_name(f"{CONTAINER}.previous.log").write_bytes(log.read_bytes())
            log.write_bytes(b"")
        self._copy_log(server, log)
        if now == told:
            return
        self._reported[name] = now
        await self.plane.kubelet.report(NAMESPACE, name, now)
        if told is None or told.restart_count != now.restart_count:
            await self.plane.kubelet.event(
                NAMESPACE,
                name,
                "Started",
                f"Started container {CONTAINER}",
                type="Normal",
                container=CONTAINER,
            )
        elif told.ready and not now.ready:
            message = "Readiness probe failed: HTTP probe failed with statuscode: 400"
            await self.plane.kubelet.event(NAMESPACE, name, "Unhealthy", message, container=CONTAINER)

    def _copy_log(self, server: PodServer, log: Path) -> None:
        """Whole lines that were written since, as the container runtime keeps them."""
        with server.log.open("rb") as written:
            written.seek(self._logged.get(server.name, 0))
            lines = written.read().rpartition(b"\n")[0]
        if lines:
            self._logged[server.name] = self._logged.get(server.name, 0) + len(lines) + 1
            with log.open("ab") as kept:
                kept.write(cri_lines(lines + b"\n", datetime.now(UTC), apart_seconds=1e-6))

    def _deployment(self) -> Object:
        labels, template = {"app": WORKLOAD}, self._template
        container: Object = {
            "name": CONTAINER,
            "image": template.image,
            "args": ["tritonserver", *template.arguments],
        }
        if template.memory_bytes:
            container["resources"] = {"limits": {"memory": str(template.memory_bytes)}}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": WORKLOAD, "namespace": NAMESPACE},
            "spec": {
                "replicas": self._replicas,
                "minReadySeconds": template.steady_seconds,
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": {HELD: "held"}, "finalizers": [ENDS]},
                    "spec": {"containers": [container]},
                },
            },
        }

    async def _scale(self, replicas: int) -> None:
        self._replicas = replicas
        await self.plane.api.apply(self._deployment())

    async def _has_all(self) -> bool:
        """Whether the Deployment wants no pod beyond those that are placed."""
        pods = await self.pods()
        deployment = await self.plane.api.get("apps/v1", "Deployment", WORKLOAD, NAMESPACE)
        rolled = (
            deployment.get("status", {}).get("observedGeneration") == deployment["metadata"]["generation"]
        )
        updated = deployment.get("status", {}).get("updatedReplicas", 0)
        return rolled and len(pods) >= self._replicas and updated >= self._replicas

    async def _some_wait(self) -> bool:
        return bool(await self._waiting())

    async def _waiting(self) -> list[str]:
        names = [pod["metadata"]["name"] for pod in await self.pods() if not pod["spec"].get("nodeName")]
        return [name for name in names if name not in self._claimed]

    async def _listed(self) -> list[Object]:
        return await self.plane.api.list("v1", "Pod", NAMESPACE, selector=f"app={WORKLOAD}")

    async def _ensure_node(self, name: str) -> None:
        await self.plane.api.apply(components.node(name))

        async def has_address() -> bool:
            node = await self.plane.api.get("v1", "Node", name)
            return bool(node.get("status", {}).get("addresses"))

        await eventually(has_address, seconds=PATIENCE_SECONDS)


@contextlib.contextmanager
def _gone() -> Iterator[None]:
    """A pod may go at any time."""
    try:
        yield
    except ApiRefused as refused:
        if refused.status != NOT_FOUND:
            raise


def _report(server: PodServer, *, ready: bool) -> ContainerReport:
    last = server.last_end
    ended = (
        {
            "terminated": {
                "exitCode": last.exit_code,
                "reason": last.reason,
                "startedAt": _time(last.started_at),
                "finishedAt": _time(last.at),
            }
        }
        if last
        else None
    )
    return ContainerReport(
        CONTAINER,
        {"running": {"startedAt": _time(server.started_at)}},
        last_state=ended,
        ready=ready,
        restart_count=server.restarts,
        started=True,
    )


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
