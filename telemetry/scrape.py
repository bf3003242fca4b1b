"""The scrape loop: every target's page once an interval, each with a deadline of its own, so that a bad target costs only itself.

It makes `PodState`s; nothing here decides what a silence means.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from telemetry.cross_check import Samples
from telemetry.exposition import Series, SeriesTable, parse_in_blocks
from telemetry.gpu_numbers import GpuNumbers
from telemetry.http_body import FAILURES, TIMED_OUT, Pages, say_failure
from telemetry.kept_pods import KeptPod, KeptPods
from telemetry.model_config_reader import ModelConfigReader
from telemetry.pod_state import PodState
from telemetry.room import Room
from telemetry.statistics_reader import StatisticsReader
from telemetry.target import Phase, PodKey, Target, Targets
from telemetry.window import Families, PodWindow

_MAX_PAGE_BYTES: Final = 8 * 2**20
_PAGES_AT_ONCE: Final = 16
"""On their way from pods that answer at once, or waiting to be read: a hundred pages of a quarter of a megabyte are a tenth of all
the memory that a thousand pods take."""
_SLOW_SECONDS: Final = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ScrapeSettings:
    """Seconds: `interval` between scrapes of a target, `timeout` for one of them (less than the interval). `statistics`: its
    statistics API is asked too."""

    interval: float = 5.0
    timeout: float = 2.0
    statistics: bool = False


class Scraper:
    """Scrapes `targets` until cancelled; `pods()` is what is known now.

    `families` and `windows` (seconds) are what the signals need; `clock` is monotonic.
    """

    reads_past = False

    def __init__(
        self,
        targets: Targets,
        families: Families,
        windows: Collection[float],
        settings: ScrapeSettings,
        pages: Pages,
        clock: Callable[[], float],
        on_scrape: Callable[[Target, str | None, float], None] = lambda target, failure, seconds: None,
        on_page: Callable[[PodKey, float, Samples], None] = lambda key, at, page: None,
    ) -> None:
        self._settings = settings
        self._pages = pages
        self._clock = clock
        self._on_scrape = on_scrape
        self._on_page = on_page
        self._names = families.names()
        self._kept = KeptPods(targets, families, windows, settings.interval, clock, "not scraped yet")
        self._series = SeriesTable(self._names)
        self._gpus: dict[PodKey, GpuNumbers] = {}
        self._statistics = StatisticsReader(
            pages, windows, interval=settings.interval, timeout=settings.timeout
        )
        self._configs = ModelConfigReader(pages, clock, interval=settings.interval, timeout=settings.timeout)
        self._reading = asyncio.Lock()
        self._room = Room(_PAGES_AT_ONCE, _SLOW_SECONDS)
        self.last_round_at: float | None = None
        """Monotonic second at which a whole round ended: the loop's heartbeat."""

    @property
    def interval(self) -> float:
        """Seconds between two rounds."""
        return self._settings.interval

    def pods(self, namespace: str) -> Iterable[PodState]:
        """The namespace's pods as they stand, those just discovered without windows, those just gone as terminating."""
        return self._kept.pods(namespace)

    async def run(self) -> None:
        """Rounds at a steady pace, each up to a tenth of the interval late: a gauge sampled in step with clients that come every
        second would always, or never, see them waiting. A round that overruns is followed at once by the next."""
        due = self._clock()
        latest = min(self._settings.interval / 10, self._settings.timeout / 2)
        while True:
            await self.scrape_all()
            due = max(due + self._settings.interval, self._clock())
            await asyncio.sleep(due - self._clock() + random.uniform(0.0, latest))  # noqa: S311 -- not a secret

    async def scrape_all(self) -> None:
        """One round over all current targets."""
        current = self._kept.begin_round()
        self._gpus = {key: self._gpus.get(key) or GpuNumbers() for key in current}
        self._statistics.keep(current.keys())
        async with asyncio.TaskGroup() as group:
            for kept in current.values():
                if kept.target.phase is Phase.RUNNING and kept.target.metrics_url is not None:
                    group.create_task(self._scrape(kept, kept.target.metrics_url))
        self._series.end_round()
        self.last_round_at = self._clock()

    async def _scrape(self, kept: KeptPod, url: str) -> None:
        target = kept.target
        async with self._pages.turn(mute=kept.failure == TIMED_OUT):
            failure: str | None = None
            detail: str | None = None
            try:
                async with self._room.place(wanted=kept.failure != TIMED_OUT) as arrived:
                    at = self._clock()
                    async with asyncio.timeout(self._settings.timeout):
                        page = await self._pages.read(url, _MAX_PAGE_BYTES)
                    arrived()
                    windows = await self._read_page(at, page, kept)
                    del page
                if self._settings.statistics:
                    windows = await self._statistics.add(target, at, windows)
                await self._configs.read_new(kept, windows)
                kept.windows = windows
            except FAILURES as error:
                failure, detail = say_failure(error), str(error)[:200] or None
            if failure != kept.failure:
                log.info(
                    "scrape_changed",
                    pod=target.key.pod,
                    namespace=target.key.namespace,
                    failure=failure,
                    detail=detail,
                )
            kept.failure = failure
            self._on_scrape(target, failure, self._clock() - at)

    async def _read_page(self, at: float, page: bytes, kept: KeptPod) -> Mapping[float, PodWindow]:
        """One page after the other, and each in turns with everything else: a hundred pods that show as much as they may must
        not hold up an answer."""
        async with self._reading:
            samples: list[tuple[Series, float]] = []
            rewrite = self._gpus[kept.target.key].put_into
            for _ in parse_in_blocks(page.decode(), self._series, samples, rewrite):
                await asyncio.sleep(0)
            windows = kept.history.add(at, samples, kept.known_since)
            self._on_page(kept.target.key, at, samples)
            return windows
