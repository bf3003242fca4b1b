"""Whether two sources tell the same of one pod: the counters that Prometheus has, between those of the scrapes around it.

Counters only grow, so those that Prometheus scraped at a moment lie between what our own scrapes showed just before and just after.
What lies outside is not of this pod, or not all of it: another cluster's pod of the same name, models dropped by relabelling,
twice the same target, a clock. No tolerance is needed for load that changes, nor for different intervals.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from telemetry.exposition import Series

Samples = Iterable[tuple[Series, float]]
Totals = Mapping[str, float]
"""The sum of each counter family over a page."""

APART_SECONDS: Final = 2.0
"""A page is made a while after its timestamp, and two clocks are mapped on one: a scrape nearer than this may be on either side."""
KEPT_SECONDS: Final = 120.0
"""More than a sample of Prometheus may be old, with an outage of a minute before it."""
MOST_WAITING: Final = 100
"""Samples of Prometheus that no scrape has followed yet: while a pod does not answer scrapes, the newest."""
ROUNDING: Final = 1e-9
"""Of a sum of doubles that was made in another order."""
CONTRADICTS: Final = 0.05
"""Of the work that was seen. One late page explains a second's work in thirty, and nothing explains more twice in a row."""


def add_up(page: Samples, counters: Collection[str]) -> Totals:
    """Of the families `counters` that the page shows."""
    totals: dict[str, float] = {}
    for series, value in page:
        if series.family in counters:
            totals[series.family] = totals.get(series.family, 0.0) + value
    return totals


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    totals: Totals


class CrossCheck:
    """One pod as both sources show it. Times in monotonic seconds, each source's in order."""

    def __init__(self) -> None:
        self._scraped: deque[_Sample] = deque()
        self._told: deque[_Sample] = deque(maxlen=MOST_WAITING)
        self._last: float | None = None
        self._before: float | None = None

    @property
    def difference(self) -> float | None:
        """The part of the work of the last two minutes that one source shows and the other does not, 0 to 1, by the last
        comparison; None where there was none."""
        return self._last

    @property
    def contradicted(self) -> bool:
        """The last two comparisons found too much."""
        return min(self._last or 0.0, self._before or 0.0) > CONTRADICTS

    def scraped(self, at: float, totals: Totals) -> None:
        """Counters that fell began again, with a model or the whole server: what was before says nothing of them."""
        if self._scraped and _fell(self._scraped[-1].totals, totals):
            self._scraped.clear()
        self._scraped.append(_Sample(at, totals))
        while self._scraped[0].at < at - KEPT_SECONDS:
            self._scraped.popleft()
        self._compare()

    def told(self, at: float, totals: Totals) -> None:
        """What Prometheus scraped at `at`; compared once a scrape was made well after it."""
        self._told.append(_Sample(at, totals))
        self._compare()

    def _compare(self) -> None:
        """All that Prometheus told from before the last scrape."""
        while self._told and self._scraped and self._scraped[-1].at >= self._told[0].at + APART_SECONDS:
            told = self._told.popleft()
            before = [sample for sample in self._scraped if sample.at <= told.at - APART_SECONDS]
            if before:
                after = next(sample for sample in self._scraped if sample.at >= told.at + APART_SECONDS)
                found = _difference(self._scraped[0].totals, before[-1].totals, told.totals, after.totals)
                self._before, self._last = self._last, found


def _fell(before: Totals, after: Totals) -> bool:
    return any(after.get(family, 0.0) < total * (1 - ROUNDING) for family, total in before.items())


def _difference(oldest: Totals, before: Totals, told: Totals, after: Totals) -> float | None:
    """None where no family is shown by both: relabelling may drop whole families, which a signal says when it needs them."""
    shares = []
    for family in told.keys() & before.keys() & after.keys():
        outside = max(0.0, before[family] - told[family], told[family] - after[family])
        if outside <= ROUNDING * after[family]:
            outside = 0.0
        worked = after[family] - oldest.get(family, 0.0)
        shares.append(outside / max(worked, outside) if outside else 0.0)
    return max(shares, default=None)
