"""A Deployment `web` whose pods are real Tritons, with users who do not wait for answers, in a namespace of its own.

The API server's own controllers roll it out. A simulated pod is ready before its Triton is, so each has to be ready for some
seconds before an old one is ended; requests come to a Triton some moments after it began to serve, as readiness probes and
endpoints take their time."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.latency.runtime_logs import runtime_logs
from tests.local_process import eventually
from tests.prometheus.server import PrometheusServer, Target
from tests.tritons.install import TritonInstall
from tests.tritons.load import MOST_SECONDS, Load
from tests.tritons.pods import PodTritons
from tests.tritons.repository import Model, lay_out

SELECTOR = "app=web"
REPLICAS = 2
START_SECONDS = 9
"""Between a pod's readiness and the end of an old one; a Triton starts in half of it on an idle machine."""
ENDPOINT_SECONDS = 3.0
"""Between a Triton's first answer and its first request."""
PROMPT_DISCOVERY = ("--scrape.discovery-reload-interval=100ms",)
"""For Prometheus: else it scrapes a new pod up to 10 s late, twice 5 s, and what happens in it meanwhile cannot be dated."""
ROLLED_OUT_SECONDS = 90.0
EPOCH = time.time() - time.monotonic()
"""Makes seconds since 1970 of monotonic ones."""


@dataclass
class Fleet:
    control_plane: ControlPlane
    namespace: str
    tritons: PodTritons
    folder: Path
    users: asyncio.TaskGroup
    loads: list[tuple[Load, asyncio.Task[object]]] = field(default_factory=list)
    targets: dict[str, Target] = field(default_factory=dict)
    """Of the pods that have an address, by their names, whether their Tritons answer yet or not: as Prometheus finds them."""
    _since: dict[str, float] = field(default_factory=dict)

    async def until_ready(self) -> None:
        await self.tritons.until(REPLICAS, seconds=ROLLED_OUT_SECONDS)

    def endpoints(self) -> list[str]:
        """Base addresses of the servers that requests are sent to now."""
        now = time.monotonic()
        urls = self.tritons.urls()
        self._since = {url: self._since.get(url, now) for url in urls}
        return [url for url in urls if now - self._since[url] >= ENDPOINT_SECONDS]

    def send(self, per_second: float) -> float:
        """So many more requests a second, from now on; when that is, in seconds since 1970."""
        load = Load(self.endpoints)
        task = self.users.create_task(load.open_loop(per_second=per_second, seconds=MOST_SECONDS))
        self.loads.append((load, task))
        return time.time()

    def serve_from_now_on(self, model: Model) -> None:
        """What the servers of pods to come find in their repository."""
        self.tritons.repository = lay_out(self.folder / f"repository-{model.versions[-1]}", model)

    async def roll_out(self, template: Object) -> float:
        """Changes the pods' template and returns, once no old pod is left, since when new ones get requests."""
        old = set(self.tritons.servers)
        patch = {"spec": {"template": template}}
        await self.control_plane.api.patch("apps/v1", "Deployment", "web", patch, self.namespace)

        async def replaced() -> bool:
            return len(self.tritons.servers) == REPLICAS and not old & set(self.tritons.servers)

        await eventually(replaced, seconds=ROLLED_OUT_SECONDS)
        new = set(self.tritons.urls())

        async def answered() -> bool:
            return any(each.url in new for load, _ in self.loads for each in load.sent)

        await eventually(answered, seconds=ROLLED_OUT_SECONDS)
        return min(each.sent for load, _ in self.loads for each in load.sent if each.url in new) + EPOCH

    def addresses(self) -> list[str]:
        """The flags that name the live servers."""
        servers = [server for _, server in sorted(self.tritons.servers.items())]
        urls = [word for server in servers for word in ("--triton", server.url)]
        return urls + [word for server in servers for word in ("--metrics", server.metrics_url)]

    async def find_targets(self, prometheus: PrometheusServer, fleets: Sequence["Fleet"]) -> None:
        """Keeps Prometheus at the pods of all these fleets, as those of this one come and go; without end."""
        pods = self.control_plane.api.watch("v1", "Pod", self.namespace, selector=SELECTOR)
        async with aclosing(pods) as events:
            async for event, pod in events:
                name, address = pod["metadata"]["name"], pod["status"].get("podIP")
                self.targets.pop(name, None)
                if event != "DELETED" and address:
                    labels = {"pod": name, "namespace": self.namespace, "node": pod["spec"]["nodeName"]}
                    self.targets[name] = Target(f"{address}:8002", labels)
                prometheus.set_targets([target for fleet in fleets for target in fleet.targets.values()])


@asynccontextmanager
async def fleet_under_load(
    control_plane: ControlPlane, install: TritonInstall, folder: Path, *, namespace: str, model: Model
) -> AsyncIterator[Fleet]:
    """Its pods are starting, and nobody sends yet."""
    async with AsyncExitStack() as stack:
        await control_plane.create_namespace(namespace)
        stack.push_async_callback(control_plane.delete_namespace, namespace)
        await control_plane.api.apply(deployment(namespace))
        repository = lay_out(folder / "repository-1", model)
        tritons = await stack.enter_async_context(
            PodTritons(control_plane, install, namespace, SELECTOR, repository, folder)
        )
        await stack.enter_async_context(runtime_logs(control_plane, tritons, "triton"))
        async with asyncio.TaskGroup() as users:
            fleet = Fleet(control_plane, namespace, tritons, folder, users)
            try:
                yield fleet
            finally:
                for _, task in fleet.loads:
                    task.cancel()


def deployment(namespace: str) -> Object:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": REPLICAS,
            "minReadySeconds": START_SECONDS,
            "strategy": {"rollingUpdate": {"maxSurge": REPLICAS, "maxUnavailable": 0}},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_of("web:1")},
        },
    }


def pod_of(image: str) -> Object:
    """The pods' spec with this image of Triton."""
    container = {"name": "triton", "image": image}
    return {"nodeName": "node-0", "containers": [container], "terminationGracePeriodSeconds": 0}
