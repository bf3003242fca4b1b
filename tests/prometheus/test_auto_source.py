"""`source: auto` on real Tritons and a real Prometheus: each of the two ways to a pod is cut in turn, and one is led astray."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from prometheus_client import generate_latest

from autoscaler.answer import Answer, NoData, Value
from autoscaler.config import parse_config
from autoscaler.generation import Generation
from autoscaler.own_metrics import OwnMetrics
from autoscaler.selector import EVERYTHING
from autoscaler.signal import load_signals
from autoscaler.source_metrics import SourcesCollector
from telemetry.http_body import scrape_session
from telemetry.rules_dir import rules_dir
from tests.api.strict_api import StrictApi
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.cut_relay import CutRelay
from tests.prometheus.server import PrometheusServer, Target
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonServer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

SIGNAL = "triton_inference_concurrency"
WINDOW = 8.0
WORKERS = 6
PODS = ("one", "two")


@dataclass(frozen=True)
class Fleet:
    """Two Tritons under a steady load, each reached by scrapes through a relay of its own."""

    generation: Generation
    relays: dict[str, CutRelay]
    prometheus: PrometheusServer
    scraped: dict[str, Target]
    metrics: OwnMetrics

    def ask(self, *, explain: bool = False) -> Answer:
        return self.generation.autoscaler.answer("live", SIGNAL, EVERYTHING, explain=explain)

    async def until(self, source: str, *, seconds: float = 25.0, **labels: str) -> Value:
        """The first value that was read so."""
        wanted = {"source": source, **labels}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.ask()
            if isinstance(answer, Value) and wanted.items() <= answer.labels.items():
                return answer
            await asyncio.sleep(0.2)
        pytest.fail(f"no value with {wanted} came: {self.ask()}")

    async def hold(self, seconds: float) -> list[Answer]:
        """What was answered in so long."""
        end, answers = time.monotonic() + seconds, []
        while time.monotonic() < end:
            answers.append(self.ask())
            await asyncio.sleep(0.2)
        return answers

    def own_metrics(self) -> str:
        return generate_latest(self.metrics.registry).decode()


@asynccontextmanager
async def fleet_of(install: TritonInstall, tools: PrometheusTools, folder: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        repository = lay_out(folder / "repository", Model("slow", parameters={"service_ms": "100"}))
        prometheus = await stack.enter_async_context(PrometheusServer(tools, folder / "prometheus"))
        servers = [
            await stack.enter_async_context(TritonServer(install, repository, folder / name)) for name in PODS
        ]
        relays = {
            name: await stack.enter_async_context(CutRelay(server.address, server.ports.metrics))
            for name, server in zip(PODS, servers, strict=True)
        }
        scraped = {
            name: Target(f"{server.address}:{server.ports.metrics}", {"pod": name, "namespace": "live"})
            for name, server in zip(PODS, servers, strict=True)
        }
        prometheus.set_targets(list(scraped.values()))
        static = ", ".join(
            f"{{namespace: live, pod: {name}, workload: triton, http_url: '{server.url}', "
            f"metrics_url: 'http://127.0.0.1:{relays[name].port}/metrics'}}"
            for name, server in zip(PODS, servers, strict=True)
        )
        config = parse_config(
            f"targets: {{static: [{static}]}}\nsource: auto\nscrape: {{interval: 1s, timeout: 800ms}}\n"
            f"prometheus: {{url: '{prometheus.url}', interval: 1s, scrape_interval: 1s, timeout: 900ms, delay: 100ms}}\n"
        )
        rows = {
            name: row.model_copy(update={"window": WINDOW})
            for name, row in load_signals(rules_dir() / "signals").items()
        }
        session = await stack.enter_async_context(scrape_session())
        metrics = OwnMetrics()
        generation = Generation(config, rows, StrictApi("", {}), session, metrics)
        metrics.registry.register(SourcesCollector(lambda: generation.sources))
        running = asyncio.create_task(generation.run())
        stack.callback(running.cancel)
        load = Load(lambda: [server.url for server in servers], "slow")
        sending = asyncio.create_task(load.closed_loop(workers=WORKERS, seconds=600))
        stack.callback(sending.cancel)
        yield Fleet(generation, relays, prometheus, scraped, metrics)


async def test_each_way_to_a_pod_stands_in_for_the_other_unless_it_leads_elsewhere(
    triton_install: TritonInstall, prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    async with fleet_of(triton_install, prometheus_tools, tmp_path) as fleet:
        await asyncio.sleep(WINDOW)
        value = await fleet.until("scrape", pods_compared="2")
        assert value.value == pytest.approx(WORKERS, rel=0.2)
        assert float(value.labels["largest_difference"]) == 0.0
        await _both_say_the_same_when_explained(fleet)
        await _prometheus_is_away(fleet)
        await _the_way_to_one_pod_is_cut(fleet)
        await _prometheus_is_led_astray(fleet)


async def _both_say_the_same_when_explained(fleet: Fleet) -> None:
    end = time.monotonic() + 2 * WINDOW
    while isinstance((explained := fleet.ask(explain=True)).alone["prometheus"], NoData):
        assert time.monotonic() < end, explained.alone
        await asyncio.sleep(0.2)
    alone = explained.alone
    assert isinstance(alone["scrape"], Value), alone
    assert isinstance(alone["prometheus"], Value)
    assert alone["prometheus"].value == pytest.approx(alone["scrape"].value, rel=0.2)
    assert {line["source"] for line in explained.trace} == {"scrape"}
    page = fleet.own_metrics()
    assert 'triton_autoscaler_pods_read{source="scrape"} 2.0' in page
    assert "triton_autoscaler_sources_compared_pods 2.0" in page
    assert "triton_autoscaler_sources_contradicting_pods 0.0" in page
    assert "triton_autoscaler_sources_difference_ratio 0.0" in page


async def _prometheus_is_away(fleet: Fleet) -> None:
    fleet.prometheus.pause()
    try:
        answers = await fleet.hold(4.0)
    finally:
        fleet.prometheus.resume()
    assert [a for a in answers if isinstance(a, NoData) or a.labels["source"] != "scrape"] == []


async def _the_way_to_one_pod_is_cut(fleet: Fleet) -> None:
    """What was behind it is read from Prometheus, and not taken for idle in between."""
    await fleet.until("scrape")
    fleet.relays["two"].cut()
    value = await fleet.until("prometheus,scrape", pods_from_prometheus="1")
    answers = await fleet.hold(WINDOW)
    values = [answer.value for answer in (value, *answers) if isinstance(answer, Value)]
    assert len(values) > len(answers) / 2, answers
    assert min(values) > WORKERS * 0.7
    assert 'triton_autoscaler_pods_read{source="prometheus"} 1.0' in fleet.own_metrics()
    fleet.relays["two"].mend()
    await fleet.until("scrape", pods_compared="2")


async def _prometheus_is_led_astray(fleet: Fleet) -> None:
    """It scrapes one pod under the other's name: where that one falls silent, it has no witness."""
    with structlog.testing.capture_logs() as said:
        impostor = Target(fleet.scraped["one"].address, fleet.scraped["two"].labels)
        fleet.prometheus.set_targets([fleet.scraped["one"], impostor])
        await _until(fleet, "triton_autoscaler_sources_contradicting_pods 1.0")
        await asyncio.sleep(6.0)  # tidied once in five seconds
    assert [line["pods"] for line in said if line["event"] == "sources_contradict"] == [["two"]]
    assert fleet.ask().labels["source"] == "scrape"  # type: ignore[union-attr]
    fleet.relays["two"].cut()
    end = time.monotonic() + 15.0
    while not isinstance(answer := fleet.ask(), NoData):
        assert time.monotonic() < end, answer
        await asyncio.sleep(0.2)
    assert answer.message.startswith("pod two does not answer scrapes (")
    assert "Prometheus shows other counters than it did itself" in answer.message


async def _until(fleet: Fleet, line: str) -> None:
    end = time.monotonic() + 30.0
    while line not in fleet.own_metrics():
        assert time.monotonic() < end, fleet.own_metrics()
        await asyncio.sleep(0.2)
