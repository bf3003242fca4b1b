"""The program under test as it is deployed, in this process: scrape loop, windows, real rows, answers with their trace."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from autoscaler.answer import Answer
from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import Signal, load_signals, needed_families
from telemetry.http_body import PlainPages, scrape_session
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Target as Pod
from telemetry.target import Targets
from tests.groundtruth.records import Scrape, Window

RULES: Final = Path(__file__).parents[2] / "rules/signals"
NAMESPACE: Final = "groundtruth"


@dataclass(frozen=True)
class Reading:
    """One answer, and the moment at which it was asked for."""

    signal: str
    selector: str
    asked_at: float
    answer: Answer


@dataclass
class Observed:
    """What the program said, and when it sampled which pod."""

    interval: float
    window: float
    readings: list[Reading] = field(default_factory=list)
    scrapes: dict[str, list[Scrape]] = field(default_factory=lambda: defaultdict(list))

    def windows(self, reading: Reading, row: Mapping[str, Any]) -> list[Window]:
        """The window of a pod's row in an answer's trace; two where the trace leaves it open.

        While requests wait and none completes, the answer keeps the increases of the sample before the first such one, and the
        highest mean of the gauge since. That has lasted for `stalled_seconds`, 0 at the first such sample as in a row that
        moves: then the window may be the one of the sample before, if nothing completed since."""
        scrapes = self.scrapes[row["pod"]]
        stalled = row["stalled_seconds"]
        at = _sampled_at(scrapes, reading.asked_at - row["age_seconds"])
        end = _sampled_at(scrapes, at - stalled)
        before = max((scrape.at for scrape in scrapes if scrape.at < end - 0.002), default=at)
        gauges = [
            self._gauges(scrapes, scrape.at)
            for scrape in scrapes
            if before - 0.001 <= scrape.at <= at + 0.001
        ]
        # A sample stands for the interval before it, the first one too.
        lived = min(1.0, (at - scrapes[0].at + self.interval) / row["window_seconds"])
        return [
            Window(
                at,
                ended,
                ended - _sampled_at(scrapes, ended - row["window_seconds"]),
                gauges if held else (gauges[-1:] or [()]),
                lived,
            )
            for ended, held in ((end, stalled > 0), (before, True))
        ]

    def _gauges(self, scrapes: Sequence[Scrape], at: float) -> list[Scrape]:
        since = at - self.window + self.interval / 2
        return [scrape for scrape in scrapes if since < scrape.at <= at + 0.001]


def _sampled_at(scrapes: Sequence[Scrape], about: float) -> float:
    """The moment of the sample that was taken about then, where there is one: a trace says milliseconds."""
    return next((scrape.at for scrape in scrapes if abs(scrape.at - about) < 0.002), about)


@asynccontextmanager
async def observing(
    targets: Targets, questions: Collection[tuple[str, str]], *, window: float, interval: float, every: float
) -> AsyncIterator[Observed]:
    """Scrapes the targets each `interval` seconds and asks the questions (signal and selector) each `every` seconds, while
    inside."""
    rows = _rows({signal for signal, _ in questions}, window)
    observed, sampled = Observed(interval, window), asyncio.Event()

    def note(pod: Pod, failure: str | None, seconds: float) -> None:
        if failure is None:
            observed.scrapes[pod.key.pod].append(Scrape(time.monotonic() - seconds, seconds))
            sampled.set()

    async with scrape_session() as session, asyncio.TaskGroup() as group:
        settings = ScrapeSettings(interval, 0.9 * interval, statistics=True)
        families, windows = needed_families(rows), {row.window for row in rows.values()}
        scraper = Scraper(targets, families, windows, settings, PlainPages(session), time.monotonic, note)
        running = [
            group.create_task(scraper.run()),
            group.create_task(_ask(rows, scraper, observed, questions, every)),
        ]
        await sampled.wait()  # an idle server first: its counters are zero, and its windows start here
        yield observed
        for task in running:
            task.cancel()


async def _ask(
    rows: Mapping[str, Signal],
    scraper: Scraper,
    observed: Observed,
    questions: Collection[tuple[str, str]],
    every: float,
) -> None:
    asked_at = 0.0
    autoscaler = Autoscaler(rows, scraper.pods, Settings(), lambda: asked_at)
    while True:
        await asyncio.sleep(every)
        asked_at = time.monotonic()
        for signal, selector in questions:
            answer = autoscaler.answer(NAMESPACE, signal, parse_selector(selector), explain=True)
            observed.readings.append(Reading(signal, selector, asked_at, answer))


def _rows(signals: Collection[str], window: float) -> Mapping[str, Signal]:
    """By what is asked for: a signal, or `SIGNAL over SECONDS s`."""
    rows = load_signals(RULES)
    found = {}
    for asked in signals:
        name, _, over = asked.partition(" over ")
        seconds = float(over.removesuffix(" s")) if over else window
        found[asked] = rows[name].model_copy(update={"window": seconds})
    return found
