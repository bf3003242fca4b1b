"""What a cluster's exporters would serve: numbers of the kernel and of the API server under the names of cAdvisor, node-exporter
and kube-state-metrics. Only the exporters between are ours.

A node is the processors that its pods are bound to, or the whole machine. What runs at the lowest priority takes only what nobody
wants, so it counts as idle: it is the machine's other work, and none of the incident's."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.controlplane.kube_client import Object
from tests.incidents.cluster import NAMESPACE, Cluster
from tests.incidents.world import World
from tests.local_process import free_ports
from tests.prometheus.server import Target

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


class Exporters:
    """Their address, and what Prometheus has to scrape of them now."""

    def __init__(self, world: World, address: str) -> None:
        self._world, self._address = world, address

    def targets(self) -> list[Target]:
        nodes = sorted({server.plan.node for server in self._world.pods.values()})
        return [
            Target(self._address, path="/kubelet"),
            *(Target(self._address, {"node": node}, f"/node/{node}") for node in nodes),
            *([Target(self._address, path="/state")] if self._world.cluster else []),
        ]


@asynccontextmanager
async def exporters(world: World) -> AsyncIterator[Exporters]:
    async def kubelet(_: web.Request) -> web.Response:
        return _page(_containers(world))

    async def node(request: web.Request) -> web.Response:
        return _page(_processors(world, request.match_info["node"]))

    async def state(_: web.Request) -> web.Response:
        assert world.cluster is not None
        return _page([line async for line in _state(world.cluster)])

    app = web.Application()
    app.router.add_get("/kubelet", kubelet)
    app.router.add_get("/node/{node}", node)
    app.router.add_get("/state", state)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield Exporters(world, f"127.0.0.1:{port}")
    finally:
        await runner.cleanup()


def _page(lines: Iterator[str] | list[str]) -> web.Response:
    return web.Response(text="".join(f"{line}\n" for line in lines))


def _containers(world: World) -> Iterator[str]:
    """cAdvisor's."""
    for name, server in world.pods.items():
        if server.group is None:
            continue
        usage = server.group.usage()
        labels = f'{{namespace="{NAMESPACE}",pod="{name}",container="triton",image="tritonserver"}}'
        yield f"container_cpu_cfs_periods_total{labels} {usage.periods}"
        yield f"container_cpu_cfs_throttled_periods_total{labels} {usage.throttled_periods}"
        yield f"container_cpu_usage_seconds_total{labels} {usage.cpu_seconds}"
        yield f"container_memory_working_set_bytes{labels} {usage.memory_bytes}"


def _processors(world: World, node: str) -> Iterator[str]:
    """node-exporter's."""
    cores = {server.plan.core for server in world.pods.values() if server.plan.node == node}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counts = line.split()
        if not name.startswith("cpu") or name == "cpu" or (None not in cores and int(name[3:]) not in cores):
            continue
        ticks = dict(zip(MODES, map(int, counts), strict=False))
        ticks["idle"] += ticks.pop("nice")
        for mode, count in ticks.items():
            yield f'node_cpu_seconds_total{{cpu="{name[3:]}",mode="{mode}"}} {count / os.sysconf("SC_CLK_TCK")}'


async def _state(cluster: Cluster) -> AsyncIterator[str]:
    """kube-state-metrics'."""
    api = cluster.plane.api
    for pod in await api.list("v1", "Pod", NAMESPACE):
        for line in _pod(pod):
            yield line
    for deployment in await api.list("apps/v1", "Deployment", NAMESPACE):
        labels = f'{{namespace="{NAMESPACE}",deployment="{deployment["metadata"]["name"]}"}}'
        status = deployment.get("status", {})
        yield f"kube_deployment_spec_replicas{labels} {deployment['spec']['replicas']}"
        yield f"kube_deployment_status_replicas_ready{labels} {status.get('readyReplicas', 0)}"
    for hpa in await api.list("autoscaling/v2", "HorizontalPodAutoscaler", NAMESPACE):
        labels = f'{{namespace="{NAMESPACE}",horizontalpodautoscaler="{hpa["metadata"]["name"]}"}}'
        spec, status = hpa["spec"], hpa.get("status", {})
        yield f"kube_horizontalpodautoscaler_spec_max_replicas{labels} {spec['maxReplicas']}"
        yield f"kube_horizontalpodautoscaler_spec_min_replicas{labels} {spec.get('minReplicas', 1)}"
        yield f"kube_horizontalpodautoscaler_status_current_replicas{labels} {status.get('currentReplicas', 0)}"
        yield f"kube_horizontalpodautoscaler_status_desired_replicas{labels} {status.get('desiredReplicas', 0)}"


def _pod(pod: Object) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    of_pod = f'namespace="{NAMESPACE}",pod="{name}"'
    for phase in PHASES:
        yield f'kube_pod_status_phase{{{of_pod},phase="{phase}"}} {int(status.get("phase") == phase)}'
    for container in status.get("containerStatuses", ()):
        of_container = f'{of_pod},container="{container["name"]}"'
        yield f"kube_pod_container_status_restarts_total{{{of_container}}} {container['restartCount']}"
    for container in pod["spec"]["containers"]:
        for resource, amount in container.get("resources", {}).get("limits", {}).items():
            unit = {"memory": "byte", "cpu": "core"}[resource]
            of_container = f'{of_pod},container="{container["name"]}",resource="{resource}",unit="{unit}"'
            yield f"kube_pod_container_resource_limits{{{of_container}}} {plain_number(amount)}"


def plain_number(quantity: str) -> float:
    """Of the forms that the API server gives the incidents' limits: plain, `600M`, `500m`."""
    scales = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
    scale = scales.get(quantity[-1])
    return float(quantity) if scale is None else float(quantity[:-1]) * scale
