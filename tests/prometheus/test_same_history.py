"""One history through both sources: pages handed to the histories as a scrape does, and the same samples read from a real
Prometheus.

The expected windows are equal, not near: where a tick sees a sample, it is the very numbers that a scrape at that moment would have
seen, so nothing is left to tolerate but the millisecond in which Prometheus keeps a timestamp and the decimals of its text. What
differs between the sources in life is only when they look.

Backfilled blocks hold no staleness markers. A look back of exactly one scrape interval stands for them: a series that the newest
scrape did not show, and a pod whose newest scrape failed, are then gone, as by a marker."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from telemetry.prometheus_reader import PrometheusSettings
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.same_windows import (
    DELAY,
    EVERY,
    HISTORIES,
    SLOTS,
    START,
    as_openmetrics,
    say_the_same,
)
from tests.prometheus.server import PrometheusServer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    prometheus_tools: PrometheusTools, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PrometheusServer]:
    lookback = ("--query.lookback-delta", f"{EVERY}s")
    started = PrometheusServer(prometheus_tools, tmp_path_factory.mktemp("prometheus"), arguments=lookback)
    await started.backfill(as_openmetrics())
    async with started:
        yield started


@pytest.mark.parametrize(
    "tick_seconds", [15, *(pytest.param(each, marks=pytest.mark.accuracy) for each in (20, 10))]
)
async def test_240_histories_say_the_same_through_prometheus_as_through_scrapes(
    server: PrometheusServer, tick_seconds: int
) -> None:
    """At the pace of Prometheus' scrapes, slower (some are skipped), and faster (some are seen twice)."""
    first = START + 5 * EVERY + 7.0
    ticks = [first + n * tick_seconds for n in range(int((SLOTS - 6) * EVERY / tick_seconds))]
    settings = PrometheusSettings(tick_seconds, EVERY, 9.0, DELAY, namespaces=("prod",))
    same = await say_the_same(server.url, settings, ticks, lambda now: now - DELAY, lambda at: at)
    assert same.rows > 40 * HISTORIES, same
    assert {report.recordings for report in same.reports} == {"none"}
    print(f"{HISTORIES} histories, {len(ticks)} ticks of {tick_seconds} s: {same.rows} rows equal")
