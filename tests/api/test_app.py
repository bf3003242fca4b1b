"""What kube-apiserver, the HPA and people get on each path."""

import json
import math
from typing import Any

import pytest
from structlog.testing import capture_logs

from autoscaler.answer import NoData, Reason, Value
from tests.api.conftest import HOST_NAME, Fleet, Get

GROUP_PATH = "/apis/external.metrics.k8s.io"
METRIC = f"{GROUP_PATH}/v1beta1/namespaces/ml/triton_concurrency"
V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
HPA_ACCEPT = "application/vnd.kubernetes.protobuf, */*"


async def _status(get: Get, path: str, **options: object) -> dict[str, Any]:
    """The `Status` answered, checked for what every one must be."""
    async with get(path, **options) as response:
        status: dict[str, Any] = await response.json()
        assert response.status == status["code"]
        assert "Retry-After" not in response.headers
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert len(status["message"]) <= 300
    return status


# A value, idle, and no data


async def test_a_value_is_one_item_stamped_with_its_samples_time(fleet: Fleet, get: Get) -> None:
    fleet.metrics.result = Value(1.2341, 2.0, 60, labels={"estimate": "upper"})
    async with get(
        f"{METRIC}?labelSelector=model%3Dllama,version!%3D2", headers={"Accept": HPA_ACCEPT}
    ) as response:
        assert response.content_type == "application/json"
        assert await response.json() == {
            "kind": "ExternalMetricValueList",
            "apiVersion": "external.metrics.k8s.io/v1beta1",
            "metadata": {},
            "items": [
                {
                    "metricName": "triton_concurrency",
                    "metricLabels": {"model": "llama", "estimate": "upper"},
                    "timestamp": "2026-11-22T12:00:28Z",
                    "window": 60,
                    "value": "1235m",
                }
            ],
        }
    assert fleet.metrics.asked == [("ml", "triton_concurrency", "model=llama,version!=2", False)]


async def test_idle_is_a_value(fleet: Fleet, get: Get) -> None:
    fleet.metrics.result = Value(0.0, 1.0, 60, idle=True)
    async with get(METRIC) as response:
        assert (await response.json())["items"][0]["value"] == "0"


async def test_no_data_is_an_error_with_its_message_as_given(fleet: Fleet, get: Get) -> None:
    fleet.metrics.result = NoData(Reason.STALLED, "requests wait and none completes")
    status = await _status(get, METRIC)
    assert (status["code"], status["reason"]) == (503, "ServiceUnavailable")
    assert status["message"] == "requests wait and none completes"


@pytest.mark.parametrize("number", [math.nan, math.inf, -1.0, 1e300])
async def test_a_number_that_no_quantity_holds_is_an_error_with_a_constant_message(
    fleet: Fleet, get: Get, number: float
) -> None:
    fleet.metrics.result = Value(number, 1.0, 60)
    status = await _status(get, METRIC)
    assert status["code"] == 503
    assert status["message"].startswith("triton_concurrency: no Kubernetes quantity can hold its value")


async def test_explain_returns_the_trace_of_a_value(fleet: Fleet, get: Get) -> None:
    row = {"pod": "triton-0", "model": "llama", "busy_seconds": 90.0, "age_seconds": math.nan}
    fleet.metrics.result = Value(1.5, 2.0, 60, labels={"a": "b"}, trace=[row])
    async with get(f"{METRIC}?explain=1&labelSelector=model") as response:
        assert await response.json() == {
            "kind": "SignalTrace",
            "apiVersion": "triton-ops/v1alpha1",
            "namespace": "ml",
            "signal": "triton_concurrency",
            "selector": "model",
            "state": "value",
            "value": 1.5,
            "reason": None,
            "message": "",
            "sampleAgeSeconds": 2.0,
            "windowSeconds": 60,
            "labels": {"a": "b"},
            "pods": [row | {"age_seconds": None}],
        }
    assert fleet.metrics.asked == [("ml", "triton_concurrency", "model", True)]


