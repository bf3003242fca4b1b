"""Spells: whether what is usually at one level lies above it more often than before. Pure.

Medians and worst tenths do not show what comes and goes, nor what only began to rise."""

import math
from collections.abc import Sequence

CHANCE = 0.01
"""Of points like those before to lie above it so often."""


def chance_of_more(seen: float, expected: float, points: float) -> float:
    """An upper bound of the probability that so many independent points show at least the share `seen` of what is expected of a
    smaller share of them: Chernoff's bound of the binomial tail (Hoeffding 1963). 1 where the share is not larger."""
    if seen <= expected:
        return 1.0
    divergence = seen * math.log(seen / expected)
    if seen < 1:
        divergence += (1 - seen) * math.log((1 - seen) / (1 - expected))
    return math.exp(-divergence * points)


def above_more_often(before: Sequence[float], after: Sequence[float], bound: float, span: float) -> bool:
    """Whether more of the points after than of those before lie above the bound than chance explains; `span` neighbours tell as
    much as one independent point."""
    if not before or not after:
        return False
    expected = (sum(value > bound for value in before) + 1) / (len(before) + 2)
    seen = sum(value > bound for value in after) / len(after)
    return chance_of_more(seen, expected, len(after) / max(span, 1.0)) <= CHANCE
