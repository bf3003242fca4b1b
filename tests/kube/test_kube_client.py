"""The raw client against a strict server on loopback: what it asks, and what it says when that fails."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from aiohttp import web

from telemetry.kube_client import KubernetesClient, describe_request
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from tests.kube.api_server import ApiServer, answer, api_server, kubeconfig, refusal, stream

PODS = "/api/v1/namespaces/prod/pods"


@asynccontextmanager
async def connected(
    folder: Path, *, deadline_seconds: float = 5.0, max_line_bytes: int = 1000
) -> AsyncIterator[tuple[ApiServer, KubernetesClient]]:
    async with (
        api_server() as server,
        KubernetesClient(
            kubeconfig=kubeconfig(folder, server.url),
            deadline_seconds=deadline_seconds,
            max_line_bytes=max_line_bytes,
        ) as client,
    ):
        yield server, client


async def watched(client: KubernetesApi, query: Mapping[str, str]) -> list[bytes]:
    """The lines after the empty one that says that the server has taken the watch."""
    taken, *lines = [line async for line in client.watch(PODS, query)]
    assert taken == b""
    return lines


async def test_the_body_comes_as_the_server_sent_it(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.expect(f"{PODS}?labelSelector=app=triton,tier in (a, b)", answer({"items": []}))
        assert await client.get(PODS, {"labelSelector": "app=triton,tier in (a, b)"}) == b'{"items": []}'


async def test_a_put_sends_the_object_and_the_token(tmp_path: Path) -> None:
    sent: list[tuple[str, str, object]] = []

    async def take(request: web.Request) -> web.StreamResponse:
        sent.append((request.method, request.headers["authorization"], await request.json()))
        return web.json_response({"stored": True})

    async with connected(tmp_path) as (server, client):
        server.expect("/apis/apps/v1/namespaces/prod/deployments/d", take)
        body = await client.put("/apis/apps/v1/namespaces/prod/deployments/d", b'{"spec": {"replicas": 2}}')
    assert (sent, body) == ([("PUT", "Bearer t0ken", {"spec": {"replicas": 2}})], b'{"stored": true}')


async def test_lines_are_whole_however_they_arrive(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.expect(f"{PODS}?watch=true", stream(b'{"a"', b': 1}\n{"b": 2}\n\n{"c"', b": 3}\n"))
        assert await watched(client, {}) == [b'{"a": 1}', b'{"b": 2}', b'{"c": 3}']


async def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.expect(f"{PODS}?watch=true", stream(b"x" * 1001, then_hang=True))
        with pytest.raises(KubernetesError, match="an event is longer than 1000 bytes"):
            await watched(client, {})


async def test_a_server_that_accepts_and_never_answers_costs_one_deadline(tmp_path: Path) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with connected(tmp_path, deadline_seconds=0.05) as (server, client):
        server.expect(PODS, hang)
        server.expect(f"{PODS}?watch=true", hang)
        with pytest.raises(KubernetesError) as got:
            await client.get(PODS)
        assert str(got.value) == f'cannot list pods in namespace "prod": no answer in time from {server.url}'
        with pytest.raises(KubernetesError, match="cannot watch pods"):
            await watched(client, {})


async def test_nobody_listening_is_said_with_the_address(tmp_path: Path) -> None:
    async with KubernetesClient(kubeconfig=kubeconfig(tmp_path, "http://127.0.0.1:1")) as client:
        with pytest.raises(KubernetesError) as got:
            await client.get("/api/v1/pods")
    assert (got.value.status, str(got.value)) == (
        None,
        "cannot list pods in all namespaces: http://127.0.0.1:1: Connection refused;"
        " check that this is the API server's address and that it is up",
    )


async def test_a_token_that_expired_is_read_again_from_the_kubeconfig(tmp_path: Path) -> None:
    tokens: list[str] = []

    async def accept_new(request: web.Request) -> web.StreamResponse:
        tokens.append(request.headers["authorization"])
        return web.json_response({})

    async with connected(tmp_path) as (server, client):
        server.expect(PODS, refusal(401, "Unauthorized", "Unauthorized"))
        server.expect(PODS, accept_new)
        with pytest.raises(KubernetesError, match="the credentials were not accepted"):
            await client.get(PODS)
        kubeconfig(tmp_path, server.url, token="newer")
        await client.get(PODS)
    assert tokens == ["Bearer newer"]


async def test_credentials_that_end_under_many_calls_at_once_are_an_error_of_each(tmp_path: Path) -> None:
    """As when a token is revoked: every list, watch and look-up is refused in the same moment, and each drops the connection
    pool that the others use."""
    refused = {"message": "Unauthorized", "reason": "Unauthorized"}
    async with connected(tmp_path) as (server, client):
        server.expect_any(PODS, answer(refused, status=401))
        server.expect_any(f"{PODS}?watch=true", stream(b'{"a": 1}\n', then_hang=True))
        watch = client.watch(PODS, {})
        assert [await anext(watch), await anext(watch)] == [b"", b'{"a": 1}']
        for _ in range(5):
            said = await asyncio.gather(*(client.get(PODS) for _ in range(40)), return_exceptions=True)
            assert {type(each) for each in said} == {KubernetesError}, said
        server.expect_any(PODS, answer({"items": []}))
        assert await client.get(PODS) == b'{"items": []}'
        await watch.aclose()  # type: ignore[attr-defined]


async def test_a_proxys_error_page_is_an_error_with_its_status(tmp_path: Path) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>", reason="Bad Gateway")

    async with connected(tmp_path) as (server, client):
        server.expect(PODS, page)
        with pytest.raises(KubernetesError) as got:
            await client.get(PODS)
    assert (got.value.status, str(got.value)) == (
        502,
        'cannot list pods in namespace "prod": 502 Bad Gateway',
    )


async def test_a_missing_kubeconfig_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(KubernetesError, match="pass --kubeconfig and --context"):
        async with KubernetesClient(kubeconfig=str(tmp_path / "none")):
            raise AssertionError


async def test_a_context_that_the_kubeconfig_lacks_is_told_at_start(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(KubernetesError, match="no usable Kubernetes credentials"):
        async with KubernetesClient(kubeconfig=config, context="prod-eu"):
            raise AssertionError


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "hello",
        "[1]",
        "",
        "current-context: c\ncontexts: [{name: c, context: 3}]",
        "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: 5\nusers: 5",
        "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 1, certificate-authority-data: 5}}]\nusers: [{name: u, user: 3}]",
    ],
)
async def test_a_kubeconfig_that_is_none_is_told_at_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(KubernetesError, match=f"no usable Kubernetes credentials in {file}"):
        async with KubernetesClient(kubeconfig=str(file)):
            raise AssertionError


async def test_in_a_pod_the_service_account_is_used_and_its_token_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loader's paths are fixed, so this test replaces those and leaves the rest as it is."""
    from kubernetes.aio.config import incluster_config

    monkeypatch.delenv("KUBECONFIG", raising=False)
    (tmp_path / "token").write_text("from-file")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    for name, value in environment.items():
        monkeypatch.setitem(os.environ, name, value)

    def load(client_configuration: object, try_refresh_token: bool = True) -> None:
        make_loader: Any = incluster_config.InClusterConfigLoader
        loader = make_loader(str(tmp_path / "token"), str(tmp_path / "ca.crt"), try_refresh_token)
        loader.load_and_set(client_configuration)

    monkeypatch.setattr("kubernetes.aio.config.load_incluster_config", load)
    async with KubernetesClient() as client:
        assert client._connection is not None
        configuration = client._connection.client.configuration
        assert configuration.host == "https://10.0.0.1:443"
        assert (await configuration.auth_settings())["BearerToken"]["value"] == "bearer from-file"