async def test_explain_returns_the_trace_of_no_data_as_an_answer(fleet: Fleet, get: Get) -> None:
    fleet.metrics.result = NoData(Reason.DECOUPLED, "llama is decoupled", trace=[{"pod": "triton-0"}])
    async with get(f"{METRIC}?explain=1") as response:
        trace = await response.json()
        assert response.status == 200
    assert (trace["state"], trace["value"], trace["reason"]) == ("no_data", None, "decoupled")
    assert trace["pods"] == [{"pod": "triton-0"}]


# Questions that have no answer


async def test_an_unknown_signal_is_not_found_and_the_nearest_is_named(fleet: Fleet, get: Get) -> None:
    status = await _status(get, METRIC.replace("concurrency", "concurency"))
    assert (status["code"], status["reason"]) == (404, "NotFound")
    assert status["message"] == "no signal 'triton_concurency'; did you mean triton_concurrency?"
    assert fleet.metrics.asked == []


async def test_a_bad_selector_is_a_bad_request(fleet: Fleet, get: Get) -> None:
    status = await _status(get, f"{METRIC}?labelSelector=model%3Dorg/name")
    assert (status["code"], status["reason"]) == (400, "BadRequest")
    assert "'org/name' at character 7" in status["message"]
    assert fleet.metrics.asked == []


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("watch=true", "cannot be watched"),
        ("watch=1&resourceVersion=0", "cannot be watched"),
        ("fieldSelector=metadata.name%3Dx", "no fields to select"),
        ("labelSelector=a&labelSelector=b", "more than once"),
    ],
)
async def test_what_cannot_be_asked_is_refused_at_once(get: Get, query: str, cause: str) -> None:
    status = await _status(get, f"{METRIC}?{query}")
    assert status["code"] == 400
    assert cause in status["message"]


async def test_a_selector_of_more_than_4096_characters_is_refused(get: Get) -> None:
    status = await _status(get, f"{METRIC}?labelSelector={'a,' * 2500}a")
    assert (status["code"], "at most 4096 are accepted" in status["message"]) == (400, True)


@pytest.mark.parametrize("query", ["resourceVersion=0", "limit=500", "watch=false", "timeoutSeconds=5"])
async def test_parameters_of_a_list_change_nothing(get: Get, query: str) -> None:
    async with get(f"{METRIC}?{query}") as response:
        assert response.status == 200


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE"])
async def test_other_verbs_are_not_allowed(fleet: Fleet, verb: str) -> None:
    async with (
        fleet.front_proxy() as session,
        session.request(verb, METRIC, server_hostname=HOST_NAME) as response,
    ):
        status = await response.json()
        assert (response.status, status["reason"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/openapi/v4", f"{GROUP_PATH}/v1", METRIC + "/status", "/metrics"]
)
async def test_other_paths_are_not_found(get: Get, path: str) -> None:
    assert (await _status(get, path))["code"] == 404


@pytest.mark.parametrize(
    "name", ["%1b%5b31m", "%00", "%0d%0aSet-Cookie:x", "%ff%fe", "a" * 3000, "%22%3cscript%3e"]
)
async def test_a_hostile_name_is_bounded_and_escaped(get: Get, name: str) -> None:
    for path in (
        f"{GROUP_PATH}/v1beta1/namespaces/ml/{name}",
        f"{GROUP_PATH}/v1beta1/namespaces/{name}/x",
        f"/{name}",
    ):
        status = await _status(get, path)
        assert status["code"] in (400, 404)
        assert status["message"].isprintable()


async def test_a_bug_is_an_internal_error_without_its_traceback_and_is_logged(fleet: Fleet, get: Get) -> None:
    fleet.metrics.result = RuntimeError("secret detail")
    with capture_logs() as logs:
        status = await _status(get, METRIC)
    assert (status["code"], status["reason"]) == (500, "InternalError")
    assert "secret" not in json.dumps(status)
    assert [entry["event"] for entry in logs] == ["request failed"]


# Discovery


async def test_the_aggregator_gets_aggregated_discovery_in_the_version_it_asks_first(get: Get) -> None:
    for accept, version, content_type in (
        (f"{V2},{V2BETA1}", "v2", V2),
        (f"{V2BETA1},{V2}", "v2beta1", V2BETA1),
        (f"application/vnd.kubernetes.protobuf;g=x;v=v2;as=APIGroupDiscoveryList,{V2}", "v2", V2),
    ):
        async with get("/apis", headers={"Accept": accept}) as response:
            assert response.headers["Content-Type"] == content_type
            document = await response.json()
        assert document["apiVersion"] == f"apidiscovery.k8s.io/{version}"
        (group,) = document["items"]
        assert group["metadata"]["name"] == "external.metrics.k8s.io"
        (served,) = group["versions"]
        assert (served["version"], served["freshness"]) == ("v1beta1", "Current")
        assert served["resources"][0] == {
            "resource": "triton_concurrency",
            "responseKind": {
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "kind": "ExternalMetricValueList",
            },
            "scope": "Namespaced",
            "singularResource": "",
            "verbs": ["get"],
        }


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", HPA_ACCEPT, "application/vnd.kubernetes.protobuf", "text/html", "", ";;,="],
)
async def test_any_other_accept_gets_the_plain_list_as_json(get: Get, accept: str) -> None:
    async with get("/apis", headers={"Accept": accept}) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert (await response.json())["kind"] == "APIGroupList"


