"""Pages of GPU exporters, of several versions and sharing modes, through a real Prometheus: numbers as worked out by hand.

A page and what is to come of it stand beside each other in `gpu_pages/`, with where the page is from. All pages are scraped by one
Prometheus, with and without `honor_labels`, as targets with the labels that usual scrape configurations give an exporter's pod.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from prometheus_client import generate_latest

from autoscaler.answer import Answer, NoData, Value
from autoscaler.config import parse_config
from autoscaler.generation import Generation
from autoscaler.own_metrics import OwnMetrics
from autoscaler.selector import parse_selector
from telemetry.gpu_exporters.prometheus_reader import GpuReader, GpuSettings
from telemetry.gpu_exporters.snapshot import GpuSnapshot
from telemetry.http_body import scrape_session
from telemetry.prometheus import PrometheusSource
from telemetry.window import PodWindow
from tests.api.strict_api import StrictApi
from tests.autoscaler.fleet import WINDOW, gpus
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.gpu_questions import EXPORTERS, SIGNAL_OF, SIGNALS, ask, holder
from tests.prometheus.pages import page
from tests.prometheus.server import PrometheusServer
from tests.prometheus.server import Target as Scraped

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PAGES = Path(__file__).parent / "gpu_pages"
CASES = sorted(file.stem for file in PAGES.glob("*.yaml"))
MAX_AGE = 4.0


OPERATOR = {
    "namespace": "gpu-operator",
    "pod": "nvidia-dcgm-exporter-x7k2p",
    "container": "exporter",
    "node": "n1",
}
"""What the Prometheus operator gives the series of an exporter's pod."""
ENDPOINTS = {"namespace": "gpu-operator", "service": "nvidia-dcgm-exporter", "node": "n1"}
"""What the job kubernetes-service-endpoints of Prometheus' Helm chart gives: a namespace and no pod."""
POD_ALONE = {"kubernetes_namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-x7k2p"}
"""Prometheus renames each label for itself."""


def own_labels(case: str, **more: str) -> Mapping[str, str]:
    return {**OPERATOR, "case": case, **more}


def settings(case: str) -> GpuSettings:
    return GpuSettings(
        interval=1.0, timeout=5.0, delay=0.2, max_age=MAX_AGE, window=60.0, matchers=f'case="{case}"'
    )


@asynccontextmanager
async def reading(server: PrometheusServer, case: str) -> AsyncIterator[GpuReader]:
    async with PrometheusSource(server.url) as source:
        yield GpuReader(EXPORTERS, settings(case), source, time.monotonic)


async def snapshot_of(server: PrometheusServer, case: str) -> GpuSnapshot:
    async with reading(server, case) as reader:
        await reader.tick()
        return reader.snapshot


@dataclass(frozen=True)
class Case:
    name: str
    page: str
    pods: tuple[Mapping[str, Any], ...]
    expect: Mapping[str, Mapping[str, Any]]


