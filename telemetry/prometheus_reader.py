"""All pods' newest pages as a Prometheus has them, at one evaluation time.

The timestamps are asked for before and after the families: a pod that was scraped in between would have a page of two scrapes.
Ages are differences of two readings of Prometheus' clock; ours only says how long ago it was asked.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog

from telemetry.prometheus import PrometheusError
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
from telemetry.prometheus_queries import PrometheusQueries
from telemetry.prometheus_vector import Vector
from telemetry.window import Families

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
    recordings: bool = True
    """Whether samples that took the longer way through recording rules are young enough to be read."""

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


class FamilyPages:
    """The families' answers as pages. Whoever asks hands on what the same readers made: a history knows series by identity."""

    def __init__(self, families: Families, queries: PrometheusQueries) -> None:
        self._queries = queries
        self.quantiles = family_quantiles(families)
        self._readers = {family: FamilyReader(family) for family in sorted(self.quantiles)}

    async def read(
        self, asked: Mapping[str, str], labels: PodLabels, at: float, deadline: float
    ) -> tuple[Mapping[PodName, Page], bool]:
        """Pages out of one query for each family, `asked`, and whether an answer was in part. Raises PrometheusError."""
        parts: list[Mapping[PodName, Page]] = []
        in_part = False

        async def ask(family: str, reader: FamilyReader) -> None:
            nonlocal in_part
            part, doubtful = await self._queries.ask(
                asked[family], at, deadline, partial(_read_family, reader, labels)
            )
            parts.append(part)
            in_part |= doubtful

        try:
            async with asyncio.TaskGroup() as group:
                for family, reader in self._readers.items():
                    group.create_task(ask(family, reader))
        except* PrometheusError as errors:
            raise first_error(errors) from None
        return join_pages(parts), in_part


class PrometheusReader:
    """Asks for the raw series of `pages`' families."""

    def __init__(self, settings: PrometheusSettings, queries: PrometheusQueries, pages: FamilyPages) -> None:
        self._settings = settings
        self._queries = queries
        self._pages = pages
        self._labels: PodLabels | None = None

    async def open(self, known: Collection[PodName], deadline: float) -> Opened | None:
        """What there is to read a little before Prometheus' present; None where no pod of `known` has a fresh sample. `deadline` in
        monotonic seconds. Raises PrometheusError."""
        query = self._stamps_query(self._candidates(), self._settings.delay)
        vector = await self._queries.present(query, deadline)
        labels = choose_labels(vector, known, self._candidates())
        if labels != self._labels:
            log.info("prometheus_labels", labels=labels and labels._asdict(), asked=query)
        self._labels = labels
        if labels is None or vector.at is None:
            return None
        stamps = read_stamps(vector, labels, self._settings.labels)
        return Opened(vector.at - self._settings.delay, stamps, bool(vector.warnings))

    async def shows(self, pods: Collection[PodName], at: float, deadline: float) -> bool:
        """Whether one of them had a fresh sample a little before second `at`. Raises PrometheusError."""
        query = self._stamps_query(self._candidates(), self._settings.delay)
        vector = await self._queries.ask(query, at, deadline, lambda vector: vector)
        return choose_labels(vector, pods, self._candidates()) is not None

    async def read(self, at: float, deadline: float, opened: Stamps | None) -> Reading:
        """All pods at second `at` of Prometheus' clock. `opened`: the timestamps before; None for a time of which no samples arrive
        any more. Raises PrometheusError."""
        labels, fresh = self._labels, self._settings.fresh_seconds
        assert labels is not None  # noqa: S101 -- chosen when the tick was opened
        asked = {
            family: family_query(family, labels, self._matchers(), fresh, quantiles)
            for family, quantiles in self._pages.quantiles.items()
        }
        pages, in_part = await self._pages.read(asked, labels, at, deadline)
        stamps, doubtful = await self._queries.ask(
            self._stamps_query([labels]),
            at,
            deadline,
            partial(read_told_stamps, labels, self._settings.labels),
        )
        unsettled = moved(opened, stamps) if opened is not None else frozenset[PodName]()
        return Reading(stamps, pages, unsettled, in_part or doubtful)

    def _candidates(self) -> Collection[PodLabels]:
        return [self._labels] if self._labels else self._settings.labels.candidates()

    def _stamps_query(self, labels: Collection[PodLabels], delay: float = 0.0) -> str:
        names, fresh = self._settings.labels, self._settings.fresh_seconds
        return stamps_query(labels, names, self._matchers(), fresh, delay)

    def _matchers(self) -> str:
        label = self._labels.namespace if self._labels else self._settings.labels.namespace
        return build_matchers(self._settings.namespaces, label, self._settings.matchers)


def moved(before: Stamps, after: Stamps) -> frozenset[PodName]:
    """The pods whose timestamps differ: what was read in between may be of two scrapes."""
    either = before.newest.keys() | after.newest.keys()
    return frozenset(name for name in either if before.newest.get(name) != after.newest.get(name))


def read_told_stamps(labels: PodLabels, names: LabelNames, vector: Vector) -> tuple[Stamps, bool]:
    """The timestamps, and whether they were told in part."""
    return read_stamps(vector, labels, names), bool(vector.warnings)


def _read_family(
    reader: FamilyReader, labels: PodLabels, vector: Vector
) -> tuple[Mapping[PodName, Page], bool]:
    return reader.pages(vector, labels), bool(vector.warnings)


def first_error(errors: BaseExceptionGroup[PrometheusError]) -> PrometheusError:
    """Of several queries at once: one is enough to fail."""
    first = errors.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first
