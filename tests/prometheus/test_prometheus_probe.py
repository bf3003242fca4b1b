"""What a real Prometheus tells of a fleet whose past was given to it, and of one that it does not know."""

import asyncio
import math
import shlex
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from telemetry.prometheus import PrometheusAccess, PrometheusError, PrometheusSource
from telemetry.rules_dir import rules_dir
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.pages import page
from tests.prometheus.samples import Samples
from tests.prometheus.server import PrometheusServer, Target
from triage.collect import BY_ANOTHER, Question
from triage.evidence import Missing
from triage.latency.facts import Ranges
from triage.latency.grid import Window
from triage.latency.measures import Source
from triage.latency.queries import SeriesTarget, build_query
from triage.latency.rules import latency_rules_from_folder
from triage.probes.prometheus import prometheus_questions
from triage.seal import Seal

RULES = latency_rules_from_folder(rules_dir())
MEASURES = RULES.sources
END = int(time.time()) // 60 * 60 - 1800
START = END - 3600
ODD = 'we"ird\\.*'
WINDOW = Window(START, END)


def fleet(samples: Samples, pod: str, namespace: str) -> None:
    """Two pods, 10 requests a second each of a model with a GPU, whose requests become slower halfway."""
    for name in ("triton-0", "triton-1"):
        labels = {pod: name, namespace: "serving", "node": f"node-{name[-1]}", "model": ODD, "version": "1"}
        gpu = {**labels, "gpu_uuid": "GPU-1"}
        samples.add("nv_inference_request_success", gpu, lambda t: 10 * t)
        samples.add("nv_inference_request_success", labels, lambda t: 0)
        samples.add("nv_inference_request_duration_us", gpu, lambda t: 1e5 * t + 1e6 * max(0, t - 1800))
        summary = {**gpu, "quantile": "0.99"}
        samples.add("nv_inference_request_summary_us", summary, lambda t: math.nan if t < 1800 else 5e5)
    other = {pod: "elsewhere-0", namespace: "other", "model": ODD, "version": "1"}
    samples.add("nv_inference_request_success", other, lambda t: 99 * t)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    prometheus_tools: PrometheusTools, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PrometheusServer]:
    folder = tmp_path_factory.mktemp("prometheus")
    started = PrometheusServer(prometheus_tools, folder)
    samples = Samples(START, END)
    yesterday = {"pod": "triton-9", "namespace": "serving", "model": ODD, "version": "1"}
    samples.add("nv_inference_request_success", yesterday, lambda t: 5 * t, ago=86400)
    fleet(samples, "pod", "namespace")
    around = {"namespace": "serving", "pod": "triton-0", "container": "triton"}
    samples.add("container_cpu_cfs_throttled_periods_total", around, lambda t: 2 * t)
    samples.add("container_cpu_cfs_periods_total", around, lambda t: 10 * t)
    state = {"namespace": "monitoring", "pod": "kube-state-metrics-0"}
    exported = {"exported_namespace": "serving", "exported_pod": "triton-0", "exported_container": "triton"}
    samples.add("kube_pod_container_status_restarts_total", {**state, **exported}, lambda t: 3)
    for code, rate in (("200", 8.0), ("201", 1.0), ("503", 4.0), ("0", 1.0)):
        labels = {
            "reporter": "source",
            "source_workload": f"batch-{code}",
            "source_workload_namespace": "prod",
            "destination_workload": "triton",
            "destination_workload_namespace": "serving",
            "response_code": code,
        }
        samples.add("istio_requests_total", labels, partial(mul, rate))
    for place in range(10):  # small ones, of which four are too many
        more = {**labels, "source_workload": f"caller-{place}", "response_code": "200"}
        samples.add("istio_requests_total", more, partial(mul, 1e-7 * place))
    for place, (namespace, pod) in enumerate(NEIGHBOURS):
        labels = {"node": "node-0", "namespace": namespace, "pod": pod, "container": "main"}
        samples.add("container_cpu_usage_seconds_total", labels, partial(late, 0.1 * place))
    for pod in ("triton-0", "notebook-0"):
        gpu = {"UUID": "GPU-1", "Hostname": "node-0", "pod": pod, "namespace": "serving"}
        samples.add("DCGM_FI_DEV_GPU_UTIL", gpu, lambda t: 90)
    samples.add("DCGM_FI_DEV_GPU_UTIL", {**gpu, "UUID": "GPU-2", "pod": "elsewhere-0"}, lambda t: 90)
    for reason, rate in (("POWER", 3e8), ("THERMAL", 1e8)):
        gpu = {"UUID": "GPU-1", "hostname": "node-0", "pod": "triton-0", "namespace": "serving"}
        samples.add(f"DCGM_FI_DEV_{reason}_VIOLATION", gpu, partial(mul, rate))
    ingress = {"namespace": "ingress-nginx", "exported_namespace": "serving", "exported_service": "web-grpc"}
    for le, rate in (("0.1", 9.0), ("0.5", 9.95), ("+Inf", 10.0)):
        buckets = "nginx_ingress_controller_request_duration_seconds_bucket"
        samples.add(buckets, {**ingress, "le": le}, partial(mul, rate))
    samples.add(
        "envoy_cluster_upstream_rq_retry", {"envoy_cluster_name": "serving/web-grpc"}, partial(mul, 2.0)
    )
    cores = {"instance": "10.0.0.1:9100", "mode": "idle"}
    samples.add("node_cpu_seconds_total", {**cores, "cpu": "0"}, lambda t: 0.25 * t)
    samples.add("node_uname_info", {"instance": "10.0.0.1:9100", "nodename": "node-0"}, lambda t: 1)
    await started.backfill(str(samples))
    async with started:
        yield started


