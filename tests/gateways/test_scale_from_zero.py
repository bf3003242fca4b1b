"""From zero replicas and back: a real Envoy before real Tritons, a real Prometheus that scrapes the Envoy, and the real HPA with
its gate HPAScaleToZero on."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.components import Options
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.hpa_watch import HpaWatch
from tests.controlplane.kube_client import Object
from tests.e2e.daemon import CHECKOUT, Daemon
from tests.e2e.fleet import SERVICE_MS, Fleet, deployment, rules_with_window
from tests.gateways.envoy import Envoy
from tests.gateways.install import ensure_envoy
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer, Target
from tests.real_parts import REAL_WORK
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load
from tests.tritons.pods import PodTritons
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import infer_body

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

NAMESPACE = "wakes"
CLUSTER = "inference/triton"
"""What Envoy calls the workload: no name that a workload can have."""
SIGNAL = "triton_gateway_request_rate"
TARGET = "5"
"""Requests a second for each replica."""
BLIND_SYNCS = 20
"""A second each: they outlast the window and max_age, so that what would fade has faded."""
COLD_START = 20
"""Seconds of stabilization: longer than a Triton takes to be ready here."""


@dataclass(frozen=True)
class Gated:
    fleet: Fleet
    envoy: Envoy
    prometheus: PrometheusServer

    async def ask_once(self) -> int:
        """One request through the gateway; its HTTP status."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.envoy.url}/v2/models/slow/infer", json=infer_body("slow", 0.0)) as answer,
        ):
            await answer.read()
            return answer.status

    async def until(self, state: str, *, seconds: float = 60.0) -> Object:
        """The signal's trace once it is in this state: value, idle or no_data."""
        trace: Object = {}

        async def told() -> bool:
            trace.update(await self.fleet.ask(SIGNAL, explain=True))
            return trace.get("state") == state

        await eventually(told, seconds=seconds)
        return trace

    @property
    def wanted(self) -> int:
        return self.fleet.hpa.replicas[-1].wanted


