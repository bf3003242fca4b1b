"""Series on an even grid out of scrapes, as a Prometheus would give them.

`rates` is PromQL's rate() without its extrapolation to the edges of the window: increase by the time between the first and the
last scrape in it. The two differ where a series begins or ends within the window, and nowhere else."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]
"""Moments and values, in order."""
Column = tuple[float | None, ...]

STALE_SECONDS = 20.0
"""Without a scrape for so long the target is gone, and its series with it."""


@dataclass(frozen=True)
class Grid:
    start: float
    step: float
    steps: int
    smear: float
    """The window of each value that is a rate, a mean or a peak."""

    def moments(self) -> list[float]:
        return [self.start + self.step * number for number in range(self.steps)]

    def rates(self, points: Points, scale: float = 1.0) -> Column:
        """Increase a second of a counter; None with fewer than two scrapes in the window."""
        times = [at for at, _ in points]
        grown: list[float] = []
        total = before = 0.0
        for number, (_, value) in enumerate(points):
            if number:
                total += value - before if value >= before else value
            before = value
            grown.append(total)
        found: list[float | None] = []
        for moment in self.moments():
            first, last = self._within(times, moment)
            if last - first < 1:
                found.append(None)
            else:
                found.append((grown[last] - grown[first]) / (times[last] - times[first]) * scale)
        return tuple(found)

    def means(self, points: Points) -> Column:
        return self._over(points, lambda values: sum(values) / len(values))

    def peaks(self, points: Points) -> Column:
        return self._over(points, max)

    def leasts(self, points: Points) -> Column:
        return self._over(points, min)

    def as_it_stood(self, points: Sequence[tuple[float, float | None]]) -> Column:
        """The last scrape's value; None where that was NaN, or too long ago."""
        times = [at for at, _ in points]
        found: list[float | None] = []
        for moment in self.moments():
            last = bisect_right(times, moment) - 1
            found.append(points[last][1] if last >= 0 and moment - times[last] <= STALE_SECONDS else None)
        return tuple(found)

    def _over(self, points: Points, pooled: Callable[[Sequence[float]], float]) -> Column:
        times, values = [at for at, _ in points], [value for _, value in points]
        found: list[float | None] = []
        for moment in self.moments():
            first, last = self._within(times, moment)
            found.append(pooled(values[first : last + 1]) if last >= first else None)
        return tuple(found)

    def _within(self, times: Sequence[float], moment: float) -> tuple[int, int]:
        return bisect_right(times, moment - self.smear), bisect_right(times, moment) - 1


def pooled(columns: Sequence[Column], how: str) -> Column:
    """Several pods' as one: `sum`, `max` or `mean` of what was measured at each step."""
    found: list[float | None] = []
    for values in zip(*columns, strict=True):
        seen = [value for value in values if value is not None]
        if not seen:
            found.append(None)
        else:
            found.append(max(seen) if how == "max" else sum(seen) / (len(seen) if how == "mean" else 1))
    return tuple(found)
