"""All pods' pages as recording rules keep them, where they do; otherwise as the raw series show them.

Which is decided anew each tick: recordings that stop, or lack a pod that the series show, are left at once, and nothing of an
evaluation that is overdue is read as if it were new.
"""

from collections.abc import Collection
from functools import partial
from typing import Final

import structlog

from telemetry.prometheus_pages import PodName, Stamps, build_matchers
from telemetry.prometheus_queries import PrometheusQueries, RecordingsState
from telemetry.prometheus_reader import (
    FamilyPages,
    Opened,
    PrometheusReader,
    PrometheusSettings,
    Reading,
    moved,
    read_told_stamps,
)
from telemetry.prometheus_recordings import AFTER, BEFORE, Recordings
from telemetry.window import Families

_WHY: Final = {
    "none": "there are none of these pods, or a rule of the group fails",
    "other_digest": "they were made for other rules or another configuration; generate them again with "
    "`triton-autoscaler recording-rules`, with the same --rules and --config",
    "overdue": "they are not evaluated any more, or too slowly",
    "incomplete": "they lack pods that the series show",
    "too_old": "max_age is shorter than samples take through them",
}

log = structlog.get_logger(__name__)


class RecordedReader:
    """Asks for the recordings of `pages`' families."""

    def __init__(
        self,
        recordings: Recordings,
        settings: PrometheusSettings,
        queries: PrometheusQueries,
        pages: FamilyPages,
    ) -> None:
        self._recordings = recordings
        self._settings = settings
        self._queries = queries
        self._pages = pages
        self._matchers = build_matchers(settings.namespaces, recordings.labels.namespace, settings.matchers)

    async def open(self, known: Collection[PodName], deadline: float) -> Opened | RecordingsState:
        """The newest evaluation that is whole for all pods of `known` that it records, or why there is none. Raises
        PrometheusError."""
        delay = self._settings.delay
        vector = await self._queries.present(
            self._recordings.evaluations_query(self._matchers, delay), deadline
        )
        found = self._recordings.read_evaluations(vector)
        own = found.get(self._recordings.digest, {})
        recorded = [at for name, at in own.items() if name in known]
        if vector.at is None or not recorded:
            return "other_digest" if found.keys() - {self._recordings.digest} else "none"
        fresh = [at for at in recorded if at > vector.at - self._recordings.overdue(delay)]
        if not fresh:
            return "overdue"
        at = min(fresh)
        stamps, in_part = await self._stamps(BEFORE, at, deadline)
        return Opened(at, stamps, in_part or bool(vector.warnings))

    async def read(self, at: float, deadline: float, opened: Stamps | None) -> Reading:
        """All pods at second `at`, that of an evaluation or of a time between two. Raises PrometheusError."""
        doubtful = False
        if opened is None:
            opened, doubtful = await self._stamps(BEFORE, at, deadline)
        asked = {
            family: self._recordings.family_query(family, self._matchers) for family in self._pages.quantiles
        }
        pages, in_part = await self._pages.read(asked, self._recordings.labels, at, deadline)
        stamps, in_part_too = await self._stamps(AFTER, at, deadline)
        return Reading(stamps, pages, moved(opened, stamps), doubtful or in_part or in_part_too)

    async def _stamps(self, record: str, at: float, deadline: float) -> tuple[Stamps, bool]:
        query = self._recordings.stamps_query(record, self._matchers)
        read = partial(read_told_stamps, self._recordings.labels, self._settings.labels)
        return await self._queries.ask(query, at, deadline, read)


class RecordedOrRawReader:
    """What a tick opens it reads: `open`, then `read`."""

    def __init__(self, families: Families, settings: PrometheusSettings, queries: PrometheusQueries) -> None:
        pages = FamilyPages(families, queries)
        recordings = settings_recordings(families, settings)
        self.digest = recordings.digest
        self._queries = queries
        self._may_record = settings.recordings
        self._raw = PrometheusReader(settings, queries, pages)
        self._recorded = RecordedReader(recordings, settings, queries, pages)
        self._reads: PrometheusReader | RecordedReader = self._raw
        self._state: RecordingsState | None = None
        self._waiting: frozenset[PodName] = frozenset()
        self._waiting_at = 0.0
        self._kept_waiting = False

    async def open(self, known: Collection[PodName], deadline: float) -> Opened | None:
        """What there is to read, or None where no pod of `known` has a fresh sample. Raises PrometheusError."""
        found = await self._open_recorded(known, deadline)
        opened = found if isinstance(found, Opened) else None
        self._reads = self._recorded if opened else self._raw
        state: RecordingsState = "read" if isinstance(found, Opened) else found
        self._queries.report.recordings = state
        if state != self._state:
            reads = "recordings" if opened else "series"
            log.info("prometheus_reads", reads=reads, recordings=_WHY.get(state, "read"), digest=self.digest)
        self._state = state
        return opened or await self._raw.open(known, deadline)

    async def _open_recorded(self, known: Collection[PodName], deadline: float) -> Opened | RecordingsState:
        if not self._may_record:
            return "too_old"
        opened = await self._recorded.open(known, deadline)
        if not isinstance(opened, Opened):
            return opened
        lacking = set(known) - opened.stamps.newest.keys()
        if self._kept_waiting:
            lacking |= self._waiting
        if lacking and await self._raw.shows(lacking, opened.at, deadline):
            self._kept_waiting = False
            return "incomplete"
        return opened

    async def read(self, at: float, deadline: float, opened: Stamps | None) -> Reading:
        """All pods at second `at` of Prometheus' clock, as it was opened. Raises PrometheusError."""
        reading = await self._reads.read(at, deadline, opened)
        if self._reads is self._recorded and opened is not None and at != self._waiting_at:
            # Scrapes and evaluations are in step, so a pod that is scraped during one would be during each: it is read raw.
            self._kept_waiting = not self._waiting.isdisjoint(reading.unsettled)
            self._waiting, self._waiting_at = reading.unsettled, at
        return reading


def settings_recordings(families: Families, settings: PrometheusSettings) -> Recordings:
    """What is recorded for a source with these settings."""
    return Recordings(families, settings.labels, settings.scrape_interval, settings.interval)
