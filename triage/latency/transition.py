"""Transition: the points of a trace around one shift, and the shape in which the value may have gone over."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from triage.latency.level import Scale, deviations_from, median
from triage.latency.segments import Noise, noise_of


@dataclass(frozen=True, slots=True)
class Moment:
    """A time and the interval in which it lies, about nineteen times of twenty; seconds since 1970."""

    earliest: float
    at: float
    latest: float


@dataclass(frozen=True, slots=True)
class Transition:
    """The points of a trace around one shift: those before place `split` at one level, the others at another."""

    times: Sequence[float]
    levels: Sequence[int]
    split: int
    scale: Scale
    smear: float
    step: float
    prompt: bool = False
    """Each value is a quantile or a peak of its window, not a mean: it follows as soon as a few requests of the window have."""

    @property
    def takes(self) -> float:
        """Seconds in which a value goes over where what it measures steps."""
        return 0.0 if self.prompt else self.smear

    @property
    def margin(self) -> int:
        """Points beside the split that may be on their way from one level to the other."""
        return math.ceil(self.smear / self.step)

    @property
    def sides(self) -> tuple[Sequence[int], Sequence[int]]:
        """The levels before and after, without those on their way where enough others are left, and where these still differ."""
        left, right, margin = self.levels[: self.split], self.levels[self.split :], self.margin
        settled = (
            left[:-margin] if margin and len(left) >= margin + 4 else left,
            right[margin:] if margin and len(right) >= margin + 4 else right,
        )
        return settled if median(settled[0]) != median(settled[1]) else (left, right)

    @property
    def noise(self) -> Noise:
        left, right = self.sides
        residuals = [*deviations_from(left, median(left)), *deviations_from(right, median(right))]
        return noise_of(residuals, self.smear / self.step)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A value that goes evenly from one to another over `length` seconds from `start` on."""

    start: float
    length: float
    low: float
    high: float

    def levels(self, times: Sequence[float], scale: Scale) -> list[int]:
        """At each of these times, which rise."""
        flat = bisect_right(times, self.start)
        found = [scale.level(self.low)] * flat if flat else []
        way = self.high - self.low
        for place in range(flat, len(times)):
            gone = (times[place] - self.start) / self.length if self.length else 1.0
            if gone >= 1.0:
                return found + [scale.level(self.low + way)] * (len(times) - place)
            found.append(scale.level(self.low + way * gone))
        return found
