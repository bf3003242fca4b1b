"""The autoscaler of an incident's fleet: the real HPA, fed by the real `triton-autoscaler`; and what a scheduler and a kubelet do
with the pods that it asks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.controlplane.kube_client import Object
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import rules_with_window
from tests.incidents.cluster import NAMESPACE, WORKLOAD, Cluster
from tests.incidents.pod_server import Pod
from tests.incidents.world import World, cancelled

CONFIG: dict[str, Any] = {
    "targets": {"kubernetes": {"selector": f"app={WORKLOAD}"}},
    "scrape": {"interval": "1s", "timeout": "800ms"},
}
LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class Autoscaler:
    """What the HPA says."""

    most: int
    least: int = 2
    signal: str = "triton_inference_concurrency"
    average: str = ""
    """Target of a total, for each pod."""
    value: str = ""
    """Target of a mean, in the place of `average`."""
    down_seconds: int = 300
    """Its stabilization window of scaling down."""

    def hpa(self) -> Object:
        target = (
            {"type": "AverageValue", "averageValue": self.average}
            if self.average
            else {"type": "Value", "value": self.value}
        )
        selector = {"matchLabels": {"workload": WORKLOAD}}
        metric = {"metric": {"name": self.signal, "selector": selector}, "target": target}
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": WORKLOAD, "namespace": NAMESPACE},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKLOAD},
                "minReplicas": self.least,
                "maxReplicas": self.most,
                "metrics": [{"type": "External", "external": metric}],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": self.down_seconds}},
            },
        }


class Autoscaling:
    """What an incident does to it."""

    def __init__(self, world: World, cluster: Cluster, daemon: Daemon) -> None:
        self._world, self._cluster, self._daemon = world, cluster, daemon
        self.plan: Pod | None = Pod("node-c")
        """Of the pods that the HPA asks for; None: no node takes them."""

    async def set(self, autoscaler: Autoscaler) -> None:
        await self._cluster.plane.api.apply(autoscaler.hpa())
        self._world.note(f"the HPA is {autoscaler}")

    async def blind(self) -> None:
        await self._daemon.kill()
        self._world.note("killed triton-autoscaler")

    async def conditions(self) -> dict[str, str]:
        """The HPA's, as `status reason` by type."""
        hpa = await self._cluster.plane.api.get(
            "autoscaling/v2", "HorizontalPodAutoscaler", WORKLOAD, NAMESPACE
        )
        return {
            each["type"]: f"{each['status']} {each['reason']}" for each in hpa["status"].get("conditions", ())
        }

    async def obey(self) -> None:
        """Gives nodes to the pods that come, ends those that are to go, and notes how many are wanted; without end."""
        async with asyncio.TaskGroup() as pods:
            ended: set[str] = set()
            wanted = 0
            while True:
                deployment = await self._cluster.plane.api.get("apps/v1", "Deployment", WORKLOAD, NAMESPACE)
                if deployment["spec"]["replicas"] != wanted:
                    wanted = deployment["spec"]["replicas"]
                    self._world.note(f"wanted replicas: {wanted}")
                if self.plan is None:
                    if name := await self._cluster.refuse_waiting():
                        self._world.note(f"no node for {name}")
                elif name := await self._cluster.place_waiting(self.plan.node):
                    pods.create_task(self._world.start_placed(name, self.plan))
                for name in await self._cluster.endings():
                    if name not in ended:
                        ended.add(name)
                        pods.create_task(self._end(name))
                await asyncio.sleep(LOOK_SECONDS)

    async def _end(self, name: str) -> None:
        if name in self._world.pods:
            await self._world.stop_pod(name)
        else:  # it never ran
            await self._cluster.released(name)


@asynccontextmanager
async def autoscaling(world: World, autoscaler: Autoscaler) -> AsyncIterator[None]:
    """The HPA gets its metric inside, and the world has its `autoscaling`."""
    cluster = world.cluster
    assert cluster is not None, "an autoscaler needs a cluster"
    folder = world.folder / "autoscaler"
    folder.mkdir()
    daemon = Daemon(cluster.plane, folder, CONFIG, rules=rules_with_window(folder / "rules"))
    await cluster.plane.install_external_metrics(daemon.port)
    async with daemon:
        await daemon.until_ready()
        await cluster.plane.wait_for_external_metrics()
        found = world.autoscaling = Autoscaling(world, cluster, daemon)
        await found.set(autoscaler)
        obeying = asyncio.create_task(found.obey())
        try:
            yield
        finally:
            await cancelled(obeying)