NEIGHBOURS = [("serving", "triton-0"), *((f"team-{n}", "batch-0") for n in range(7)), ("staging", "triton-0")]
"""The last is of our name, and not ours."""


def late(cores: float, t: float) -> float:
    return 0.01 * t + cores * max(0, t - 1500)


def grows(slower: float, t: float) -> float:
    return 1e4 * t + slower * max(0, t - 1500)


async def ask_all(url: str, target: SeriesTarget, window: Window = WINDOW) -> dict[str, Ranges | Missing]:
    """Every answer by its evidence's id."""
    told: dict[str, Ranges | Missing] = {}

    async def ask(question: Question) -> None:
        found = await question.ask(_NO_SEAL)
        if found.facts is not BY_ANOTHER:
            assert isinstance(found.facts, Ranges | Missing)
            assert question.id not in told
            told[question.id] = found.facts
        await asyncio.gather(*(ask(more) for more in found.then))

    async with PrometheusSource(url) as source:
        for question in prometheus_questions(source, target, RULES, window):
            await ask(question)
    return told


class Plain:
    masked = 0

    def line(self, text: str) -> str:
        return text

    def value(self, value: Any) -> Any:
        return value


_NO_SEAL = Seal(Plain())
TARGET = SeriesTarget("serving", workload="triton", nodes=("node-0",))


def middle(found: Ranges | Missing, **labels: str) -> float | None:
    """The value halfway of the one series with these labels, which are all that it has."""
    assert isinstance(found, Ranges), found
    (series,) = [one for one in found.series if dict(one.labels) == labels]
    return series.values[found.steps // 2 - 4]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_fleet_is_told_by_pod_with_its_gpu_twins_as_one_and_no_other_namespaces(
    server: PrometheusServer,
) -> None:
    told = await ask_all(server.url, TARGET)
    success = told["triton/success"]
    assert isinstance(success, Ranges)
    assert (success.start, success.step, success.steps, success.smear) == (START, 15.0, 241, 60.0)
    assert sorted(series.labels["pod"] for series in success.series) == ["triton-0", "triton-1"]
    one = {"pod": "triton-0", "node": "node-0", "model": ODD, "version": "1"}
    assert middle(success, **one) == 10.0
    assert middle(told["triton/request_time"], **one) == 100.0
    assert success.warnings == ()
    p99 = told["triton/request_p99"]
    assert isinstance(p99, Ranges)
    values = p99.series[0].values
    assert values[10] is None  # NaN, not zero
    assert values[-1] == 500.0