def _hpa() -> Object:
    """The example's, with this test's target and patience."""
    hpa: Object = yaml.safe_load((CHECKOUT / "deploy" / "examples" / "hpa-scale-to-zero.yaml").read_text())
    hpa["metadata"]["namespace"] = NAMESPACE
    hpa["spec"]["maxReplicas"] = 3
    hpa["spec"]["metrics"][0]["external"]["target"]["averageValue"] = TARGET
    hpa["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = COLD_START
    return hpa


@asynccontextmanager
async def gated_fleet(
    control_plane: ControlPlane,
    install: TritonInstall,
    tools: PrometheusTools,
    folder: Path,
    hpa: Object,
) -> AsyncIterator[Gated]:
    async with AsyncExitStack() as stack:
        envoy = await stack.enter_async_context(Envoy(ensure_envoy(), folder / "envoy", CLUSTER))
        scraped = Target(envoy.address, {"job": "envoy"}, "/stats/prometheus")
        prometheus = await stack.enter_async_context(
            PrometheusServer(tools, folder / "prometheus", [scraped])
        )
        config = {
            "targets": {"kubernetes": {"selector": "app.kubernetes.io/name=triton"}},
            "scrape": {"interval": "1s", "timeout": "800ms"},
            "prometheus": {
                "url": prometheus.url,
                "interval": "1s",
                "scrape_interval": "1s",
                "timeout": "900ms",
                "delay": "100ms",
            },
            "gateway": {
                "kind": "envoy",
                "workloads": [{"namespace": NAMESPACE, "workload": "triton", "service": CLUSTER}],
            },
        }
        rules = rules_with_window(folder / "rules")
        shutil.copytree(CHECKOUT / "rules" / "gateways", rules / "gateways")
        daemon = Daemon(control_plane, folder, config, rules=rules)
        await control_plane.create_namespace(NAMESPACE)
        await control_plane.install_external_metrics(daemon.port)
        repository = lay_out(folder / "repository", Model("slow", parameters={"service_ms": str(SERVICE_MS)}))
        await control_plane.api.apply([deployment(NAMESPACE), hpa])
        tritons = await stack.enter_async_context(
            PodTritons(control_plane, install, NAMESPACE, "app.kubernetes.io/name=triton", repository, folder)
        )
        following = asyncio.create_task(_follow(tritons, envoy))
        stack.callback(following.cancel)
        await tritons.until(1)
        await stack.enter_async_context(daemon)
        await daemon.until_ready()
        await control_plane.wait_for_external_metrics()
        watch = await stack.enter_async_context(HpaWatch(control_plane, NAMESPACE, "triton", "triton"))
        yield Gated(Fleet(control_plane, NAMESPACE, tritons, daemon, watch), envoy, prometheus)


async def _follow(tritons: PodTritons, envoy: Envoy) -> None:
    """What tells a gateway its endpoints."""
    known: list[str] = []
    while True:
        if known != (known := tritons.urls()):
            envoy.set_endpoints(known)
        await asyncio.sleep(0.2)


async def test_on_the_rate_alone_a_fleet_wakes_from_zero_serves_and_sleeps_again_and_stays_where_it_is_while_blind(
    request: pytest.FixtureRequest,
    triton_install: TritonInstall,
    prometheus_tools: PrometheusTools,
    tmp_path: Path,
) -> None:
    alone = _hpa()
    alone["spec"]["metrics"] = alone["spec"]["metrics"][:1]
    options = Options(feature_gates="HPAScaleToZero=true")
    async with (
        ControlPlane(ensure_tools(), tmp_path / "control-plane", options) as control_plane,
        gated_fleet(control_plane, triton_install, prometheus_tools, tmp_path, alone) as gated,
    ):
        fleet = gated.fleet
        await fleet.hpa.until_wanted(0, seconds=90)  # nobody has asked for anything yet
        await fleet.tritons.until(0)
        await _stays_while_blind(gated, 0)
        assert await gated.ask_once() == 503, "nobody is there"
        await fleet.hpa.until_wanted(1, seconds=30)
        await fleet.tritons.until(1)
        load = Load(lambda: [gated.envoy.url], "slow", timeout_seconds=10.0)
        running = asyncio.create_task(load.open_loop(per_second=15, seconds=400))
        try:
            await fleet.hpa.until_wanted(3, seconds=90)
            await fleet.tritons.until(3)
            assert fleet.hpa.scale_downs == [(1, 0)], fleet.hpa.story()
            trace = await gated.until("value")
            assert {row["gateway"] for row in trace["pods"]} == {f"envoy/{gated.envoy.address}"}
            await _quantiles_are_told(gated, load)
            await _stays_while_blind(gated, 3)
        finally:
            running.cancel()
        served = [sent for sent in load.sent if sent.status == 200]
        assert served, "the woken fleet served nothing"
        await fleet.hpa.until_wanted(0, seconds=120)
        await fleet.tritons.until(0)
        code, told = await fleet.value_command(SIGNAL)
        assert (code, "(idle)" in told, f"gateway envoy/{gated.envoy.address}: answered" in told) == (
            0,
            True,
            True,
        )
        request.config.stash[REAL_WORK].hpa_decisions += (await control_plane.hpa_syncs()).get("none", 0)


async def test_as_the_example_is_a_fleet_wakes_though_concurrency_has_no_value_and_works_on_under_another_name(
    request: pytest.FixtureRequest,
    triton_install: TritonInstall,
    prometheus_tools: PrometheusTools,
    tmp_path: Path,
) -> None:
    """Without a pod there is no concurrency, which is an error of that metric; the rate wakes the fleet all the same. And traffic
    that comes by another way than the gateway's configured name keeps it from zero, though that name's counters are flat."""
    options = Options(feature_gates="HPAScaleToZero=true")
    async with (
        ControlPlane(ensure_tools(), tmp_path / "control-plane", options) as control_plane,
        gated_fleet(control_plane, triton_install, prometheus_tools, tmp_path, _hpa()) as gated,
    ):
        fleet = gated.fleet
        await fleet.hpa.until_wanted(0, seconds=90)
        await fleet.tritons.until(0)
        assert "no Triton pod here" in (await fleet.ask("triton_inference_concurrency"))["message"]
        assert await gated.ask_once() == 503, "nobody is there"
        await fleet.hpa.until_wanted(1, seconds=30)
        await fleet.tritons.until(1)
        load = Load(fleet.tritons.urls, "slow", timeout_seconds=10.0)
        running = asyncio.create_task(load.open_loop(per_second=2, seconds=400))
        try:
            await gated.until("idle")
            await fleet.hpa.syncs(2 * COLD_START)
            assert gated.wanted == 1, fleet.hpa.story()
        finally:
            running.cancel()
        await fleet.hpa.until_wanted(0, seconds=90)
        request.config.stash[REAL_WORK].hpa_decisions += (await control_plane.hpa_syncs()).get("none", 0)


async def _quantiles_are_told(gated: Gated, load: Load) -> None:
    """As the clients saw it: within the buckets that hold it."""
    answer = await gated.fleet.ask("triton_gateway_request_duration_p99_ms", explain=True)
    assert answer["state"] == "value", answer
    slowest = max(sent.latency_seconds for sent in load.sent[-200:] if sent.status == 200) * 1000
    assert answer["value"] >= SERVICE_MS * 0.9, (answer, slowest)
    assert float(answer["labels"]["lower_bound"]) <= slowest, (answer, slowest)


async def _stays_while_blind(gated: Gated, replicas: int) -> None:
    """While Prometheus is away, and while it cannot scrape the gateway."""
    fleet = gated.fleet
    before = list(fleet.hpa.moves)
    gated.prometheus.pause()
    try:
        await fleet.hpa.syncs(BLIND_SYNCS, error="internal")
        message = (await fleet.ask(SIGNAL))["message"]
        assert "is not seen (Prometheus does not answer: timed out)" in message, message
    finally:
        gated.prometheus.resume()
    await gated.until("value" if replicas else "idle")
    await gated.envoy.kill()
    await fleet.hpa.syncs(BLIND_SYNCS, error="internal")
    message = (await fleet.ask(SIGNAL))["message"]
    lost = f"gateway envoy/{gated.envoy.address} is not seen (Prometheus has no fresh sample of it; see its 'up')"
    assert (lost if replicas else "no envoy gateway is seen") in message, message
    assert (gated.wanted, fleet.hpa.moves) == (replicas, before), fleet.hpa.story()
    await gated.envoy.start()
    await gated.until("value" if replicas else "idle")
    await fleet.hpa.syncs(3)
    assert gated.wanted == replicas, fleet.hpa.story()
