"""Levels: values on a logarithmic scale of whole numbers, and what is known of a run of them.

A latency of 20 ms against 10 ms is the same change as 200 against 100, so levels are logarithms. They are whole numbers, in
millionths, so that medians and sums of deviations are exact: the last digit of a machine's logarithm decides nothing."""

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

UNIT = 1_000_000
"""Levels of one natural logarithm."""
NEAR_ZERO = 0.05
"""Of the median of the values that are not zero: below about this share of what is usual, smaller is no longer different."""
SIGMA_OF_MAD = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation (Rousseeuw & Croux 1993)."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Between values and levels. `near_zero` 0: plain logarithms of values that are all above zero; else asinh(v / 2s), which is
    the logarithm of v / s for a v well above s, and straight through zero (Johnson 1949, Burbidge et al. 1988)."""

    near_zero: float

    def level(self, value: float) -> int:
        logarithm = math.asinh(value / (2 * self.near_zero)) if self.near_zero else math.log(value)
        return round(logarithm * UNIT)

    def value(self, level: float) -> float:
        logarithm = level / UNIT
        return 2 * self.near_zero * math.sinh(logarithm) if self.near_zero else math.exp(logarithm)


def scale_of(values: Sequence[float], indifferent: float = 0.0) -> Scale:
    """Plain logarithms where all values are above zero, and else a scale that bears zero. Throughput may stop, so zero must stay a
    level that lies a finite way below the usual one: three natural logarithms, by `NEAR_ZERO`. `indifferent` is the value below
    which the caller sees no difference, in the values' unit."""
    if not indifferent and all(value > 0 for value in values):
        return Scale(0.0)
    other = sorted(abs(value) for value in values if value)
    usual = other[len(other) // 2] if other else 1.0
    return Scale(max(indifferent, NEAR_ZERO * usual, 1e-300))


def median(levels: Sequence[int]) -> int:
    """Rounded down between two middle ones. Raises IndexError on no levels."""
    ordered = sorted(levels)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


def deviations_from(levels: Sequence[int], centre: int) -> list[int]:
    """The deviations from `centre`."""
    return [level - centre for level in levels]


def robust_sigma(residuals: Sequence[int]) -> float:
    """1.4826 times their median absolute size; 0 for none."""
    return SIGMA_OF_MAD * median([abs(residual) for residual in residuals]) if residuals else 0.0


def cost(levels: Sequence[int]) -> int:
    """Least sum of absolute deviations from one level, which is their median."""
    centre = median(levels) if levels else 0
    return sum(abs(level - centre) for level in levels)


def running_costs(levels: Sequence[int]) -> list[int]:
    """At k the cost of the first k levels. A new one adds its distance from the old middle: whatever lies in the middle stays an
    optimal level, so that nothing is summed again."""
    ordered: list[int] = []
    costs, total = [0], 0
    for count, level in enumerate(levels):
        if count:
            low, high = ordered[(count - 1) // 2], ordered[count // 2]
            total += low - level if level < low else level - high if level > high else 0
        insort(ordered, level)
        costs.append(total)
    return costs


def best_split(levels: Sequence[int], before: int, after: int) -> tuple[int, int] | None:
    """Where two levels explain best, and by how much the cost falls; at least `before` and `after` levels on the sides. An
    exhaustive scan for one change by least absolute deviations (Bai 1995)."""
    count = len(levels)
    if count < before + after:
        return None
    left, right = running_costs(levels), running_costs(levels[::-1])
    least, place = min((left[k] + right[count - k], k) for k in range(before, count - after + 1))
    return place, left[count] - least


def best_excursion(levels: Sequence[int], smallest: int) -> tuple[int, int] | None:
    """The run that is best explained by a level of its own while all others share one. For each of a row of heights from
    `smallest` up, the run with the largest fall of the cost is the maximal sum of a subsequence (Kadane's algorithm)."""
    centre = median(levels)
    deviations = deviations_from(levels, centre)
    farthest = max(map(abs, deviations), default=0)
    best, run = 0, None
    height = smallest
    while height <= 2 * farthest:
        for side in (1, -1):
            # What the cost falls by where this deviation's level moves to the height: the cost near 0 against that near `height`.
            falls = [2 * side * d - height for d in deviations]
            gains = [-height if fall < -height else height if fall > height else fall for fall in falls]
            sums = list(accumulate(gains, initial=0))
            low, low_at = 0, 0
            for place, total in enumerate(sums):
                if total - low > best:
                    best, run = total - low, (low_at, place)
                if total < low:
                    low, low_at = total, place
        height = height * 3 // 2
    return run
