"""Gateways as a Prometheus shows them: once an interval (a tick) what they did for each target, in one reading.

A tick asks a flat number of queries, whatever the number of targets and HPAs, all at one evaluation time: of a reading nothing is
of another moment. What fails leaves the last reading, whose samples grow too old.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final, TypeVar

import structlog

from telemetry.circuit import Circuit
from telemetry.gateways.queries import (
    GatewayNames,
    TooManySeries,
    TwoTargets,
    earlier_query,
    gauge_queries,
    kept_query,
    lost_queries,
    presence_query,
    read_instances,
    read_numbers,
    read_scrapes,
    read_series,
    read_told,
    read_twice,
    series_queries,
    targets_query,
)
from telemetry.gateways.reading import GatewayReading, Told, make_reading
from telemetry.gateways.window import Instance, Scrapes, Target, TargetSeries
from telemetry.prometheus import PrometheusError, PrometheusSource, does_not_answer
from telemetry.prometheus_matrix import Matrix
from telemetry.prometheus_queries import PrometheusQueries, TickReport
from telemetry.prometheus_ticks import keep_ticking
from telemetry.prometheus_vector import Vector

NOT_ASKED: Final = "Prometheus was not asked yet"
IN_PART: Final = "Prometheus answers in part, perhaps without all gateways"

WENT_BACK: Final = "Prometheus shows samples older than those it had before; did its clock go back?"

_Read = TypeVar("_Read")
_Expected = PrometheusError | TooManySeries | TwoTargets

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Seconds, as in PrometheusSettings. `max_age`: how old the newest sample of a gateway may be."""

    interval: float = 15.0
    scrape_interval: float = 15.0
    timeout: float = 10.0
    delay: float = 1.0
    max_age: float = 60.0

    @property
    def fresh_seconds(self) -> float:
        """How old the newest scrape of a gateway may be that is there: one may have failed."""
        return 2 * self.scrape_interval + self.delay

    @property
    def shortest_window(self) -> float:
        """Two scrapes."""
        return 2 * max(self.interval, self.scrape_interval)


class WentBack(Exception):
    """What Prometheus calls its present was read before: it is the past, in which a fleet that is busy now may have been idle."""


