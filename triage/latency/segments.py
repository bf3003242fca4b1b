"""Segments: where the level of a trace shifted, if it did, by rules that a stationary trace rarely meets.

A shift is accepted where the medians differ by four robust sigmas and by the asked ratio, and where noise of the kind seen could
hardly have put so many points on its far side. What was found is searched again on its sides (binary segmentation, Scott & Knott
1974), with the noise of the whole as the least noise of its parts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Literal

from triage.latency.level import (
    UNIT,
    Scale,
    best_excursion,
    best_split,
    cost,
    deviations_from,
    median,
    robust_sigma,
)
from triage.latency.spells import chance_of_more

Direction = Literal["rise", "fall", "any"]
SIDES: Mapping[Direction, int] = {"rise": 1, "fall": -1}
LEAST_SIGMA = 0.05 * UNIT
"""Five per cent: measurements that lie closer together differ for no reason worth a page."""
CHANCE = 0.01
"""Of noise alone to be taken for a shift, by the bound of `_by_chance`."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is accepted as a shift."""

    direction: Direction = "any"
    ratio: float = 1.3
    """Least ratio of the larger median to the smaller: what a person sees on a graph."""
    difference: float = 0.0
    """Least difference of the medians, in the trace's unit."""
    sigmas: float = 4.0
    """Least difference of the medians, in robust sigmas of the noise within the segments."""
    before: int = 8
    """Least points before it: fewer are no baseline."""
    after: int = 4
    """Least points after it: fewer are a burst."""
    indifferent: float = 0.0
    """Below this, in the trace's unit, values are alike: 0.001 ms in the queue and 0.01 ms are both no time."""


@dataclass(frozen=True, slots=True)
class Noise:
    sigma: float
    """Of the levels within their segments."""
    span: float
    """Points that tell as much as one independent point."""


def noise_of(residuals: Sequence[int], smear_steps: float) -> Noise:
    """Residuals in their order. The span is of a first-order autoregression, (1 + r) / (1 - r) (Bayley & Hammersley 1946), with
    sizes cut at three sigmas so that one burst does not decide; neighbours that share a window of rates are never independent."""
    sigma = max(robust_sigma(residuals), LEAST_SIGMA)
    cut = 3 * round(sigma)
    sizes = [min(max(residual, -cut), cut) for residual in residuals]
    squares = sum(size * size for size in sizes)
    products = sum(a * b for a, b in pairwise(sizes))
    r = min(max(products / squares, 0.0), 0.95) if squares else 0.0
    return Noise(sigma, max((1 + r) / (1 - r), smear_steps, 1.0))


@dataclass(frozen=True, slots=True)
class Search:
    """A trace's levels, and what is looked for in them."""

    levels: Sequence[int]
    scale: Scale
    smear_steps: float
    criteria: Criteria

    def boundaries(self) -> list[int]:
        """Places of the first levels of all segments but the first, rising."""
        return sorted(self._within(0, len(self.levels), 0.0))

    def _within(self, first: int, last: int, least_sigma: float) -> set[int]:
        levels = self.levels[first:last]
        whole = cost(levels) if levels else 0
        candidates: list[tuple[int, int, int]] = []
        split = best_split(levels, self.criteria.before, self.criteria.after)
        if split:
            candidates.append((split[1], split[0], len(levels)))
            run = best_excursion(levels, round(math.log(self.criteria.ratio) * UNIT))
            if run and self._is_inside(run, len(levels)):
                start, end = run
                gain = whole - cost(levels[start:end]) - cost([*levels[:start], *levels[end:]])
                candidates.append((gain, start, end))
        for _, start, end in sorted(candidates, reverse=True):
            noise = self._accepted(levels, start, end, least_sigma)
            if noise:
                cuts = {first + start, first + end} - {first, last}
                ends = [first, *sorted(cuts), last]
                return cuts.union(*(self._within(a, b, noise.sigma) for a, b in pairwise(ends)))
        return set()

    @property
    def _shortest(self) -> int:
        """Points of what came and went. One burst is seen for as long as the window of a rate: a state outlasts it."""
        return max(self.criteria.after, math.ceil(self.smear_steps) + 2)

    def _is_inside(self, run: tuple[int, int], count: int) -> bool:
        start, end = run
        return (
            start >= self.criteria.before
            and end - start >= self._shortest
            and count - end >= self.criteria.after
        )

    def _accepted(self, levels: Sequence[int], start: int, end: int, least_sigma: float) -> Noise | None:
        """The noise within, where the run from `start` to `end` is a shift against all others."""
        inside, outside = levels[start:end], [*levels[:start], *levels[end:]]
        high, low = median(inside), median(outside)
        # What happened before like this is no noise, and does not make this one less of a shift.
        outside = _without_episodes(outside, (low + high) / 2, 1 if high > low else -1, self._shortest)
        crossed = sum(abs(level - high) < abs(level - low) for level in inside)
        if len(outside) < self.criteria.before or crossed < self.criteria.after:
            return None
        noise = noise_of([*deviations_from(outside, low), *deviations_from(inside, high)], self.smear_steps)
        noise = replace(noise, sigma=max(noise.sigma, least_sigma))
        if abs(high - low) < self.criteria.sigmas * noise.sigma or not self._matters(low, high):
            return None
        return noise if _by_chance(inside, outside, noise.span) <= CHANCE else None

    def _matters(self, low: int, high: int) -> bool:
        small, large = sorted((self.scale.value(low), self.scale.value(high)))
        return (
            abs(high - low) >= math.log(self.criteria.ratio) * UNIT
            and large >= self.criteria.ratio * small
            and large - small >= self.criteria.difference
        )


def _without_episodes(levels: Sequence[int], middle: float, side: int, shortest: int) -> list[int]:
    """Less the runs of at least `shortest` levels beyond the middle, where there are one or two. What happened three times before
    is how this trace is, and stays."""
    runs = [(beyond, [*run]) for beyond, run in groupby(levels, lambda level: side * level > side * middle)]
    episodes = [run for beyond, run in runs if beyond and len(run) >= shortest]
    if len(episodes) > 2:
        return [*levels]
    return [level for beyond, run in runs if not (beyond and len(run) >= shortest) for level in run]


def _by_chance(one: Sequence[int], other: Sequence[int], span: float) -> float:
    """An upper bound of the probability that noise like that of the longer side puts so many of the shorter side's points on the
    far side of the middle, somewhere in the trace: that of independent points, times the places where it could have. Zero where
    the longer side was never there and the shorter one nearly always: what was never seen before needs no more than its four
    points."""
    few, many = sorted((one, other), key=len)
    from_level, to_level = median(many), median(few)
    middle, side = (from_level + to_level) / 2, 1 if to_level > from_level else -1
    crossed = sum(side * level > side * middle for level in few) / len(few)
    strays = sum(side * level > side * middle for level in many)
    if not strays and crossed >= 0.75:
        return 0.0
    expected = (strays + 1) / (len(many) + 2)
    if crossed <= expected:
        return 1.0
    places = (len(few) + len(many)) / span
    return places * chance_of_more(crossed, expected, len(few) / span)
