"""Queries of one tick to a Prometheus: a few at once, each within the tick's deadline, counted, and its clock beside ours."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from telemetry.prometheus import PrometheusSource
from telemetry.prometheus_matrix import Matrix
from telemetry.prometheus_vector import Vector

_Read = TypeVar("_Read")

AT_ONCE: Final = 4
"""Queries: a fifth of those that a Prometheus answers at once by default, which dashboards and rules want too."""

RecordingsState = Literal["read", "none", "other_digest", "overdue", "incomplete", "too_old"]
"""Whether a tick read the recordings, or why it read the raw series."""


@dataclass(slots=True)
class TickReport:
    """What a tick was, for the daemon's own metrics. `outcome`: ok, partial, no_samples, or the reason of its failure."""

    outcome: str = "ok"
    seconds: float = 0.0
    queries: int = 0
    size_bytes: int = 0
    recordings: RecordingsState | None = None
    """None where the tick failed before that was known."""


class PrometheusQueries:
    """Asks `source`; `clock` is monotonic. `report` counts what is asked until it is replaced."""

    def __init__(self, source: PrometheusSource, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._ahead: float | None = None  # our monotonic clock less Prometheus' clock
        self.report = TickReport()

    def our_second(self, stamp: float) -> float:
        """The monotonic second of one of Prometheus' timestamps."""
        assert self._ahead is not None  # noqa: S101 -- nothing was read before it was opened
        return stamp + self._ahead

    async def present(self, promql: str, deadline: float) -> Vector:
        """Asked at Prometheus' own present, which tells how its clock stands to ours. Raises PrometheusError."""
        sent = self._clock()
        vector = await self.ask(promql, None, deadline, lambda vector: vector)
        answered = self._clock()
        if vector.at is not None:
            # Prometheus read its clock between these two; what was found before stands while it can be true, so that the distance
            # of two samples is what Prometheus' clock says.
            earliest, latest = sent - vector.at, answered - vector.at
            self._ahead = earliest if self._ahead is None else min(max(self._ahead, earliest), latest)
        return vector

    async def ask(
        self, promql: str, at: float | None, deadline: float, read: Callable[[Vector], _Read]
    ) -> _Read:
        """What `read`, in a thread, makes of the rows at second `at` of Prometheus' clock. `deadline` in monotonic seconds. Raises
        PrometheusError."""
        async with self._turns:
            left = max(0.1, deadline - self._clock())
            self.report.queries += 1
            size, answer = await self._source.vector(
                promql, at, lambda vector: (vector.size_bytes, read(vector)), timeout_seconds=left
            )
            self.report.size_bytes += size
            return answer

    async def ask_raw(
        self, promql: str, at: float, deadline: float, read: Callable[[Matrix], _Read]
    ) -> _Read:
        """The same of a range selector's raw samples up to second `at`. Raises PrometheusError."""
        async with self._turns:
            left = max(0.1, deadline - self._clock())
            self.report.queries += 1
            size, answer = await self._source.matrix(
                promql, at, lambda matrix: (matrix.size_bytes, read(matrix)), timeout_seconds=left
            )
            self.report.size_bytes += size
            return answer