class GatewaySource:
    """Reads until cancelled; `reading` is what is known now, `failure` why the last tick told nothing, in words."""

    def __init__(
        self,
        names: GatewayNames,
        windows: Collection[float],
        settings: GatewaySettings,
        source: PrometheusSource,
        clock: Callable[[], float],
        on_tick: Callable[[TickReport], None] = lambda report: None,
    ) -> None:
        self.names = names
        self.settings = settings
        self.reading: GatewayReading | None = None
        self.failure: str | None = NOT_ASKED
        self.last_round_at: float | None = None
        self._windows = tuple(windows)
        self._source = source
        self._clock = clock
        self._on_tick = on_tick
        self._queries = PrometheusQueries(source, clock)
        self._circuit = Circuit(settings.interval)
        self._lost: frozenset[tuple[Target, Instance]] = frozenset()
        self._newest = -inf  # of all samples that were read, by Prometheus' clock

    @property
    def interval(self) -> float:
        return self.settings.interval

    async def run(self) -> None:
        await keep_ticking(self._source, self.tick, self._circuit.wait, self._clock)

    async def tick(self) -> None:
        begun, self._queries.report = self._clock(), TickReport()
        before = self.failure
        try:
            async with asyncio.timeout(self.settings.timeout):
                reading = await self._read(begun + self.settings.timeout)
        except PrometheusError as error:
            self._fail(error.reason, does_not_answer(error.reason), str(error))
        except TimeoutError:
            self._fail("timeout", does_not_answer("timeout"), "the tick took too long")
        except TooManySeries as error:
            self._fail("too_many_series", str(error), str(error))
        except TwoTargets as error:
            self._fail("two_targets", str(error), str(error))
        except WentBack:
            self._fail("went_back", WENT_BACK, WENT_BACK)
        else:
            self._circuit.succeeded()
            self.failure = IN_PART if reading is None else None
            self.reading = reading or self.reading
            if reading is None:
                self._queries.report.outcome = "partial"
        if before != self.failure:
            log.info("gateways", failure=self.failure)
        self._queries.report.seconds = self._clock() - begun
        self._on_tick(self._queries.report)
        self.last_round_at = self._clock()

    def _fail(self, outcome: str, failure: str, detail: str) -> None:
        self._circuit.failed()
        self._queries.report.outcome = outcome
        self.failure = failure
        log.warning("gateway_tick_failed", reason=outcome, detail=detail[:300])

    async def _read(self, deadline: float) -> GatewayReading | None:
        """None where an answer was in part. Raises PrometheusError, TimeoutError, TooManySeries, TwoTargets,
        WentBack."""
        kind, settings = self.names.kind, self.settings
        present = await self._queries.present("vector(time())", deadline)
        if present.at is None:
            raise PrometheusError("parse_error", "it does not tell its time", "is this a Prometheus?")
        asking = _Asking(self.names, self._queries, present.at - settings.delay, deadline)
        # First when each was scraped: what arrives meanwhile is then in the families, and read up to these times alone.
        longest = max(self._windows) + settings.max_age + settings.scrape_interval
        scrapes, twice = await asking.scrapes(presence_query(self.names, longest))
        newest = max((times[-1] for times in scrapes.values() if times), default=self._newest)
        if (
            newest < self._newest - settings.fresh_seconds
        ):  # one of two servers that are asked in turn may be behind
            raise WentBack
        self._newest = max(self._newest, newest)
        try:
            async with asyncio.TaskGroup() as group:
                scraped = group.create_task(asking.instances(targets_query(self.names, longest)))
                earlier = group.create_task(asking.instances(earlier_query(self.names, longest)))
                lost = [group.create_task(asking.told(query)) for query in lost_queries(self.names)]
                families = [
                    group.create_task(asking.series(family, query))
                    for family in (kind.requests, kind.buckets)
                    for query in series_queries(self.names, family, longest)
                ]
                active = [
                    group.create_task(asking.numbers(query))
                    for query in (gauge_queries(self.names, kind.active) if kind.active else ())
                ]
                listed = [
                    group.create_task(asking.told(query))
                    for query in (gauge_queries(self.names, kind.knows) if kind.knows else ())
                ]
        except* (PrometheusError, TooManySeries, TwoTargets) as errors:
            raise _first(errors) from None
        series = [one for task in families for one in task.result()]
        without_scrape = await self._without_scrape(
            asking, {each for task in lost for each in task.result()}, scrapes
        )
        if asking.in_part:
            return None
        self._lost = without_scrape
        told = Told(
            asking.at,
            self._queries.our_second(0.0),
            scrapes,
            twice,
            scraped.result(),
            earlier.result(),
            series,
            [each for task in active for each in task.result()],
            frozenset(each for task in listed for each in task.result()),
            sorted(without_scrape),
        )
        targets, fresh = self.names.targets, settings.fresh_seconds
        return await asyncio.to_thread(make_reading, told, targets, self._windows, fresh)

    async def _without_scrape(
        self, asking: "_Asking", told: Collection[tuple[Target, Instance]], scrapes: Scrapes
    ) -> frozenset[tuple[Target, Instance]]:
        """Who told of a target within the hour and has no scrape in what is read; and who was so at the last tick, however long ago
        it told: while Prometheus tries to scrape a gateway, nobody knows that it has no requests."""
        forgotten = self._lost.difference(told)
        kept: frozenset[Instance] = frozenset()
        if forgotten:
            kept = await asking.instances(kept_query(self.names, {instance for _, instance in forgotten}))
        scraped = {instance for instance, _ in scrapes}
        lost = {*told, *((target, instance) for target, instance in forgotten if instance in kept)}
        return frozenset((target, instance) for target, instance in lost if instance not in scraped)


class _Asking:
    """Queries of one tick at one evaluation time."""

    def __init__(self, names: GatewayNames, queries: PrometheusQueries, at: float, deadline: float) -> None:
        self.at = at
        self.in_part = False
        self._names = names
        self._queries = queries
        self._deadline = deadline

    async def scrapes(self, promql: str) -> tuple[Scrapes, frozenset[Instance]]:
        def read(matrix: Matrix) -> tuple[Scrapes, frozenset[Instance]]:
            return read_scrapes(self._names, matrix), read_twice(self._names, matrix)

        return await self._raw(promql, read)

    async def series(self, family: str, promql: str) -> Sequence[TargetSeries]:
        return await self._raw(promql, partial(read_series, self._names, family))

    async def instances(self, promql: str) -> frozenset[Instance]:
        return await self._row(promql, partial(read_instances, self._names))

    async def told(self, promql: str) -> frozenset[tuple[Target, Instance]]:
        return await self._row(promql, partial(read_told, self._names))

    async def numbers(self, promql: str) -> Sequence[tuple[Target, float]]:
        return await self._row(promql, partial(read_numbers, self._names))

    async def _raw(self, promql: str, read: Callable[[Matrix], _Read]) -> _Read:
        def both(matrix: Matrix) -> tuple[bool, _Read]:
            return bool(matrix.warnings), read(matrix)

        doubtful, answer = await self._queries.ask_raw(promql, self.at, self._deadline, both)
        self.in_part |= doubtful
        return answer

    async def _row(self, promql: str, read: Callable[[Vector], _Read]) -> _Read:
        def both(vector: Vector) -> tuple[bool, _Read]:
            return bool(vector.warnings), read(vector)

        doubtful, answer = await self._queries.ask(promql, self.at, self._deadline, both)
        self.in_part |= doubtful
        return answer


def _first(errors: BaseExceptionGroup[_Expected]) -> _Expected:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