@pytest.mark.parametrize("accept", [HPA_ACCEPT, "application/vnd.kubernetes.protobuf"])
async def test_a_metric_is_json_whatever_is_accepted(get: Get, accept: str) -> None:
    """The HPA reads what the Content-Type says; a 406 would be an outage for want of a format."""
    async with get(METRIC, headers={"Accept": accept}) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert (await response.json())["kind"] == "ExternalMetricValueList"


@pytest.mark.parametrize("path", ["/apis", f"{GROUP_PATH}", f"{GROUP_PATH}/v1beta1", "/openapi/v3"])
async def test_an_unchanged_document_is_not_sent_twice(get: Get, path: str) -> None:
    async with get(path, headers={"Accept": V2}) as response:
        etag = response.headers["ETag"]
    async with get(path, headers={"Accept": V2, "If-None-Match": etag}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == etag
    async with get(path, headers={"Accept": V2, "If-None-Match": '"another"'}) as response:
        assert response.status == 200


async def test_the_versions_of_discovery_have_entity_tags_of_their_own(get: Get) -> None:
    tags = set()
    for accept in (V2, V2BETA1, "*/*"):
        async with get("/apis", headers={"Accept": accept}) as response:
            tags.add(response.headers["ETag"])
    assert len(tags) == 3


async def test_each_signal_is_a_namespaced_resource_with_verb_get(fleet: Fleet, get: Get) -> None:
    fleet.metrics.result = RuntimeError("everything is down")
    async with get(f"{GROUP_PATH}/v1beta1") as response:
        document = await response.json()
    assert document["groupVersion"] == "external.metrics.k8s.io/v1beta1"
    assert document["resources"] == [
        {
            "name": name,
            "singularName": "",
            "namespaced": True,
            "kind": "ExternalMetricValueList",
            "verbs": ["get"],
        }
        for name in ("triton_concurrency", "triton_queue_ms")
    ]
    fleet.metrics.names = ("triton_new",)
    async with get(f"{GROUP_PATH}/v1beta1") as response:
        assert [resource["name"] for resource in (await response.json())["resources"]] == ["triton_new"]


async def test_openapi_v2_names_the_one_path(get: Get) -> None:
    async with get("/openapi/v2", headers={"Accept": "application/json"}) as response:
        document = await response.json()
    assert document["swagger"] == "2.0"
    assert list(document["paths"]) == [f"{GROUP_PATH}/v1beta1/namespaces/{{namespace}}/{{metric}}"]


async def test_openapi_names_a_document_that_is_there(get: Get) -> None:
    async with get("/openapi/v3") as response:
        root = await response.json()
    path = root["paths"]["apis/external.metrics.k8s.io/v1beta1"]["serverRelativeURL"]
    async with get(path) as response:
        assert (await response.json())["openapi"] == "3.0.0"


async def test_the_version_is_in_kubernetes_shape(get: Get) -> None:
    async with get("/version") as response:
        version = await response.json()
    assert (version["major"], version["minor"], version["gitVersion"]) == ("0", "1", "v0.1.0")