@pytest.mark.asyncio(loop_scope="module")
async def test_the_platform_and_the_gateway_are_told_in_our_names_and_units(server: PrometheusServer) -> None:
    told = await ask_all(server.url, TARGET)
    assert middle(told["platform/cpu_throttled"], pod="triton-0") == 0.2
    assert middle(told["platform/restarts"], pod="triton-0") == 3.0
    assert middle(told["platform/gpu_throttled"], gpu="GPU-1", node="node-0") == pytest.approx(0.3)
    assert middle(told["platform/node_cpu_used"], node="node-0") == 0.75
    requests = told["gateway/gateway_requests"]
    assert [middle(requests, code=code) for code in ("2xx", "5xx", "other")] == [9.0, 4.0, 1.0]
    assert middle(told["gateway/gateway_timeouts"]) == 0.0  # the mesh counts, and none timed out


@pytest.mark.asyncio(loop_scope="module")
async def test_a_gateway_that_calls_the_workload_otherwise_is_seen_by_that_name(
    server: PrometheusServer,
) -> None:
    """Of 10 a second 9 took at most 100 ms and 9.95 at most 500: the 9.9th lies at 100 + 0.9 / 0.95 * 400, the 9.5th at 100 + 0.5 /
    0.95 * 400."""
    told = await ask_all(server.url, replace(TARGET, services=("web-grpc",)))
    assert middle(told["gateway/gateway_p99"]) == pytest.approx(100 + 0.9 / 0.95 * 400)
    assert middle(told["gateway/gateway_p95"]) == pytest.approx(
        100 + 0.5 / 0.95 * 400, abs=0.001
    )  # six digits are kept
    assert middle(told["gateway/gateway_retries"]) == pytest.approx(2.0)
    unnamed = await ask_all(server.url, TARGET)
    assert all(isinstance(unnamed[f"gateway/{name}"], Missing) for name in ("gateway_p99", "gateway_retries"))


@pytest.mark.asyncio(loop_scope="module")
async def test_the_ten_largest_callers_are_told_by_their_workloads(server: PrometheusServer) -> None:
    callers = (await ask_all(server.url, TARGET))["gateway/gateway_callers"]
    assert isinstance(callers, Ranges)
    assert len(callers.series) == 10
    assert middle(callers, source_namespace="prod", source="batch-200") == 8.0
    assert "caller-3" not in {one.labels["source"] for one in callers.series}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_largest_other_pods_of_a_node_and_who_holds_a_gpu_too_are_told(
    server: PrometheusServer,
) -> None:
    told = await ask_all(server.url, TARGET)
    found = told["platform/neighbour_cpu"]
    assert isinstance(found, Ranges)
    names = [(one.labels["namespace"], one.labels["pod"]) for one in found.series]
    assert names == [("staging", "triton-0"), *((f"team-{n}", "batch-0") for n in range(3, 7))]
    assert all(found.steps - sum(v is None for v in one.values) > 230 for one in found.series)
    held = told["platform/gpu_holders"]
    assert isinstance(held, Ranges)
    assert [dict(one.labels) for one in held.series] == [
        {"gpu": "GPU-1", "node": "node-0", "namespace": "serving", "pod": pod}
        for pod in ("notebook-0", "triton-0")
    ]
    assert middle(held, gpu="GPU-1", node="node-0", namespace="serving", pod="notebook-0") == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_what_prometheus_does_not_have_is_missing_and_never_zero(server: PrometheusServer) -> None:
    told = await ask_all(server.url, TARGET)
    for name in ("triton/cache_hits", "platform/hpa_max", "gateway/gateway_p99", "past/success/7d"):
        found = told[name]
        assert isinstance(found, Missing)
        assert (found.reason, bool(found.remedy)) == ("no_series", True)
    blind = await ask_all(server.url, SeriesTarget("serving", workload="triton"))
    found = blind["platform/node_cpu_used"]
    assert isinstance(found, Missing)
    assert found.reason == "not_given"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_same_hours_of_an_earlier_day_are_on_the_same_grid(server: PrometheusServer) -> None:
    told = await ask_all(server.url, TARGET)
    past = told["past/success/1d"]
    assert isinstance(past, Ranges)
    assert (past.start, past.step, past.steps, past.ago) == (START - 86400, 15.0, 241, 86400.0)
    assert middle(past, model=ODD, version="1") == 5.0


