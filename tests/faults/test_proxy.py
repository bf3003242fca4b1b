"""The proxy's faults, each on a real Prometheus' answers: what it does to them, and that it leaves the others alone."""

import os
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.faults import proxy
from tests.faults.proxy import Fault, PrometheusProxy
from tests.faults.synthetic_triton import METRICS_PORT, SyntheticTriton
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer, Target

pytestmark = pytest.mark.asyncio(loop_scope="module")

PENDING = "nv_inference_pending_request_count"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def between(
    prometheus_tools: PrometheusTools, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PrometheusProxy]:
    """A Prometheus with two pods of `ours`, 1 and 2 requests waiting, and one of `theirs`, with 3."""
    network = f"127.250.{os.getpid() % 250}"  # outside of the control planes' networks
    addresses = {
        f"{network}.1": ("ours", "a"),
        f"{network}.2": ("ours", "b"),
        f"{network}.3": ("theirs", "c"),
    }
    tritons = [SyntheticTriton(address) for address in addresses]
    targets = [
        Target(f"{address}:{METRICS_PORT}", {"namespace": namespace, "pod": pod})
        for address, (namespace, pod) in addresses.items()
    ]
    server = PrometheusServer(prometheus_tools, tmp_path_factory.mktemp("prometheus"), targets)
    async with tritons[0], tritons[1], tritons[2], server, PrometheusProxy(server.url) as between:
        for waiting, triton in enumerate(tritons, start=1):
            triton.load = waiting * 4.0
        await server.until_scraped(2)
        yield between


async def ask(
    between: PrometheusProxy, promql: str = f"{PENDING}{{}}", at: float | None = None
) -> dict[str, str]:
    """Numbers by pod."""
    given = {"query": promql} | ({} if at is None else {"time": str(at)})
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{between.url}/api/v1/query", params=given) as answer,
    ):
        told = await answer.json()
    return {row["metric"].get("pod", ""): row["value"][1] for row in told["data"]["result"]}


async def test_without_a_fault_it_hands_on_what_prometheus_says(between: PrometheusProxy) -> None:
    assert await ask(between) == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (proxy.empty("ours"), {"c": "3"}),
        (proxy.numbers("ours", lambda _: "NaN"), {"a": "NaN", "b": "NaN", "c": "3"}),
        (proxy.numbers("ours", lambda number: f"-{number}"), {"a": "-1", "b": "-2", "c": "3"}),
        (proxy.without_pods(lambda: ["b"]), {"a": "1", "c": "3"}),
        (proxy.frozen("ours", 1000.0), {"c": "3"}),
    ],
)
async def test_a_fault_of_one_fleet_leaves_the_other_alone(
    between: PrometheusProxy, fault: Fault, told: dict[str, str]
) -> None:
    with between.failing(fault, "ours"):
        assert await ask(between) == told
    assert await ask(between) == {"a": "1", "b": "2", "c": "3"}


async def test_moments_are_no_measurements(between: PrometheusProxy) -> None:
    with between.failing(proxy.numbers("ours", lambda _: "NaN"), "ours"):
        stamps = await ask(between, f"timestamp({PENDING})")
    assert all(abs(float(stamp) - time.time()) < 5 for stamp in stamps.values())


async def test_an_aggregate_is_of_the_fleet_that_asks(between: PrometheusProxy) -> None:
    query = f'sum({PENDING}{{namespace="ours"}})'
    with between.failing(proxy.without_pods(lambda: ["b"]), "ours"):
        assert await ask(between, query) == {"": "1"}
    with between.failing(proxy.empty("ours"), "ours"):
        assert await ask(between, query) == {}


async def test_a_clock_ahead_has_no_samples_yet_for_who_asks_by_his_own(between: PrometheusProxy) -> None:
    with between.failing(proxy.clock(600.0), "ours"):
        assert await ask(between, at=time.time()) == {}
        assert await ask(between, at=time.time() + 600) == {"a": "1", "b": "2", "c": "3"}
        stamps = await ask(between, f"timestamp({PENDING})")
    assert all(abs(float(stamp) - time.time() - 600) < 5 for stamp in stamps.values())


async def test_what_drops_connections_is_unreachable(between: PrometheusProxy) -> None:
    with between.failing(proxy.down, "ours"), pytest.raises(aiohttp.ClientError):
        await ask(between)
