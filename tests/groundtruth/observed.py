"""The program under test as it is deployed, in this process: scrape loop, windows, real rows, answers with their trace."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from autoscaler.answer import Answer, Value
from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import Signal, load_signals, needed_families
from telemetry.http_body import PlainPages
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets
from tests.groundtruth.truth import Scrape, Window
from tests.tritons.server import TritonServer

QUEUE, CONCURRENCY, RATE = "triton_queue_duration_ms", "triton_inference_concurrency", "triton_request_rate"
MODEL = "measured"
SIGNALS = (QUEUE, CONCURRENCY, RATE)
RULES = Path(__file__).parents[2] / "rules/signals"
NAMESPACE = "groundtruth"


@dataclass(frozen=True)
class Reading:
    """One answer, and the moment at which it was asked for."""

    signal: str
    asked_at: float
    answer: Answer

    @property
    def sampled_at(self) -> float:
        assert isinstance(self.answer, Value)
        return self.asked_at - self.answer.sample_age_seconds


@dataclass
class Observed:
    """What the program said, and when it sampled."""

    interval: float
    readings: list[Reading] = field(default_factory=list)
    scrapes: list[Scrape] = field(default_factory=list)

    def windows(self, reading: Reading) -> list[Window]:
        """The window of an answer with a value, by its own trace; two where the trace leaves it open.

        While requests wait and none completes, the answer keeps the increases of the sample before the first such one, and the
        highest mean of the gauge since. That has lasted for `stalled_seconds`, 0 at the first such sample as in a row that
        moves: then the window may be the one of the sample before, if nothing completed since."""
        assert isinstance(reading.answer, Value)
        (row,) = reading.answer.trace
        at, stalled = reading.sampled_at, row["stalled_seconds"]
        newest = max(scrape.at for scrape in self.scrapes if scrape.at <= at + 0.001)
        before = max(
            (scrape.at for scrape in self.scrapes if scrape.at < newest - stalled - 0.002), default=at
        )
        length = reading.answer.window_seconds
        gauges = [
            self._gauges(scrape.at, length)
            for scrape in self.scrapes[1:]
            if before - 0.001 <= scrape.at <= at + 0.001
        ]
        return [
            Window(at, end, self._exactly(end, row["window_seconds"]), gauges if held else gauges[-1:])
            for end, held in ((at - stalled, stalled > 0), (before, True))
        ]

    def _gauges(self, at: float, length: float) -> list[Scrape]:
        since = at - length + self.interval / 2
        return [scrape for scrape in self.scrapes[1:] if since < scrape.at <= at + 0.001]

    def _exactly(self, end: float, seconds: float) -> float:
        """The span from its first sample, where there is one: the trace says milliseconds."""
        started = (scrape.at for scrape in self.scrapes if abs(end - scrape.at - seconds) < 0.002)
        return end - next(started, end - seconds)


@asynccontextmanager
async def observing(
    server: TritonServer, *, window: float, interval: float, every: float
) -> AsyncIterator[Observed]:
    """Scrapes the server each `interval` seconds and asks for the three signals each `every` seconds, while inside."""
    rows = _rows(window)
    key = PodKey(NAMESPACE, "triton", "uid")
    target = Target(key, server.metrics_url, server.url, Phase.RUNNING, ready=True)
    targets = Targets()
    targets.replace({key: target})
    observed, sampled = Observed(interval), asyncio.Event()

    def note(target: Target, failure: str | None, seconds: float) -> None:
        if failure is None:
            observed.scrapes.append(Scrape(time.monotonic() - seconds, seconds))
            sampled.set()

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        settings = ScrapeSettings(interval=interval, timeout=0.9 * interval)
        families, windows = needed_families(rows), {row.window for row in rows.values()}
        scraper = Scraper(targets, families, windows, settings, PlainPages(session), time.monotonic, note)
        running = [group.create_task(scraper.run()), group.create_task(_ask(rows, scraper, observed, every))]
        await sampled.wait()  # an idle server first: its counters are zero, and its windows start here
        yield observed
        for task in running:
            task.cancel()


async def _ask(rows: Mapping[str, Signal], scraper: Scraper, observed: Observed, every: float) -> None:
    asked_at = 0.0
    autoscaler = Autoscaler(rows, scraper.pods, Settings(), lambda: asked_at)
    selector = parse_selector(f"model={MODEL}")
    while True:
        await asyncio.sleep(every)
        asked_at = time.monotonic()
        for signal in SIGNALS:
            answer = autoscaler.answer(NAMESPACE, signal, selector, explain=True)
            observed.readings.append(Reading(signal, asked_at, answer))


def _rows(window: float) -> Mapping[str, Signal]:
    rows = {name: row for name, row in load_signals(RULES).items() if name in SIGNALS}
    return {name: row.model_copy(update={"window": window}) for name, row in rows.items()}
