"""All pods' newest pages as a Prometheus has them, at one evaluation time.

The timestamps are asked for before and after the families: a pod that was scraped in between would have a page of two scrapes.
Ages are differences of two readings of Prometheus' clock; ours only says how long ago it was asked.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import structlog

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
from telemetry.window import Families

_Read = TypeVar("_Read")

AT_ONCE: Final = 4
"""Queries: a fifth of those that a Prometheus answers at once by default, which dashboards and rules want too."""

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
class Reading:
    """All pods at one evaluation time."""

    stamps: Stamps
    pages: Mapping[PodName, Page]
    unsettled: frozenset[PodName]
    """Pods of which a sample arrived meanwhile."""
    in_part: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """What a tick reads: the evaluation time on Prometheus' clock, and the pods' timestamps by then."""

    at: float
    stamps: Stamps
    in_part: bool


class PrometheusReader:
    """Asks `source` for `families`; `clock` is monotonic. `report` counts what is asked until it is replaced."""

    def __init__(
        self,
        families: Families,
        settings: PrometheusSettings,
        source: PrometheusSource,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._source = source
        self._clock = clock
        self._quantiles = family_quantiles(families)
        self._readers = {family: FamilyReader(family) for family in sorted(self._quantiles)}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._labels: PodLabels | None = None
        self._ahead: float | None = None  # our monotonic clock less Prometheus' clock
        self.report = TickReport()

    def our_second(self, stamp: float) -> float:
        """The monotonic second of one of Prometheus' timestamps."""
        assert self._ahead is not None  # noqa: S101 -- nothing was read before it was opened
        return stamp + self._ahead

    async def open(self, known: Collection[PodName], deadline: float) -> Opened | None:
        """What there is to read a little before Prometheus' present; None where no pod of `known` has a fresh sample. `deadline` in
        monotonic seconds. Raises PrometheusError."""
        names, delay = self._settings.labels, self._settings.delay
        pairs = [self._labels] if self._labels else names.candidates()
        query = stamps_query(pairs, names, self._matchers(), self._settings.fresh_seconds, delay)
        sent = self._clock()
        vector = await self._query(query, None, deadline, lambda vector: vector)
        answered = self._clock()
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
        return Opened(vector.at - delay, read_stamps(vector, labels, names), bool(vector.warnings))

    async def read(self, at: float, deadline: float, opened: Stamps | None) -> Reading:
        """All pods at second `at` of Prometheus' clock. `opened`: the timestamps before; None for a time of which no samples arrive
        any more. Raises PrometheusError."""
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
        return Reading(stamps, join_pages(parts), frozenset(unsettled), in_part or doubtful)

    async def _query(
        self, promql: str, at: float | None, deadline: float, read: Callable[[Vector], _Read]
    ) -> _Read:
        async with self._turns:
            left = max(0.1, deadline - self._clock())
            self.report.queries += 1
            size, answer = await self._source.vector(
                promql, at, lambda vector: (vector.size_bytes, read(vector)), timeout_seconds=left
            )
            self.report.size_bytes += size
            return answer

    def _matchers(self) -> str:
        label = self._labels.namespace if self._labels else self._settings.labels.namespace
        return build_matchers(self._settings.namespaces, label, self._settings.matchers)


def _read_family(
    reader: FamilyReader, labels: PodLabels, vector: Vector
) -> tuple[Mapping[PodName, Page], bool]:
    return reader.pages(vector, labels), bool(vector.warnings)


def _read_stamps(labels: PodLabels, names: LabelNames, vector: Vector) -> tuple[Stamps, bool]:
    return read_stamps(vector, labels, names), bool(vector.warnings)


def _first(errors: BaseExceptionGroup[PrometheusError]) -> PrometheusError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
