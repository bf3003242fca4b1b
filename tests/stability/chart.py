"""NVIDIA's rule of deploy/k8s-onprem (triton-inference-server/server, values.yaml) as its users have it: its own query on a real
Prometheus, answered to the HPA as a metric of pods, which prometheus-adapter does there and this small server here."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import aiohttp
from aiohttp import web

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.local_process import free_ports
from tests.opened import Opened
from tests.prometheus.server import PrometheusServer
from tests.stability.systems import WINDOW_SECONDS

GROUP: Final = "custom.metrics.k8s.io"
VERSION: Final = "v1beta2"
METRIC: Final = "avg_time_queue_us"
SERVICE: Final = "chart-adapter"
AVAILABLE_SECONDS: Final = 60.0


def query(namespace: str, pods: Iterable[str]) -> str:
    """The chart's `metricsQuery`, with the adapter's matchers, grouped by pod; its 30 s at this pace."""
    matchers = f'namespace="{namespace}",pod=~"{"|".join(sorted(pods))}"'
    window = f"[{WINDOW_SECONDS:g}s]"
    queue = f"delta(nv_inference_queue_duration_us{{{matchers}}}{window})"
    success = f"delta(nv_inference_request_success{{{matchers}}}{window})"
    return f"avg({queue}/(1+{success})) by (pod)"


class ChartAdapter(Opened):
    """An async context manager: the HPA gets the metric inside. `pods_of` tells a namespace's pods."""

    def __init__(
        self,
        control_plane: ControlPlane,
        prometheus: PrometheusServer,
        pods_of: Callable[[str], Iterable[str]],
    ) -> None:
        super().__init__()
        self._control_plane = control_plane
        self._prometheus = prometheus
        self._pods_of = pods_of

    async def _start(self) -> None:
        app = web.Application()
        root = f"/apis/{GROUP}/{VERSION}"
        app.router.add_get(root, self._resource_list)
        app.router.add_get(f"{root}/namespaces/{{namespace}}/pods/*/{METRIC}", self._values)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        (port,) = free_ports(1)
        pair = self._control_plane.certificates.server(SERVICE)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pair.certificate, pair.key)
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        await self._control_plane.create_namespace(SERVICE)
        api = self._control_plane.api
        name = f"{VERSION}.{GROUP}"
        await api.apply(_manifests(name, port))
        self._resources.push_async_callback(api.delete, "apiregistration.k8s.io/v1", "APIService", name)
        async with asyncio.timeout(AVAILABLE_SECONDS):
            while not await self._available(name):  # noqa: ASYNC110 - the aggregator looks by itself
                await asyncio.sleep(0.5)

    async def _available(self, name: str) -> bool:
        found = await self._control_plane.api.get("apiregistration.k8s.io/v1", "APIService", name)
        conditions = found.get("status", {}).get("conditions") or []
        return any(each["type"] == "Available" and each["status"] == "True" for each in conditions)

    async def _resource_list(self, request: web.Request) -> web.Response:
        resource = {
            "name": f"pods/{METRIC}",
            "singularName": "",
            "namespaced": True,
            "kind": "MetricValueList",
            "verbs": ["get"],
        }
        listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"}
        return web.json_response(listed | {"resources": [resource]})

    async def _values(self, request: web.Request) -> web.Response:
        namespace = request.match_info["namespace"]
        try:
            found = await self._prometheus.ask("query", query=query(namespace, self._pods_of(namespace)))
        except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
            return _refused(503, f"unable to fetch metrics: {problem!r}")
        items = [_item(namespace, row["metric"]["pod"], row["value"][1]) for row in found["result"]]
        if not items:
            return _refused(404, "the server could not find the metric for pods")
        listed = {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}}
        return web.json_response(listed | {"items": items})


def _item(namespace: str, pod: str, value: str) -> Object:
    return {
        "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "/v1"},
        "metric": {"name": METRIC, "selector": None},
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "value": f"{float(value) * 1000:.0f}m",
    }


def _refused(code: int, message: str) -> web.Response:
    reason = {404: "NotFound", 503: "ServiceUnavailable"}[code]
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return web.json_response(status | {"message": message, "reason": reason, "code": code}, status=code)


def _manifests(name: str, port: int) -> list[Object]:
    metadata = {"name": SERVICE, "namespace": SERVICE}
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": ports},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": metadata | {"port": port},
            },
        },
    ]
