"""A pod's page through the real API server's `pods/proxy`, and what it answers when there is none."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import ApiRefused, Object
from tests.local_process import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "pod-proxy"
PAGE = "m 1\n" * 1000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(control_plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    """With a pod that answers on port 8002."""
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(pod("web"))
    await eventually(lambda: _runs(control_plane, "web"), seconds=20)
    address = await control_plane.pod_proxy.join(NAMESPACE, "web")
    async with control_plane.pod_addresses[address]:
        app = web.Application()
        app.router.add_get("/metrics", _metrics)
        app.router.add_get("/raw/{rest:.*}", _raw)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, address, 8002).start()
        yield control_plane
        await runner.cleanup()
    await control_plane.delete_namespace(NAMESPACE)


async def test_a_page_comes_as_the_pod_sent_it(plane: ControlPlane) -> None:
    """The path and its query arrive, and an error of the pod passes through."""
    assert await page(plane, "web:8002", "metrics?a=b") == PAGE + "a=b"
    with pytest.raises(ApiRefused, match="404"):
        await page(plane, "web:8002", "nowhere")


async def test_a_slash_that_is_escaped_does_not_stay_so(plane: ControlPlane) -> None:
    """So Triton cannot be asked through the proxy about a model whose name has one."""
    assert await page(plane, "web:8002", "raw/org%2Fname%3Av2") == "/raw/org/name:v2"


async def test_a_port_on_which_nobody_listens_is_unavailable(plane: ControlPlane) -> None:
    with pytest.raises(ApiRefused, match=r"error trying to reach service: .*connection refused") as refused:
        await page(plane, "web:8003", "metrics")
    assert (refused.value.status, refused.value.reason) == (503, "ServiceUnavailable")


async def test_an_address_on_loopback_is_refused(plane: ControlPlane) -> None:
    """Which is why simulated pods have to join a network of their own."""
    await plane.api.apply(pod("loopback"))
    await eventually(lambda: _runs(plane, "loopback"), seconds=20)
    with pytest.raises(ApiRefused, match="address not allowed") as refused:
        await page(plane, "loopback:8002", "metrics")
    assert refused.value.status == 400


async def page(plane: ControlPlane, where: str, path: str) -> str:
    answer = await plane.api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/{where}/proxy/{path}")
    return str(answer["text"])


def pod(name: str) -> Object:
    spec = {"nodeName": "node-0", "containers": [{"name": "triton", "image": "tritonserver"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


async def _runs(plane: ControlPlane, name: str) -> bool:
    found = await plane.api.get("v1", "Pod", name, NAMESPACE)
    return found["status"].get("phase") == "Running" and bool(found["status"].get("podIP"))


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(text=PAGE + request.query_string)


async def _raw(request: web.Request) -> web.Response:
    return web.Response(text=request.raw_path)
