"""What probes and Prometheus get on the plain port."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from prometheus_client import CollectorRegistry, Counter

from autoscaler.api.plain import make_plain_app
from telemetry.plain_port import Condition

LIVE = [Condition("loop", True)]
FAILED = Condition("ca-bundle", False, "APIService does not exist\nrun kubectl")

Client = TestClient[Request, Application]


@pytest.fixture
def conditions() -> list[Condition]:
    return [Condition("front-proxy", True), Condition("ca-bundle", True)]


@pytest.fixture
async def client(conditions: list[Condition]) -> AsyncIterator[Client]:
    registry = CollectorRegistry()
    Counter("answers", "Answers given.", registry=registry).inc(3)
    app = make_plain_app(live=lambda: LIVE, ready=lambda: conditions, registry=registry)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_kept_promise_is_ok(client: Client, path: str) -> None:
    response = await client.get(path)
    assert (response.status, await response.text()) == (200, "ok")


async def test_a_broken_promise_is_named_with_its_reason_on_one_line(
    client: Client, conditions: list[Condition]
) -> None:
    conditions[1] = FAILED
    response = await client.get("/readyz")
    assert response.status == 503
    assert (await response.text()).splitlines() == [
        "[+]front-proxy ok",
        r"[-]ca-bundle failed: APIService does not exist\nrun kubectl",
        "readyz check failed",
    ]
    assert (await client.get("/livez")).status == 200


async def test_verbose_lists_every_condition(client: Client) -> None:
    response = await client.get("/readyz?verbose")
    assert await response.text() == "[+]front-proxy ok\n[+]ca-bundle ok\nreadyz check passed\n"


async def test_metrics_are_an_exposition_of_the_registry(client: Client) -> None:
    response = await client.get("/metrics")
    assert response.content_type == "text/plain"
    assert "answers_total 3.0" in await response.text()