@pytest.mark.parametrize(
    ("method", "path", "query", "words"),
    [
        ("GET", "/api/v1/pods", {}, "list pods in all namespaces"),
        ("GET", "/api/v1/pods", {"watch": "true"}, "watch pods in all namespaces"),
        ("GET", "/api/v1/namespaces/a/pods/p", {}, 'get pods "p" in namespace "a"'),
        ("GET", "/api/v1/namespaces/a/pods/p/log", {}, 'get pods/log "p" in namespace "a"'),
        ("GET", "/api/v1/namespaces/a", {}, 'get namespaces "a"'),
        ("GET", "/api/v1/nodes/n", {}, 'get nodes "n"'),
        ("GET", "/apis/apps/v1/namespaces/a/replicasets", {}, 'list replicasets.apps in namespace "a"'),
        (
            "PUT",
            "/apis/apiregistration.k8s.io/v1/apiservices/x",
            {},
            'update apiservices.apiregistration.k8s.io "x"',
        ),
        ("GET", "/version", {}, "GET /version"),
        ("GET", "/apis", {}, "GET /apis"),
    ],
)
def test_a_request_is_told_in_the_words_of_rbac(
    method: str, path: str, query: dict[str, str], words: str
) -> None:
    assert describe_request(method, path, query) == words


def test_the_client_is_the_api_that_others_ask_for() -> None:
    api: KubernetesApi = KubernetesClient()
    assert cast(object, api) is not None


PAGE = "/api/v1/namespaces/prod/pods/triton-0:8002/proxy/metrics"


async def test_a_pods_page_comes_as_it_is_and_no_longer_than_it_may(tmp_path: Path) -> None:
    """Compression is not asked for: it would hide how much comes."""
    asked: list[str | None] = []

    async def page(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("accept-encoding"))
        return web.Response(text="m 1\n" * 10)

    async with connected(tmp_path) as (server, client):
        server.expect(PAGE, page)
        server.expect(PAGE, page)
        assert await client.fetch(PAGE, 40) == b"m 1\n" * 10
        with pytest.raises(KubernetesError, match="the pod sends more than 39 bytes") as refused:
            await client.fetch(PAGE, 39)
    assert (refused.value.reason, asked) == ("TooLarge", ["identity", "identity"])


async def test_a_pod_redirects_nobody_and_its_own_error_is_not_the_api_servers(tmp_path: Path) -> None:
    """The API server hands a pod's redirect on, and the token would go along to another path of the API."""

    async def astray(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/api/v1/namespaces/prod/secrets")

    async def missing(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404, text="no such page")

    async with connected(tmp_path) as (server, client):
        server.expect(PAGE, astray)
        server.expect(PAGE, missing)
        with pytest.raises(KubernetesError, match="a redirect, which is not followed"):
            await client.fetch(PAGE, 100)
        with pytest.raises(KubernetesError, match="404") as refused:
            await client.fetch(PAGE, 100)
    assert (refused.value.status, refused.value.reason) == (404, "")
