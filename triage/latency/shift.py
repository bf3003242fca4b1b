"""Shift: by how much a quantity during an incident differs from before, and whether that is a rise, a fall or neither.

Rank statistics, since a latency is skewed and bursts are its nature. A verdict is `unknown` where the points could not have shown
the contrary: `no` is said only of what was excluded."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from triage.answers import Value
from triage.latency.level import SIGMA_OF_MAD

LEAST_POINTS = 8
"""Independent points on each side for an interval by ranks."""
OVERWHELMING_POINTS = 3
"""Independent points of a short incident that are enough where all lie beyond everything seen before."""
NORMAL_QUANTILE = 1.959964
"""For an interval that holds nineteen times of twenty."""


@dataclass(frozen=True, slots=True)
class Side:
    """The points of one side, in the quantity's unit."""

    points: int
    """Independent ones."""
    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What needs points on both sides; differences are of during less before, in the quantity's unit."""

    difference: float
    """The Hodges-Lehmann estimate: the median of all pairs' differences (Hodges & Lehmann 1963)."""
    lowest: float
    """The difference is at least this and at most `highest`, nineteen times of twenty: Moses' interval by the ranks of the pairs'
    differences (Hollander & Wolfe 1999, 4.3). With few points the interval is all that the pairs show."""
    highest: float
    delta: float
    """Cliff's delta (Cliff 1993): how much more often a point of during is above one of before than below, -1 to 1."""
    above_p99: float
    """Share of the points during, above the 99th percentile of before: bursts, which medians do not show."""


@dataclass(frozen=True, slots=True)
class Shift:
    before: Side | None
    """None: nothing was measured."""
    during: Side | None
    sigma: float | None
    """Robust, of before: 1.4826 times the median absolute deviation."""
    comparison: Comparison | None
    """None: a side has no points."""

    @property
    def ratio(self) -> float | None:
        """Of the medians, during over before; None where nothing stood before, or nothing was measured."""
        if self.before is None or self.during is None or self.before.median <= 0:
            return None
        return self.during.median / self.before.median


def shift(
    before: Sequence[float | None], during: Sequence[float | None], *, smear: float = 0.0, step: float = 1.0
) -> Shift:
    """How two runs of steps differ. Where each value covers `smear` seconds, neighbours share what they measured, and only points
    that far apart count as independent; the pairs are of these, medians and extremes of all."""
    every = max(1, math.ceil(smear / step))
    thin_before, thin_during = _independent(before, every), _independent(during, every)
    all_before, all_during = _present(before), _present(during)
    return Shift(
        _side(all_before, len(thin_before)),
        _side(all_during, len(thin_during)),
        SIGMA_OF_MAD * _median(sorted(abs(v - _median(all_before)) for v in all_before))
        if all_before
        else None,
        _compare(thin_before, thin_during, all_before, all_during) if all_before and all_during else None,
    )


def rose(shift: Shift, min_ratio: float, min_abs: float) -> Value:
    """Whether it rose by the ratio and by `min_abs` of the quantity's unit."""
    return _moved(shift, min_ratio, min_abs, 1)


def fell(shift: Shift, min_ratio: float, min_abs: float) -> Value:
    """Whether it fell to one part in `min_ratio`, and by `min_abs` of the quantity's unit."""
    return _moved(shift, min_ratio, min_abs, -1)


def flat(shift: Shift, min_ratio: float, min_abs: float) -> Value:
    """Whether it neither rose nor fell so."""
    moves = {rose(shift, min_ratio, min_abs), fell(shift, min_ratio, min_abs)}
    return "no" if "yes" in moves else "unknown" if "unknown" in moves else "yes"


def _moved(shift: Shift, min_ratio: float, min_abs: float, side: int) -> Value:
    before, during, pairs = shift.before, shift.during, shift.comparison
    if before is None or during is None or pairs is None:
        return "unknown"
    if _is_overwhelming(before, during, min_ratio, min_abs, side):
        return "yes"
    if min(before.points, during.points) < LEAST_POINTS:
        return "unknown"
    # Level by level, since a ratio to zero is none: a rise by half needs half of what stood before.
    factor = min_ratio - 1 if side > 0 else 1 - 1 / min_ratio
    needed = max(min_abs, factor * max(before.median, 0.0))
    least, most = sorted((side * pairs.lowest, side * pairs.highest))
    reached = side * (during.median - before.median) >= needed and side * pairs.difference >= needed
    if reached and least > 0:
        return "yes"
    return "no" if most < needed else "unknown"


def _is_overwhelming(before: Side, during: Side, min_ratio: float, min_abs: float, side: int) -> bool:
    """All during lie beyond all before by the ratio, and by the least difference. Were nothing changed, three points would all be
    beyond eight others once in C(11, 3) = 165 times, whatever the distribution, and rarely by so much."""
    if before.points < LEAST_POINTS or during.points < OVERWHELMING_POINTS:
        return False
    if side > 0:
        return during.least > before.most * min_ratio and during.least - before.most >= min_abs
    return during.most < before.least / min_ratio and before.least - during.most >= min_abs


def _compare(
    before: Sequence[float], during: Sequence[float], all_before: Sequence[float], all_during: Sequence[float]
) -> Comparison:
    backwards, forwards = sorted(before, reverse=True), sorted(during)  # so that sorting finds rising runs
    pairs = sorted([after - ahead for after in forwards for ahead in backwards])
    spread = math.sqrt(len(pairs) * (len(before) + len(during) + 1) / 12)
    cut = max(math.floor(len(pairs) / 2 - NORMAL_QUANTILE * spread) - 1, 0)
    above, below = len(pairs) - bisect_right(pairs, 0.0), bisect_left(pairs, 0.0)
    high = all_before[math.ceil(0.99 * len(all_before)) - 1]
    return Comparison(
        difference=_median(pairs),
        lowest=pairs[cut],
        highest=pairs[-1 - cut],
        delta=(above - below) / len(pairs),
        above_p99=sum(value > high for value in all_during) / len(all_during),
    )


def _present(values: Sequence[float | None]) -> list[float]:
    return sorted(value for value in values if value is not None)


def _independent(values: Sequence[float | None], every: int) -> list[float]:
    """Those that lie `every` steps apart at least."""
    kept: list[float] = []
    wait = 0
    for value in values:
        wait -= 1
        if value is not None and wait <= 0:
            kept.append(value)
            wait = every
    return kept


def _side(ordered: Sequence[float], points: int) -> Side | None:
    return Side(points, _median(ordered), ordered[0], ordered[-1]) if ordered else None


def _median(ordered: Sequence[float]) -> float:
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
