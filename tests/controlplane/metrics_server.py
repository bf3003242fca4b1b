"""The least that the API server and the HPA take for an external metrics server: it says what it is told to say, at once."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trustme
from aiohttp import web

from tests.controlplane.control_plane import ControlPlane
from tests.local_process import free_ports

_GROUP_VERSION = "external.metrics.k8s.io/v1beta1"


@dataclass(frozen=True)
class MetricsServer:
    """Front proxy only."""

    port: int
    authority: trustme.CA
    askers: list[str] = field(default_factory=list)
    """The users that were answered, one a question."""


@asynccontextmanager
async def metrics_server(
    control_plane: ControlPlane, value: Callable[[str, str], str | None]
) -> AsyncIterator[MetricsServer]:
    """Serves all external metrics of the control plane inside. `value` gives the quantity of (namespace, metric), or None for an
    error 404."""
    server = MetricsServer(free_ports(1)[0], trustme.CA())
    front_proxies = str(control_plane.certificates.request_header_ca)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=front_proxies)
    tls.verify_mode = ssl.CERT_REQUIRED
    server.authority.issue_cert("triton-autoscaler.triton-ops.svc").configure_cert(tls)

    async def discover(request: web.Request) -> web.Response:
        resource = {"name": "any", "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}
        document = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": _GROUP_VERSION}
        return web.json_response(document | {"resources": [resource]})

    async def answer(request: web.Request) -> web.Response:
        metric = request.match_info["metric"]
        said = value(request.match_info["namespace"], metric)
        if said is None:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
            return web.json_response(status | {"reason": "NotFound", "message": "no data"}, status=404)
        server.askers.append(request.headers["X-Remote-User"])
        item = {"metricName": metric, "metricLabels": {}, "timestamp": "2026-01-01T00:00:00Z", "value": said}
        told = {"kind": "ExternalMetricValueList", "apiVersion": _GROUP_VERSION, "metadata": {}}
        return web.json_response(told | {"items": [item]})

    application = web.Application()
    application.router.add_get(f"/apis/{_GROUP_VERSION}/namespaces/{{namespace}}/{{metric}}", answer)
    application.router.add_route("*", "/{path:.*}", discover)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", server.port, ssl_context=tls).start()
    try:
        await control_plane.install_external_metrics(server.port, ca_bundle=server.authority.cert_pem.bytes())
        await control_plane.wait_for_external_metrics()
        yield server
    finally:
        await control_plane.remove_external_metrics()
        await runner.cleanup()
