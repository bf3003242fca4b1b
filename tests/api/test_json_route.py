"""The JSON route on the plain port: the HPA's numbers, never a number for missing data, and no other namespace's."""

import json
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from prometheus_client import CollectorRegistry
from yarl import URL

from autoscaler.answer import NoData, Reason, Value
from autoscaler.api.json_route import JsonRoute
from autoscaler.api.plain import make_plain_app
from tests.api.conftest import ScriptedMetrics

Client = TestClient[Request, Application]
CHECKOUT = Path(__file__).parents[2]
PATH = "/api/v1/namespaces/ml/signals/triton_concurrency"


class Switch:
    """Which namespaces the configuration names at this moment."""

    namespaces: Sequence[str] | None = ("ml",)


@pytest.fixture
def metrics() -> ScriptedMetrics:
    return ScriptedMetrics()


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.fixture
async def client(metrics: ScriptedMetrics, switch: Switch) -> AsyncIterator[Client]:
    route = JsonRoute(metrics, lambda: switch.namespaces)
    app = make_plain_app(live=list, ready=list, registry=CollectorRegistry(), json_route=route)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_value_is_the_number_that_the_hpa_reads(client: Client, metrics: ScriptedMetrics) -> None:
    """1.2341 is 1235m to the HPA: rounded up to a whole milli-unit."""
    metrics.result = Value(1.2341, 2.0, 60, labels={"estimate": "upper"})
    response = await client.get(f"{PATH}?labelSelector=model%3Dllama")
    assert (response.status, response.content_type) == (200, "application/json")
    assert await response.json() == {
        "schema": "triton-ops/signal/v1",
        "namespace": "ml",
        "signal": "triton_concurrency",
        "selector": "model=llama",
        "value": 1.235,
        "idle": False,
        "sampleAgeSeconds": 2.0,
        "windowSeconds": 60,
        "labels": {"estimate": "upper"},
    }
    assert metrics.asked == [("ml", "triton_concurrency", "model=llama", False)]


@pytest.mark.parametrize(
    "result",
    [NoData(Reason.STALLED, "requests wait"), Value(math.nan, 1.0, 60), Value(math.inf, 1.0, 60)],
)
async def test_no_data_is_an_http_error_and_holds_no_number(
    client: Client, metrics: ScriptedMetrics, result: NoData | Value
) -> None:
    """KEDA takes every status but 200 for an error."""
    metrics.result = result
    response = await client.get(PATH)
    assert response.status == 503
    assert "value" not in await response.json()


async def test_idle_is_a_zero_that_was_measured(client: Client, metrics: ScriptedMetrics) -> None:
    metrics.result = Value(0.0, 1.0, 60, idle=True)
    body = json.loads(await (await client.get(PATH)).text())
    assert (body["value"], body["idle"]) == (0.0, True)


async def test_it_is_off_unless_the_configuration_switches_it_on(client: Client, switch: Switch) -> None:
    switch.namespaces = None
    response = await client.get(PATH)
    assert response.status == 404
    assert "json_route" in (await response.json())["message"]


@pytest.mark.parametrize("namespace", ["kube-system", "default", "ML", "m", "%6d%6c%00", "ml%2f..", "*"])
async def test_another_namespace_is_forbidden_before_anything_is_read(
    client: Client, metrics: ScriptedMetrics, namespace: str
) -> None:
    response = await client.get(PATH.replace("/ml/", f"/{namespace}/"))
    assert response.status in (403, 404)
    assert metrics.asked == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (PATH + "x", 404),
        (PATH + "?labelSelector=model%3Da/b", 400),
        (PATH + "?labelSelector=" + "a," * 2500 + "a", 400),
        (PATH + "?explain=1", 400),
        (PATH + "?watch=true", 400),
        ("/api/v1/namespaces", 404),
    ],
)
async def test_what_cannot_be_asked_is_a_status_with_its_cause(
    client: Client, metrics: ScriptedMetrics, path: str, code: int
) -> None:
    response = await client.get(path)
    status = await response.json()
    assert (response.status, status["kind"], status["code"]) == (code, "Status", code)
    assert metrics.asked == []


async def test_a_model_asked_for_by_a_name_that_no_label_can_hold_is_told_its_alias(client: Client) -> None:
    response = await client.get(f"{PATH}?labelSelector=model%3Dorg/name:v2,version%3D1")
    assert "model=org_name_v2" in (await response.json())["message"]


async def test_the_scaled_object_that_ships_reads_a_number_or_an_error(
    client: Client, metrics: ScriptedMetrics, switch: Switch
) -> None:
    """As KEDA reads it: the number at `valueLocation` of a 200, else an error of the trigger, on which nothing scales
    as long as there is no fallback."""
    scaled = yaml.safe_load((CHECKOUT / "deploy/examples/keda-metrics-api.yaml").read_text())
    (trigger,) = scaled["spec"]["triggers"]
    given = trigger["metadata"]
    assert set(given) == {"url", "format", "valueLocation", "targetValue"}
    assert "fallback" not in scaled["spec"]
    metrics.names, switch.namespaces = ("triton_inference_concurrency",), ("inference",)
    path = URL(given["url"], encoded=True).relative()
    answer = await client.get(path)
    assert isinstance((await answer.json())[given["valueLocation"]], float)
    assert metrics.asked == [("inference", "triton_inference_concurrency", "workload=triton", False)]
    metrics.result = NoData(Reason.NOT_ANSWERING, "a does not answer")
    assert (await client.get(path)).status == 503


async def test_other_verbs_are_refused(client: Client, metrics: ScriptedMetrics) -> None:
    for verb in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        assert (await client.request(verb, PATH, data=b"x")).status == 405
    assert metrics.asked == []
