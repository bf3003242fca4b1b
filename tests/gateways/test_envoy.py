"""What rules/gateways/envoy.yaml says of Envoy, seen on a real one that a real Prometheus scrapes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from autoscaler.answer import Answer, NoData, Reason, Value
from autoscaler.config import parse_config
from autoscaler.gateway_evaluate import GatewayView, evaluate_gateway
from autoscaler.selector import parse_selector
from autoscaler.signal import Signal, load_signals
from telemetry.gateways.kind import load_gateways
from telemetry.gateways.source import GatewaySource
from telemetry.prometheus import PrometheusSource
from telemetry.rules_dir import rules_dir
from tests.gateways.envoy import Envoy
from tests.gateways.install import ensure_envoy
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer, Target

pytestmark = pytest.mark.timeout(180)

KINDS = load_gateways(rules_dir() / "gateways")
ROWS = load_signals(rules_dir() / "signals")
RATE = ROWS["triton_gateway_request_rate"].model_copy(update={"window": 6.0})
P95 = ROWS["triton_gateway_request_duration_p95_ms"].model_copy(update={"window": 6.0})
CLUSTER = "outbound|8000||triton"
ENVOY_BOUNDS = (100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
"""Of its buckets, in milliseconds, those over 70 (envoyproxy/envoy source/common/stats/histogram_impl.cc)."""
SECONDS = "{url: 'URL', interval: 1s, scrape_interval: 1s, timeout: 900ms, delay: 100ms}"


class Front:
    """An Envoy, and what the signals say of it."""

    def __init__(self, envoy: Envoy, gateways: GatewaySource) -> None:
        self.envoy = envoy
        self._gateways = gateways

    async def request(self) -> int:
        async with aiohttp.ClientSession() as http, http.get(f"{self.envoy.url}/v2") as answer:
            return answer.status

    async def answer(self, row: Signal = RATE) -> Answer:
        await self._gateways.tick()
        found = self._gateways
        view = GatewayView(found.names, found.reading, found.failure, found.settings.max_age)
        now = time.monotonic()
        return evaluate_gateway(row, view, "inference", parse_selector("workload=triton"), now)

    async def until(self, low: float, high: float) -> Value:
        """The rate once it lies there."""
        found: list[Answer] = []

        async def lies() -> bool:
            found.append(await self.answer())
            last = found[-1]
            return isinstance(last, Value) and low <= last.value <= high

        try:
            await eventually(lies, seconds=30)
        except TimeoutError as late:
            raise TimeoutError(f"not between {low} and {high}: {found[-1]}") from late
        last = found[-1]
        assert isinstance(last, Value)
        return last


@asynccontextmanager
async def front(tools: PrometheusTools, folder: Path, cluster: str = CLUSTER) -> AsyncIterator[Front]:
    async with (
        Envoy(ensure_envoy(), folder / "envoy", CLUSTER) as envoy,
        PrometheusServer(
            tools, folder / "prometheus", [Target(envoy.address, path="/stats/prometheus")]
        ) as prometheus,
    ):
        await prometheus.until_scraped(8)  # a window, and what its beginning is compared with
        config = parse_config(
            f"targets: {{kubernetes: {{}}}}\nprometheus: {SECONDS.replace('URL', prometheus.url)}\n"
            "gateway: {kind: envoy, workloads: [{namespace: inference, workload: triton, "
            f"service: '{cluster}'}}]}}\n",
            gateways=KINDS,
        )
        assert config.gateway is not None
        async with PrometheusSource(prometheus.url) as source:
            names = config.gateway.names(KINDS["envoy"], "")
            yield Front(
                envoy, GatewaySource(names, {RATE.window}, config.gateway_settings(), source, time.monotonic)
            )


async def test_the_first_request_to_an_empty_cluster_is_seen_and_a_restart_is_no_traffic(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    async with front(prometheus_tools, tmp_path) as seen:
        assert (await seen.until(0.0, 0.0)).idle
        assert await seen.request() == 503
        assert (await seen.until(0.01, 1.0)).value == pytest.approx(1 / 6, rel=0.35)
        refused = await seen.answer(P95)
        assert isinstance(refused, NoData)
        assert refused.reason in (Reason.NO_SUCCESS, Reason.FAMILY_ABSENT)
        await seen.until(0.0, 0.0)
        await seen.envoy.kill()
        await seen.envoy.start()
        assert "envoy_cluster_upstream_rq{" not in await seen.envoy.page(), "it shows none before a request"
        assert (await seen.until(0.0, 0.0)).idle


async def test_requests_that_are_answered_and_those_that_wait(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """40 that take 70 ms and more: the quantile lies between the bound below 70 ms and the one above what 95 of 100 clients waited,
    however slow the machine. One that is not answered is no idleness."""
    released = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.07)
        return web.Response()

    async def hang(request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/v2", slow)
    app.router.add_get("/hang", hang)
    async with TestServer(app) as server, front(prometheus_tools, tmp_path) as seen:
        seen.envoy.set_endpoints([f"http://127.0.0.1:{server.port}"])
        await eventually(lambda: _is(seen.request(), 200), seconds=10)
        waited = await asyncio.gather(*(_milliseconds(seen.request(), 200) for _ in range(40)))
        assert (await seen.until(5.5, 9.0)).labels["gateway"] == "envoy"
        # The 38th of 40: as many took no more at Envoy, which waits less than its clients.
        above = next(bound for bound in ENVOY_BOUNDS if bound >= sorted(waited)[37])
        await eventually(lambda: _lies(seen, 50.0, above), seconds=10)  # Envoy merges histograms each 5 s
        async with aiohttp.ClientSession() as http:
            waiting = asyncio.create_task(http.get(f"{seen.envoy.url}/hang"))
            await eventually(lambda: _stalls(seen), seconds=30)
            released.set()
            (await waiting).release()


async def test_a_mistyped_cluster_is_an_error_and_never_zero(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    async with front(prometheus_tools, tmp_path, cluster="outbound|8000||tritn") as seen:
        told = await seen.answer()
        assert isinstance(told, NoData)
        assert told.reason is Reason.NO_SERIES


async def _milliseconds(asked: Awaitable[int], expected: int) -> float:
    """How long it took."""
    begun = time.monotonic()
    assert await asked == expected
    return 1000 * (time.monotonic() - begun)


async def _is(asked: Awaitable[int], expected: int) -> bool:
    return await asked == expected


async def _lies(seen: Front, low: float, high: float) -> bool:
    told = await seen.answer(P95)
    return isinstance(told, Value) and low < told.value <= high


async def _stalls(seen: Front) -> bool:
    told = await seen.answer()
    return isinstance(told, NoData) and told.reason is Reason.STALLED
