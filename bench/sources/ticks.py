"""What one look at a fleet costs: a round of scrapes, and a tick that reads the same pages out of a Prometheus.

Both are the daemon's own loops, driven here one round at a time, on the same fleet: pages come from a process of their own, and
Prometheus is one that scrapes them. What it costs to make and send a page is on the Tritons' account and not measured."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from autoscaler.signal import load_signals, needed_families
from bench.fleet import NAMESPACE, Fleet
from bench.sources.pages import Pages, serving_pages
from bench.spread import Spread, spread
from telemetry.http_body import PlainPages, scrape_session
from telemetry.prometheus import PrometheusSource
from telemetry.prometheus_queries import TickReport
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.prometheus_scrape import PrometheusScraper
from telemetry.prometheus_vector import Vector
from telemetry.rules_dir import rules_dir
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Targets
from tests.prometheus.build_tools import ensure_prometheus
from tests.prometheus.server import PrometheusServer

_PATIENCE: Final = 60.0
"""Seconds for one round, beside the sources' own defaults: a busy machine has to show as time, not as failure."""
_SCRAPES_BEFORE: Final = 3
"""Of each pod by Prometheus, before it is asked: a window is full."""


@dataclass(frozen=True, slots=True)
class TickPace:
    """Seconds between scrape rounds, between ticks, and between Prometheus' own scrapes: the defaults."""

    scrape: float = ScrapeSettings().interval
    tick: float = PrometheusSettings().interval
    prometheus: float = PrometheusSettings().scrape_interval
    warm: int = 7
    """Rounds before those that count: windows of 30 s are full then."""


FAST_TICKS: Final = TickPace(1.0, 1.0, 1.0, warm=1)


@dataclass(frozen=True, slots=True)
class ScrapeCost:
    """Of one round."""

    size_bytes: Spread
    seconds: Spread
    cpu_s: Spread


@dataclass(frozen=True, slots=True)
class TickCost:
    """Of one tick."""

    queries: Spread
    rows: Spread
    size_bytes: Spread
    seconds: Spread
    cpu_s: Spread
    prometheus_cpu_s: Spread
    """Of its whole process while the tick lasts, less what it takes for its scrapes in as much time."""


@dataclass(frozen=True, slots=True)
class TicksResult:
    """Ratios are a tick to a round, pair by pair."""

    fleet: str
    pace: TickPace
    scrape: ScrapeCost
    prometheus: TickCost
    prometheus_scraping_cores: float
    """What Prometheus takes for its scrapes, whoever asks it."""
    bytes_ratio: Spread
    cpu_ratio: Spread


class NotSeenError(Exception):
    """Pods of the fleet were not seen, so a round means nothing."""


@dataclass(frozen=True, slots=True)
class _Round:
    seconds: float
    cpu_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Tick:
    ours: _Round
    queries: int
    rows: int
    prometheus_cpu_s: float


class _CountedSource(PrometheusSource):
    rows = 0

    async def vector(self, promql: str, at: float | None, read: Callable[[Vector], Any], **more: Any) -> Any:
        def counted(vector: Vector) -> tuple[int, Any]:
            return len(vector.labels), read(vector)

        rows, answer = await super().vector(promql, at, counted, **more)
        self.rows += rows
        return answer


async def measure_ticks(fleet: Fleet, rounds: int, pace: TickPace) -> TicksResult:
    """`rounds` of each source, after what fills its windows. Raises NotSeenError."""
    async with serving_pages(fleet) as pages:
        scrapes = [one async for one in _scrape_rounds(pages, rounds, pace)]
        ticks, scraping = await _ticks(pages, rounds, pace)
    return TicksResult(
        str(fleet),
        pace,
        ScrapeCost(
            spread(one.size_bytes for one in scrapes),
            spread(one.seconds for one in scrapes),
            spread(one.cpu_s for one in scrapes),
        ),
        TickCost(
            spread(one.queries for one in ticks),
            spread(one.rows for one in ticks),
            spread(one.ours.size_bytes for one in ticks),
            spread(one.ours.seconds for one in ticks),
            spread(one.ours.cpu_s for one in ticks),
            spread(one.prometheus_cpu_s for one in ticks),
        ),
        scraping,
        spread(t.ours.size_bytes / s.size_bytes for t, s in zip(ticks, scrapes, strict=True)),
        spread(t.ours.cpu_s / s.cpu_s for t, s in zip(ticks, scrapes, strict=True)),
    )


