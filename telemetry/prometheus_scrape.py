"""The Prometheus source: once an interval (a tick) the newest page of every pod, read out of a Prometheus instead of from the pod.

A pod that Prometheus does not show whole and fresh is missing, in words that say why. What a page means is the histories' business,
as for a scrape.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import Final

import aiohttp
import structlog

from telemetry.circuit import Circuit
from telemetry.cross_check import Samples
from telemetry.http_body import PlainPages
from telemetry.kept_pods import KeptPod, KeptPods
from telemetry.model_config_reader import ModelConfigReader
from telemetry.pod_state import PodState
from telemetry.prometheus import PrometheusError, PrometheusSource, Reason, does_not_answer
from telemetry.prometheus_pages import Page, PodName, Stamps
from telemetry.prometheus_queries import PrometheusQueries, TickReport
from telemetry.prometheus_reader import PrometheusSettings, Reading
from telemetry.prometheus_recorded_reader import RecordedOrRawReader
from telemetry.prometheus_ticks import keep_ticking
from telemetry.target import Phase, PodKey, Targets
from telemetry.window import Families, PodWindow

_CONFIGS_AT_ONCE: Final = 100
_CONFIG_SECONDS: Final = 2.0

NOT_ASKED: Final = "Prometheus was not asked yet"
NO_SAMPLE: Final = "Prometheus has no fresh sample of it"
IN_PART: Final = "Prometheus answers in part, without all series of it"
IN_CLUSTERS: Final = (
    "Prometheus has a pod of this name in more than one cluster; narrow prometheus.matchers to this one"
)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Taken:
    """What was last taken of a pod."""

    kept: KeptPod
    stamp: float = -inf
    at: float = -inf
    refused: str | None = None
    whole: Page | None = None
    """Its page in the last answer that was not in part."""


class PrometheusScraper:
    """Reads `targets` out of `source` until cancelled; `pods()` is what is known now.

    `families` and `windows` (seconds, each `shortest_window` at least) are what the signals need; `session` reads the models'
    configurations from the pods; `clock` is monotonic.
    """

    reads_past = True

    def __init__(
        self,
        targets: Targets,
        families: Families,
        windows: Collection[float],
        settings: PrometheusSettings,
        source: PrometheusSource,
        session: aiohttp.ClientSession,
        clock: Callable[[], float],
        on_tick: Callable[[TickReport], None] = lambda report: None,
        on_page: Callable[[PodKey, float, Samples], None] = lambda key, at, page: None,
    ) -> None:
        if min(windows) < settings.shortest_window:
            raise ValueError(f"a window of {min(windows):g} s holds no two samples")
        self._settings = settings
        self._source = source
        self._clock = clock
        self._on_tick = on_tick
        self._on_page = on_page
        self._windows = tuple(windows)
        self._kept = KeptPods(targets, families, windows, settings.sample_interval, clock, NOT_ASKED)
        self._configs = ModelConfigReader(
            PlainPages(session), clock, interval=settings.interval, timeout=_CONFIG_SECONDS
        )
        self._config_turns = asyncio.Semaphore(_CONFIGS_AT_ONCE)
        self._queries = PrometheusQueries(source, clock)
        self._reader = RecordedOrRawReader(families, settings, self._queries)
        self._filled = False
        self._unsettled = False
        self._taken: dict[PodKey, _Taken] = {}
        self._circuit = Circuit(settings.interval)
        self.last_round_at: float | None = None
        """Monotonic second at which a whole round ended: the loop's heartbeat."""

    @property
    def interval(self) -> float:
        """Seconds between two rounds."""
        return self._settings.interval

    @property
    def recordings_digest(self) -> str:
        """By which it knows the recordings that were made for it."""
        return self._reader.digest

    def pods(self, namespace: str) -> Iterable[PodState]:
        """The namespace's pods as they stand, those just discovered without windows, those just gone as terminating."""
        return self._kept.pods(namespace)

    async def run(self) -> None:
        """Ticks at a steady pace, so that one in step with Prometheus' scrapes sees each sample once; a Prometheus that does not
        answer is asked less and less often."""
        await keep_ticking(self._source, self.tick, self._wait, self._clock)

    def _wait(self, draw: float) -> float:
        """Seconds from the beginning of one tick to the next. Where a pod was scraped during a tick, it would be during each of
        them, and never be seen: the next begins at another moment."""
        wait = self._circuit.wait(draw)
        return wait * (1 - draw / 4) if self._unsettled else wait

    async def tick(self) -> None:
        """One round over all current targets; where none runs nothing is asked."""
        current = self._kept.begin_round()
        running = [kept for kept in current.values() if kept.target.phase is Phase.RUNNING]
        self._taken = {kept.target.key: self._take(kept) for kept in running}
        if running:
            begun, self._queries.report, self._unsettled = self._clock(), TickReport(), False
            try:
                await self._ask()
            except PrometheusError as error:
                self._fail(error.reason, str(error))
            except TimeoutError:
                self._fail("timeout", "the tick took too long")
            else:
                self._circuit.succeeded()
            self._queries.report.seconds = self._clock() - begun
            self._on_tick(self._queries.report)
        self.last_round_at = self._clock()

    def _take(self, kept: KeptPod) -> _Taken:
        """What was taken of this container; a new one begins anew."""
        taken = self._taken.get(kept.target.key)
        return taken if taken is not None and taken.kept is kept else _Taken(kept)

    def _fail(self, reason: Reason, detail: str) -> None:
        self._circuit.failed()
        self._filled = self._filled and self._circuit.failures < 2  # it will tell what was missed
        self._queries.report.outcome = reason
        for taken in self._taken.values():
            taken.kept.failure = does_not_answer(reason)
        log.warning(
            "prometheus_tick_failed", reason=reason, detail=detail[:300], failures=self._circuit.failures
        )

    async def _ask(self) -> None:
        """Raises PrometheusError, TimeoutError."""
        deadline = self._clock() + self._settings.timeout
        known = {self._name(taken.kept) for taken in self._taken.values()}
        async with asyncio.timeout(self._settings.timeout):
            opened = await self._reader.open(known, deadline)
        if opened is None:
            self._queries.report.outcome = "no_samples"
            await self._feed(Reading(Stamps({}, frozenset()), {}, frozenset(), in_part=False))
            return
        if not self._filled:
            self._filled = True
            await self._fill(opened.at)
            deadline = self._clock() + self._settings.timeout
        async with asyncio.timeout(max(0.0, deadline - self._clock())):
            reading = await self._reader.read(opened.at, deadline, opened.stamps)
        if opened.in_part or reading.in_part:
            self._queries.report.outcome = "partial"
        self._unsettled = not reading.unsettled.isdisjoint(known)
        await self._feed(reading)

    async def _fill(self, at: float) -> None:
        """Takes what Prometheus remembers of the longest window, so that after a start or an outage nobody is blind for as long."""
        step = self._settings.sample_interval
        try:
            for back in range(ceil(max(self._windows) / step) + 1, 0, -1):
                deadline = self._clock() + self._settings.timeout
                async with asyncio.timeout(self._settings.timeout):
                    reading = await self._reader.read(at - back * step, deadline, None)
                if not reading.in_part:
                    await self._feed(reading)
        except (PrometheusError, TimeoutError) as error:
            log.warning("prometheus_past_unread", detail=str(error)[:300] or "timed out")

    async def _feed(self, reading: Reading) -> None:
        """Hands on the pages of the pods whose timestamp moved on, a pod in turn with everything else."""
        changed: list[str] = []
        fresh: list[tuple[_Taken, Mapping[float, PodWindow]]] = []
        for taken in list(self._taken.values()):
            before = taken.kept.failure
            windows = self._feed_one(taken, reading)
            if windows is not None:
                fresh.append((taken, windows))
                await asyncio.sleep(0)
            if taken.kept.failure != before:
                changed.append(f"{taken.kept.target.key.pod}: {taken.kept.failure or 'seen'}")
        async with asyncio.TaskGroup() as group:
            for taken, windows in fresh:
                group.create_task(self._take_over(taken.kept, windows))
        if changed:
            log.info("prometheus_pods_changed", pods=changed[:10], more=max(0, len(changed) - 10))

    def _feed_one(self, taken: _Taken, reading: Reading) -> Mapping[float, PodWindow] | None:
        """The pod's windows after a page that is new; None, and perhaps a failure, without one."""
        kept, name = taken.kept, self._name(taken.kept)
        if name in reading.unsettled:
            return None
        stamp, page = reading.stamps.newest.get(name), reading.pages.get(name, {})
        at = -inf if stamp is None else self._queries.our_second(stamp)
        if name in reading.stamps.in_clusters:
            kept.failure = IN_CLUSTERS
        elif stamp is None or at <= kept.since:
            kept.failure = NO_SAMPLE
        elif reading.in_part and not _covers(page, taken.whole):
            kept.failure = IN_PART
        elif stamp == taken.stamp or at <= taken.at:
            kept.failure = taken.refused
        else:
            taken.stamp, taken.at = stamp, at
            taken.whole = taken.whole if reading.in_part else page
            try:
                windows = kept.history.add(at, page.items(), kept.known_since)
            except ValueError as error:
                kept.failure = taken.refused = str(error)[:120]
                return None
            kept.failure = taken.refused = None
            self._on_page(kept.target.key, at, page.items())
            return windows
        return None

    async def _take_over(self, kept: KeptPod, windows: Mapping[float, PodWindow]) -> None:
        """With the kinds of its models, or as much of them as the pod tells within its time."""
        async with self._config_turns:
            await self._configs.read_new(kept, windows)
        kept.windows = windows

    @staticmethod
    def _name(kept: KeptPod) -> PodName:
        return PodName(kept.target.key.namespace, kept.target.key.pod)


def _covers(page: Page, whole: Page | None) -> bool:
    """Each row of the last whole page is there again: what may only be unseen is not gone."""
    return whole is not None and page.keys() >= whole.keys()
