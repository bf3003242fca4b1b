"""The Prometheus source: once an interval the newest page of every pod, read out of a Prometheus instead of from the pod.

A tick asks for all families at one and the same evaluation time, and for the pods' timestamps before and after: a pod that was
scraped in between would have a page of two scrapes, so it waits for the next tick. Ages are differences of two readings of
Prometheus' clock; ours only says how long ago the tick began. What a page means is the histories' business, as for a scrape.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import ceil, inf
from typing import Final, TypeVar

import aiohttp
import structlog

from telemetry.circuit import Circuit
from telemetry.kept_pods import KeptPod, KeptPods
from telemetry.model_config_reader import ModelConfigReader
from telemetry.pod_state import PodState
from telemetry.prometheus import PrometheusError, PrometheusSource
from telemetry.prometheus_pages import (
    FamilyReader,
    LabelNames,
    Page,
    PodLabels,
    PodName,
    Stamps,
    build_matchers,
    choose_labels,
    family_quantiles,
    family_query,
    join_pages,
    read_stamps,
    stamps_query,
)
from telemetry.prometheus_vector import Vector
from telemetry.target import Phase, PodKey, Targets
from telemetry.window import Families, PodWindow

_Read = TypeVar("_Read")

AT_ONCE: Final = 4
"""Queries: a fifth of those that a Prometheus answers at once by default, which dashboards and rules want too."""
_CONFIGS_AT_ONCE: Final = 100
_CONFIG_SECONDS: Final = 2.0

NOT_ASKED: Final = "Prometheus was not asked yet"
NO_SAMPLE: Final = "Prometheus has no fresh sample of it"
IN_PART: Final = "Prometheus answers in part, without all series of it"
IN_CLUSTERS: Final = (
    "Prometheus has a pod of this name in more than one cluster; narrow prometheus.matchers to this one"
)
_SAID: Final = {
    "unreachable": "connection refused or unreachable",
    "forbidden": "these credentials may not read it",
    "refused": "it refuses the query",
    "timeout": "timed out",
    "parse_error": "the answer is not in Prometheus' format",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Seconds: `interval` between ticks, `scrape_interval` of Prometheus itself, `timeout` for one tick (less than the interval),
    `delay` after its timestamp by which a sample can be queried."""

    interval: float = 15.0
    scrape_interval: float = 15.0
    timeout: float = 10.0
    delay: float = 1.0
    matchers: str = ""
    """Of the user's own, as they stand in a selector: `cluster="eu1"`."""
    namespaces: tuple[str, ...] = ()
    labels: LabelNames = field(default_factory=LabelNames)

    @property
    def sample_interval(self) -> float:
        """Between two samples of a pod as they are seen here."""
        return max(self.interval, self.scrape_interval)

    @property
    def fresh_seconds(self) -> float:
        """How old a sample may be to be read: one scrape may have failed and left no marker."""
        return 2 * self.scrape_interval + self.delay

    @property
    def shortest_window(self) -> float:
        """Two samples: a window of one would end where it begins, and show no work at all."""
        return 2 * self.sample_interval


