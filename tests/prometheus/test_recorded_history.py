"""The histories of test_same_history once more, read out of recordings: the generated rules evaluated by Prometheus' own backfill.

Windows are equal here, too. A rule sees a scrape later than a tick would, but what it records for a timestamp are the numbers of
the scrape with that timestamp, so only *which* scrape is seen differs: the newest one by a second before the evaluation."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from telemetry.prometheus_pages import LabelNames
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.prometheus_recorded_reader import settings_recordings
from telemetry.prometheus_recordings import AFTER, rule_file
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.same_windows import (
    DELAY,
    EVERY,
    FAMILIES,
    HISTORIES,
    SLOTS,
    START,
    as_openmetrics,
    say_the_same,
)
from tests.prometheus.server import PrometheusServer

pytestmark = pytest.mark.timeout(300)

LOOKBACK = ("--query.lookback-delta", f"{EVERY}s")


@pytest.mark.parametrize(
    ("interval", "names"),
    [
        (15, LabelNames()),
        pytest.param(10, LabelNames("exported_namespace", "exported_pod"), marks=pytest.mark.accuracy),
    ],
)
async def test_240_histories_say_the_same_through_recording_rules_as_through_scrapes(
    prometheus_tools: PrometheusTools, tmp_path: Path, interval: int, names: LabelNames
) -> None:
    """At the pace of Prometheus' scrapes, and faster: some are recorded twice. The second with labels as without honor_labels."""
    settings = PrometheusSettings(interval, EVERY, 9.0, DELAY, namespaces=("prod",), labels=names)
    recordings = settings_recordings(FAMILIES, settings)
    rules = recordings.rules("", DELAY)
    await PrometheusServer(prometheus_tools, tmp_path).backfill(as_openmetrics(*recordings.labels))
    # A rule that reads another needs that one's blocks: the first timestamps, then the families, then the last timestamps.
    for part in (rules[:1], rules[1:-1], rules[-1:]):
        (tmp_path / "rules.yaml").write_text(rule_file(part, recordings.digest, interval))
        async with PrometheusServer(prometheus_tools, tmp_path, arguments=LOOKBACK) as server:
            await server.backfill_rules(tmp_path / "rules.yaml", START, START + SLOTS * EVERY)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            PrometheusServer(prometheus_tools, tmp_path, arguments=LOOKBACK)
        )
        grid = await first_evaluation(server)

        def evaluated(at: float) -> float:
            return grid + round(1000 * (at - grid)) // (1000 * interval) * interval

        first = evaluated(START + 6 * EVERY) + 7.0
        ticks: Sequence[float] = [first + n * interval for n in range(int((SLOTS - 8) * EVERY / interval))]
        same = await say_the_same(
            server.url, settings, ticks, lambda now: evaluated(now - DELAY), lambda at: evaluated(at) - DELAY
        )
    assert {report.recordings for report in same.reports} == {"read"}
    assert same.rows > 40 * HISTORIES, same
    print(f"{HISTORIES} histories, {len(ticks)} evaluations each {interval} s: {same.rows} rows equal")


async def first_evaluation(server: PrometheusServer) -> float:
    told = await server.ask(
        "query", query=f"min(min_over_time(timestamp({AFTER})[1h:1s]))", time=str(START + SLOTS * EVERY)
    )
    return float(told["result"][0]["value"][1])