@pytest.mark.asyncio(loop_scope="module")
async def test_a_target_that_it_does_not_know_is_told_with_what_there_is(server: PrometheusServer) -> None:
    told = await ask_all(server.url, SeriesTarget("nowhere", workload="triton"))
    found = told["triton/success"]
    assert isinstance(found, Missing)
    assert found.reason == "no_series"
    assert "other, serving" in found.detail
    assert "platform/cpu_throttled" in told  # the platform may still know it


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("source", ["triton", "platform", "gateway"])
async def test_every_query_of_every_measure_is_promql_that_a_real_server_takes(
    server: PrometheusServer, source: Source
) -> None:
    odd = SeriesTarget('n"s\\', ("a.b", 'c"d\\'), "w+", ("s|t",), ("n1",), "h", ODD)
    scope = {"scope": {"namespace": "{namespace}", "pod": "{pods}", "model": "{model}"}}
    async with PrometheusSource(server.url) as asked:
        for row in MEASURES[source]:
            for way in row.alternatives:
                scoped = way.model_copy(update=scope if source == "triton" else {})
                for variant in scoped.variants():
                    query = build_query(variant, row.by, odd, 60.0)
                    assert (await asked.query(query, END)).series == (), query


@pytest.mark.asyncio(loop_scope="module")
async def test_labels_with_quotes_and_backslashes_find_their_own_series_alone(
    server: PrometheusServer,
) -> None:
    row = next(row for row in MEASURES["triton"] if row.measure == "success")
    way = row.alternatives[0].model_copy(update={"scope": {"model": "{model}"}})
    async with PrometheusSource(server.url) as source:
        found = await source.query(build_query(way, ("model",), SeriesTarget(model=ODD), 60), END)
        assert [one.labels for one in found.series] == [{"model": ODD}]
        none = await source.query(build_query(way, ("model",), SeriesTarget(model=".*"), 60), END)
        assert none.series == ()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_query_is_refused_with_the_servers_words(server: PrometheusServer) -> None:
    async with PrometheusSource(server.url) as source:
        with pytest.raises(PrometheusError, match="parse error") as raised:
            await source.query("sum(", END)
    assert raised.value.reason == "refused"