@dataclass(slots=True)
class TickReport:
    """What a tick was, for the daemon's own metrics. `outcome`: ok, partial, no_samples, or the reason of its failure."""

    outcome: str = "ok"
    seconds: float = 0.0
    queries: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Reading:
    """All pods at one evaluation time."""

    stamps: Stamps
    pages: Mapping[PodName, Page]
    unsettled: frozenset[PodName]
    """Pods of which a sample arrived meanwhile."""
    in_part: bool


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
    ) -> None:
        if min(windows) < settings.shortest_window:
            raise ValueError(f"a window of {min(windows):g} s holds no two samples")
        self._settings = settings
        self._source = source
        self._clock = clock
        self._on_tick = on_tick
        self._windows = tuple(windows)
        self._kept = KeptPods(targets, families, windows, settings.sample_interval, clock, NOT_ASKED)
        self._configs = ModelConfigReader(session, clock, interval=settings.interval, timeout=_CONFIG_SECONDS)
        self._config_turns = asyncio.Semaphore(_CONFIGS_AT_ONCE)
        self._quantiles = family_quantiles(families)
        self._readers = {family: FamilyReader(family) for family in sorted(self._quantiles)}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._labels: PodLabels | None = None
        self._ahead: float | None = None  # our monotonic clock less Prometheus' clock
        self._filled = False
        self._taken: dict[PodKey, _Taken] = {}
        self._report = TickReport()
        self._circuit = Circuit(settings.interval)
        self.last_round_at: float | None = None
        """Monotonic second at which a whole round ended: the loop's heartbeat."""

    def pods(self, namespace: str) -> Iterable[PodState]:
        """The namespace's pods as they stand, those just discovered without windows, those just gone as terminating."""
        return self._kept.pods(namespace)

    async def run(self) -> None:
        """Ticks at a steady pace, so that one in step with Prometheus' scrapes sees each sample once; a Prometheus that does not
        answer is asked less and less often."""
        async with self._source:
            while True:
                begun = self._clock()
                await self.tick()
                wait = self._circuit.wait(random.random())  # noqa: S311 -- not a secret
                await asyncio.sleep(max(0.0, begun + wait - self._clock()))

    async def tick(self) -> None:
        """One round over all current targets; where none runs nothing is asked."""
        current = self._kept.begin_round()
        running = [kept for kept in current.values() if kept.target.phase is Phase.RUNNING]
        self._taken = {kept.target.key: self._take(kept) for kept in running}
        if running:
            begun, self._report = self._clock(), TickReport()
            try:
                await self._ask()
            except PrometheusError as error:
                self._fail(error.reason, str(error))
            except TimeoutError:
                self._fail("timeout", "the tick took too long")
            else:
                self._circuit.succeeded()
            self._report.seconds = self._clock() - begun
            self._on_tick(self._report)
        self.last_round_at = self._clock()

    def _take(self, kept: KeptPod) -> _Taken:
        """What was taken of this container; a new one begins anew."""
        taken = self._taken.get(kept.target.key)
        return taken if taken is not None and taken.kept is kept else _Taken(kept)

    def _fail(self, reason: str, detail: str) -> None:
        self._circuit.failed()
        self._filled = self._filled and self._circuit.failures < 2  # it will tell what was missed
        self._report.outcome = reason
        for taken in self._taken.values():
            taken.kept.failure = f"Prometheus does not answer: {_SAID[reason]}"
        log.warning(
            "prometheus_tick_failed", reason=reason, detail=detail[:300], failures=self._circuit.failures
        )

    async def _ask(self) -> None:
        """Raises PrometheusError, TimeoutError."""
        deadline = self._clock() + self._settings.timeout
        async with asyncio.timeout(self._settings.timeout):
            opened = await self._open(deadline)
        if opened is None:
            self._report.outcome = "no_samples"
            await self._feed(_Reading(Stamps({}, frozenset()), {}, frozenset(), in_part=False))
            return
        at, stamps, in_part = opened
        if not self._filled:
            self._filled = True
            await self._fill(at)
            deadline = self._clock() + self._settings.timeout
        async with asyncio.timeout(max(0.0, deadline - self._clock())):
            reading = await self._read(at, deadline, stamps)
        if in_part or reading.in_part:
            self._report.outcome = "partial"
        await self._feed(reading)

    async def _open(self, deadline: float) -> tuple[float, Stamps, bool] | None:
        """The evaluation time, a little before Prometheus' present, and the pods' timestamps at that time; None where no pod that
        is known here has one."""
        names, delay = self._settings.labels, self._settings.delay
        pairs = [self._labels] if self._labels else names.candidates()
        query = stamps_query(pairs, names, self._matchers(), self._settings.fresh_seconds, delay)
        sent = self._clock()
        vector = await self._query(query, None, deadline, lambda vector: vector)
        answered = self._clock()
        known = {self._name(taken.kept) for taken in self._taken.values()}
        labels = choose_labels(vector, known, pairs)
        if labels != self._labels:
            log.info("prometheus_labels", labels=labels and labels._asdict(), asked=query)
        self._labels = labels
        if labels is None or vector.at is None:
            return None
        # Prometheus read its clock between these two; what was found before stands while it can be true, so that the distance of
        # two samples is what Prometheus' clock says.
        earliest, latest = sent - vector.at, answered - vector.at
        self._ahead = earliest if self._ahead is None else min(max(self._ahead, earliest), latest)
        return vector.at - delay, read_stamps(vector, labels, names), bool(vector.warnings)

    async def _fill(self, at: float) -> None:
        """Takes what Prometheus remembers of the longest window, so that after a start or an outage nobody is blind for as long."""
        step = self._settings.sample_interval
        try:
            for back in range(ceil(max(self._windows) / step) + 1, 0, -1):
                deadline = self._clock() + self._settings.timeout
                async with asyncio.timeout(self._settings.timeout):
                    reading = await self._read(at - back * step, deadline, None)
                if not reading.in_part:
                    await self._feed(reading)
        except (PrometheusError, TimeoutError) as error:
            log.warning("prometheus_past_unread", detail=str(error)[:300] or "timed out")

    async def _read(self, at: float, deadline: float, opened: Stamps | None) -> _Reading:
        """Raises PrometheusError. `opened`: the timestamps before; None for a time of which no samples arrive any more."""
        labels, names, matchers = self._labels, self._settings.labels, self._matchers()
        assert labels is not None  # noqa: S101 -- chosen when the tick was opened
        fresh = self._settings.fresh_seconds
        parts: list[Mapping[PodName, Page]] = []
        in_part = False

        async def ask(family: str, reader: FamilyReader) -> None:
            nonlocal in_part
            query = family_query(family, labels, matchers, fresh, self._quantiles[family])
            part, doubtful = await self._query(query, at, deadline, partial(_read_family, reader, labels))
            parts.append(part)
            in_part |= doubtful

        try:
            async with asyncio.TaskGroup() as group:
                for family, reader in self._readers.items():
                    group.create_task(ask(family, reader))
        except* PrometheusError as errors:
            raise _first(errors) from None
        query = stamps_query([labels], names, matchers, fresh)
        stamps, doubtful = await self._query(query, at, deadline, partial(_read_stamps, labels, names))
        unsettled: set[PodName] = set()
        if opened is not None:
            either = opened.newest.keys() | stamps.newest.keys()
            unsettled = {name for name in either if opened.newest.get(name) != stamps.newest.get(name)}
        return _Reading(stamps, join_pages(parts), frozenset(unsettled), in_part or doubtful)

    async def _query(
        self, promql: str, at: float | None, deadline: float, read: Callable[[Vector], _Read]
    ) -> _Read:
        async with self._turns:
            left = max(0.1, deadline - self._clock())
            self._report.queries += 1
            size, answer = await self._source.vector(
                promql, at, lambda vector: (vector.size_bytes, read(vector)), timeout_seconds=left
            )
            self._report.size_bytes += size
            return answer

    async def _feed(self, reading: _Reading) -> None:
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

    def _feed_one(self, taken: _Taken, reading: _Reading) -> Mapping[float, PodWindow] | None:
        """The pod's windows after a page that is new; None, and perhaps a failure, without one."""
        kept, name = taken.kept, self._name(taken.kept)
        if name in reading.unsettled:
            return None
        stamp, page = reading.stamps.newest.get(name), reading.pages.get(name, {})
        at = -inf if stamp is None or self._ahead is None else stamp + self._ahead
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
                windows = kept.history.add(at, page.items())
            except ValueError as error:
                kept.failure = taken.refused = str(error)[:120]
                return None
            kept.failure = taken.refused = None
            return windows
        return None

    async def _take_over(self, kept: KeptPod, windows: Mapping[float, PodWindow]) -> None:
        """With the kinds of its models, or as much of them as the pod tells within its time."""
        async with self._config_turns:
            await self._configs.read_new(kept, windows)
        kept.windows = windows

    def _matchers(self) -> str:
        label = self._labels.namespace if self._labels else self._settings.labels.namespace
        return build_matchers(self._settings.namespaces, label, self._settings.matchers)

    @staticmethod
    def _name(kept: KeptPod) -> PodName:
        return PodName(kept.target.key.namespace, kept.target.key.pod)


def _read_family(
    reader: FamilyReader, labels: PodLabels, vector: Vector
) -> tuple[Mapping[PodName, Page], bool]:
    return reader.pages(vector, labels), bool(vector.warnings)


def _read_stamps(labels: PodLabels, names: LabelNames, vector: Vector) -> tuple[Stamps, bool]:
    return read_stamps(vector, labels, names), bool(vector.warnings)


def _covers(page: Page, whole: Page | None) -> bool:
    """Each row of the last whole page is there again: what may only be unseen is not gone."""
    return whole is not None and page.keys() >= whole.keys()


def _first(errors: BaseExceptionGroup[PrometheusError]) -> PrometheusError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