def read_case(name: str) -> Case:
    told = yaml.safe_load((PAGES / f"{name}.yaml").read_text())
    return Case(name, (PAGES / f"{name}.txt").read_text(), tuple(told["pods"]), told["expect"])


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[(OPERATOR, False), (OPERATOR, True), (ENDPOINTS, False), (POD_ALONE, False)],
    ids=["exported", "honored", "endpoints", "pod_alone"],
)
async def server(
    request: pytest.FixtureRequest,
    prometheus_tools: PrometheusTools,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[PrometheusServer]:
    own, honor_labels = request.param
    async with AsyncExitStack() as stack:
        targets = [
            Scraped(await stack.enter_async_context(page(read_case(name).page)), {**own, "case": name})
            for name in CASES
        ]
        folder = tmp_path_factory.mktemp("gpu")
        started = PrometheusServer(prometheus_tools, folder, targets, honor_labels=honor_labels)
        await stack.enter_async_context(started)
        await started.until_scraped(3)
        yield started


@pytest.mark.parametrize("name", CASES)
async def test_each_workload_gets_the_number_that_was_worked_out_by_hand(
    server: PrometheusServer, name: str
) -> None:
    case = read_case(name)
    snapshot = await snapshot_of(server, name)
    for workload, expected in case.expect.items():
        pods = [holder(**pod) for pod in case.pods if pod["workload"] == workload]
        asked = [short for short in SIGNAL_OF if short in expected]
        assert pods, f"{workload} has pods"
        assert asked, f"{workload} is asked for something"
        for short in asked:
            answer = ask(SIGNAL_OF[short], pods, snapshot)
            wanted = expected[short]
            if isinstance(wanted, dict):
                assert isinstance(answer, NoData), f"{workload} {short}: {answer}"
                assert (answer.reason, wanted["says"] in answer.message) == (wanted["reason"], True), answer
                assert len(answer.message) <= 300
            else:
                assert isinstance(answer, Value), f"{workload} {short}: {answer}"
                assert answer.value == pytest.approx(wanted, rel=1e-4), f"{workload} {short}"
                assert answer.labels == expected.get("labels", answer.labels), f"{workload} {short}"
                assert answer.sample_age_seconds <= MAX_AGE


async def test_a_page_that_stops_is_an_error_and_never_its_last_value(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    shown = read_case("whole_gpu")
    pods = [holder(**shown.pods[0])]
    async with AsyncExitStack() as stack:
        exporter = await stack.enter_async_context(AsyncExitStack())
        address = await exporter.enter_async_context(page(shown.page))
        server = PrometheusServer(prometheus_tools, tmp_path, [Scraped(address, own_labels("stops"))])
        await stack.enter_async_context(server)
        await server.until_scraped(2)
        reader = await stack.enter_async_context(reading(server, "stops"))
        await reader.tick()
        assert isinstance(ask(SIGNAL_OF["memory"], pods, reader.snapshot), Value)
        await exporter.aclose()
        gone = time.monotonic()
        answers: list[Answer] = []

        async def refused() -> bool:
            await reader.tick()
            answers.append(ask(SIGNAL_OF["memory"], pods, reader.snapshot))
            return isinstance(answers[-1], NoData)

        await eventually(refused, seconds=20)
        assert time.monotonic() - gone >= MAX_AGE - 2, "the last value stands for its time"
        assert all(a.sample_age_seconds <= MAX_AGE for a in answers if isinstance(a, Value))
        last = answers[-1]
        assert isinstance(last, NoData)
        assert last.reason == "not_answering"
        assert "newest sample of dcgm-exporter is too old" in last.message


async def test_two_exporters_and_two_replicas_tell_one_device_and_dcgm_exporter_is_read(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """The agent tells the same GPU a little differently; when dcgm-exporter is gone, it is read."""
    uuid = "GPU-00000000-0000-4000-8000-000000000002"
    holds = 'namespace="prod",pod="a",container="server"'
    dcgm = "".join(
        f'DCGM_FI_DEV_{field}{{gpu="0",UUID="{uuid}",{holds}}} {value}\n'
        for field, value in (("FB_USED", 1024), ("FB_FREE", 3072), ("GPU_UTIL", 50))
    )
    agent = "".join(
        f'triton_gpu_{family}{{uuid="{uuid}",gpu_instance="",{holds}}} {value}\n'
        for family, value in (
            ("memory_used_bytes", 2e9),
            ("memory_free_bytes", 2e9),
            ("utilization_ratio", 0.6),
        )
    )
    pods = [holder("prod", "a", "w", 1)]
    async with AsyncExitStack() as stack:
        of_dcgm = await stack.enter_async_context(AsyncExitStack())
        first = await of_dcgm.enter_async_context(page(dcgm))
        second = await stack.enter_async_context(page(agent))
        targets = [
            Scraped(first, own_labels("two", prometheus_replica="0")),
            Scraped(first.replace("127.0.0.1", "localhost"), own_labels("two", prometheus_replica="1")),
            Scraped(second, own_labels("two", pod="triton-gpu-agent-x")),
        ]
        server = PrometheusServer(prometheus_tools, tmp_path, targets)
        await stack.enter_async_context(server)
        await server.until_scraped(3)
        reader = await stack.enter_async_context(reading(server, "two"))
        await reader.tick()
        memory = ask(SIGNAL_OF["memory"], pods, reader.snapshot)
        utilization = ask(SIGNAL_OF["utilization"], pods, reader.snapshot)
        assert isinstance(memory, Value)
        assert isinstance(utilization, Value)
        assert (memory.value, utilization.value) == (0.25, 0.5)
        assert memory.labels == {"gpu_exporter": "dcgm-exporter", "gpus": "1", "gpus_shared": "0"}
        await of_dcgm.aclose()

        async def taken_over() -> bool:
            await reader.tick()
            answer = ask(SIGNAL_OF["memory"], pods, reader.snapshot)
            return isinstance(answer, Value) and answer.labels["gpu_exporter"] == "triton-gpu-agent"

        await eventually(taken_over, seconds=20)


async def test_a_prometheus_without_gpu_series_leaves_memory_to_tritons_own_page(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(PrometheusServer(prometheus_tools, tmp_path))
        snapshot = await snapshot_of(server, "nothing")
    assert (snapshot.devices, snapshot.failure) == ((), None)
    now = time.monotonic()
    page_of_own = PodWindow(now, full=True, rows=gpus(x=(3, 4)))
    shows_itself = replace(holder("prod", "b", "w", 1), windows={WINDOW: page_of_own}, failure=None)
    memory = ask(SIGNAL_OF["memory"], [shows_itself], snapshot)
    assert isinstance(memory, Value), memory
    assert (memory.value, memory.labels["gpu_exporter"]) == (0.75, "triton")
    for signal in SIGNAL_OF.values():
        unread = ask(signal, [holder("prod", "a", "w", 1)], snapshot)
        assert isinstance(unread, NoData)
        assert "let it scrape one of them" in unread.message


async def test_the_daemon_serves_it_beside_pods_that_are_scraped(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """`source: scrape`, with a Prometheus for GPUs alone."""
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(page(read_case("names_of_1x").page))
        server = PrometheusServer(prometheus_tools, tmp_path, [Scraped(address, own_labels("daemon"))])
        await stack.enter_async_context(server)
        await server.until_scraped(2)
        config = parse_config(
            "targets: {static: [{namespace: prod, pod: triton-1x, workload: w, metrics_url: 'http://127.0.0.1:9/metrics'}]}\n"
            f"prometheus: {{url: '{server.url}', delay: 100ms}}\n"
            "gpu: {interval: 1s, timeout: 900ms, scrape_interval: 1s, matchers: 'case=\"daemon\"'}\n"
        )
        session = await stack.enter_async_context(scrape_session())
        metrics = OwnMetrics()
        generation = Generation(config, SIGNALS, StrictApi("", {}), session, metrics, EXPORTERS)
        running = asyncio.create_task(generation.run())
        stack.callback(running.cancel)
        selector = parse_selector("workload=w")

        def answers(signal: str) -> Answer:
            return generation.autoscaler.answer("prod", signal, selector, explain=True)

        async def told() -> bool:
            return isinstance(answers(SIGNAL_OF["utilization"]), Value)

        await eventually(told, seconds=20)
        memory, utilization = (answers(signal) for signal in SIGNAL_OF.values())
        assert isinstance(memory, Value)
        assert isinstance(utilization, Value)
        assert memory.value == 0.25
        assert utilization.value == pytest.approx(0.44)
        assert memory.trace[0]["gpu"] == "GPU-6bf47ca9-ad3e-15db-beed-1079a7d74116"
        shown = generate_latest(metrics.registry).decode()
        assert 'triton_autoscaler_gpu_looks_total{outcome="ok"}' in shown