async def _scrape_rounds(pages: Pages, rounds: int, pace: TickPace) -> AsyncIterator[_Round]:
    signals = load_signals(rules_dir() / "signals")
    windows = {row.window for row in signals.values()}
    settings = ScrapeSettings(pace.scrape, _PATIENCE)
    async with scrape_session() as session:
        scraper = Scraper(
            _targets(pages), needed_families(signals), windows, settings, PlainPages(session), time.monotonic
        )
        for number in range(pace.warm + rounds):
            begun = time.monotonic()
            before = await pages.bytes_sent()
            seconds, cpu = await _timed(scraper.scrape_all())
            if number >= pace.warm:
                yield _Round(seconds, cpu, await pages.bytes_sent() - before)
            await asyncio.sleep(max(0.0, begun + pace.scrape - time.monotonic()))
        if blind := [pod for pod in scraper.pods(NAMESPACE) if pod.failure is not None]:
            raise NotSeenError(f"{len(blind)} pods did not answer a scrape: {blind[0].failure}")


async def _ticks(pages: Pages, rounds: int, pace: TickPace) -> tuple[list[_Tick], float]:
    """And how many cores Prometheus takes when it is not asked."""
    signals = load_signals(rules_dir() / "signals")
    windows = {row.window for row in signals.values()}
    settings = PrometheusSettings(pace.tick, pace.prometheus, _PATIENCE)
    reports: list[TickReport] = []
    with tempfile.TemporaryDirectory() as name:
        interval = f"{pace.prometheus:g}s"
        server = PrometheusServer(
            ensure_prometheus(), Path(name), pages.scrape_targets(), scrape_interval=interval
        )
        async with (
            server,
            scrape_session() as session,
            _CountedSource(server.url, timeout_seconds=_PATIENCE) as source,
        ):
            scraper = PrometheusScraper(
                _targets(pages),
                needed_families(signals),
                windows,
                settings,
                source,
                session,
                time.monotonic,
                reports.append,
            )
            await server.until_scraped(_SCRAPES_BEFORE, seconds=8 * pace.prometheus + 30)
            before = _cpu_seconds(server.pid)
            await asyncio.sleep(2 * pace.prometheus)
            scraping = (_cpu_seconds(server.pid) - before) / (2 * pace.prometheus)
            await scraper.tick()  # takes the past with it
            ticks = []
            for _ in range(rounds):
                await asyncio.sleep(pace.tick)
                rows, before = source.rows, _cpu_seconds(server.pid)
                seconds, cpu = await _timed(scraper.tick())
                theirs = _cpu_seconds(server.pid) - before - scraping * seconds
                report = reports[-1]
                if report.outcome != "ok":
                    raise NotSeenError(f"a tick ended with {report.outcome}")
                ours = _Round(seconds, cpu, report.size_bytes)
                ticks.append(_Tick(ours, report.queries, source.rows - rows, theirs))
            if blind := [pod for pod in scraper.pods(NAMESPACE) if pod.failure is not None]:
                raise NotSeenError(f"{len(blind)} pods are not in Prometheus: {blind[0].failure}")
    return ticks, scraping


def _targets(pages: Pages) -> Targets:
    targets = Targets()
    targets.replace({target.key: target for target in pages.targets()})
    return targets


async def _timed(work: Awaitable[object]) -> tuple[float, float]:
    """Seconds, and this process's seconds of CPU."""
    began, cpu = time.perf_counter(), time.process_time()
    await work
    return time.perf_counter() - began, time.process_time() - cpu


def _cpu_seconds(pid: int) -> float:
    """Of the process so far, user and system (proc(5), stat: fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