async def test_pods_under_exported_names_are_found_and_named_ours(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    server = PrometheusServer(prometheus_tools, tmp_path)
    samples = Samples(START, END)
    fleet(samples, "exported_pod", "exported_namespace")
    await server.backfill(str(samples))
    async with server:
        told = await ask_all(server.url, TARGET)
    success = told["triton/success"]
    assert isinstance(success, Ranges)
    assert [dict(one.labels)["pod"] for one in success.series] == ["triton-0", "triton-1"]


async def test_a_label_of_tritons_own_that_clashes_with_the_scrapes_hides_no_pod(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """Model namespacing gives Triton's series a namespace of their own, which a scrape stores as exported_namespace."""
    text = 'nv_inference_request_success{model="m",version="1",namespace="models"} 5\n'
    async with page(text) as address:
        scraped = [Target(address, {"pod": "triton-0", "namespace": "serving"})]
        async with PrometheusServer(prometheus_tools, tmp_path, scraped) as server:
            await server.until_scraped(5)
            now = time.time()
            told = await ask_all(server.url, TARGET, Window(now - 5, now))
    success = told["triton/success"]
    assert isinstance(success, Ranges)
    assert success.step == 1.0
    assert [dict(one.labels) for one in success.series] == [{"pod": "triton-0", "model": "m", "version": "1"}]
    assert success.series[0].values[-1] == 0.0  # counted, and none came


async def test_instances_are_pods_where_nothing_names_them_and_that_is_said(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    server = PrometheusServer(prometheus_tools, tmp_path)
    samples = Samples(START, END)
    labels = {"instance": "10.0.0.1:8002", "model": "m", "version": "1"}
    samples.add("nv_inference_request_success", labels, lambda t: 2 * t)
    await server.backfill(str(samples))
    async with server:
        success = (await ask_all(server.url, TARGET))["triton/success"]
    assert middle(success, pod="10.0.0.1:8002", model="m", version="1") == 2.0
    assert isinstance(success, Ranges)
    assert "no label with the pod's name" in success.warnings[0]


@pytest.mark.parametrize(("models", "whole"), [(20, 20), (6, 606)], ids=["2,020 series", "606 series"])
async def test_a_fleet_too_large_for_all_is_told_by_pod_for_the_model_whose_requests_gained_most_time(
    prometheus_tools: PrometheusTools, tmp_path: Path, models: int, whole: int
) -> None:
    """Which pods serve which models is told of up to 2,000 series; m3 became slowest of all, for a hundredth of the requests."""
    server = PrometheusServer(prometheus_tools, tmp_path)
    samples = Samples(END - 1800, END, every=60)
    for pod in range(101):
        for model in range(models):
            labels = {"pod": f"triton-{pod}", "namespace": "serving", "model": f"m{model}", "version": "1"}
            rate, slower = {3: (0.01, 1e5), 5: (1.0, 1e6)}.get(model, (1.0, 1e3))
            samples.add("nv_inference_request_success", labels, partial(mul, rate))
            samples.add("nv_inference_request_duration_us", labels, partial(grows, slower))
    await server.backfill(str(samples))
    async with server:
        told = await ask_all(server.url, TARGET, Window(END - 1800, END))
    everything, time, pods = (
        told[name] for name in ("triton/success", "triton/request_time", "triton_pods/request_time")
    )
    assert isinstance(everything, Ranges)
    assert isinstance(time, Ranges)
    assert isinstance(pods, Ranges)
    assert (everything.step, len(everything.series), len(time.series)) == (60.0, whole, models)
    assert sum(series.values[10] or 0 for series in everything.series) == pytest.approx(101 * (models - 0.99))
    assert len(pods.series) == 101
    assert {one.labels["model"] for one in pods.series} == {"m5"}
    assert ("triton_pods/success" in told) == (whole == models)


async def test_nobody_there_is_one_missing_evidence_and_no_more() -> None:
    told = await ask_all("http://127.0.0.1:9", TARGET)
    assert list(told) == ["triton/success"]
    found = told["triton/success"]
    assert isinstance(found, Missing)
    assert found.reason == "unreachable"


def test_the_command_asks_the_same_by_hand_without_credentials() -> None:
    access = PrometheusAccess(bearer_token_file=Path("/run/token"), headers={"X-Scope-OrgID": "tenant"})
    source = PrometheusSource("https://me:secret@prom/x", access)
    (question,) = prometheus_questions(source, TARGET, RULES, Window(0, 3600))
    words = shlex.split(question.command)
    assert "https://prom/x/api/v1/query_range" in words
    assert f"query={question.query}" in words
    assert "secret" not in question.command
    assert "tenant" not in question.command
