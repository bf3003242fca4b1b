"""One distribution out of many: a quantile of all requests, where each server tells some quantiles, or counts by bucket, of its
own.

A summary says that a share q of its requests took at most v, give or take some in rank; a histogram says the same of its bounds,
to the request. So each source k gives points of its distribution function F_k, and the fleet's is F = sum of w_k F_k, with w_k its
part of the requests. Between two points F_k is anywhere from the lower to the upper of both, which bounds F and so its quantile;
the estimate takes it for a straight line.
Averaging the sources' quantiles would give a number that no request need have come near.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Points:
    """Of one source: (share of its requests, the most that they took), rising in both; `weight` is how many requests they were."""

    weight: float
    points: Sequence[tuple[float, float]]
    off: Sequence[float] = ()
    """By how much each point's share may be wrong; empty where none is."""

    def off_by(self, index: int) -> float:
        return self.off[index] if self.off else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """In the unit of the points. `upper` is infinite where some source tells no bound for its slowest requests."""

    value: float
    lower: float
    upper: float


def pool_quantile(sources: Iterable[Points], quantile: float) -> Estimate | None:
    """The quantile of all requests; None where there are none. `value` is the largest finite point where it lies beyond them."""
    weighed = [source for source in sources if source.weight > 0 and source.points]
    total = sum(source.weight for source in weighed)
    if total <= 0:
        return None
    parts = [replace(source, weight=source.weight / total) for source in weighed]
    value = _cross([step for part in parts for step in _line(part)], quantile)
    upper = _step([step for part in parts for step in _least(part)], quantile)
    lower = _step([step for part in parts for step in _most(part)], quantile)
    if math.isinf(value):
        value = max(at for part in parts for _, at in part.points if math.isfinite(at))
    return Estimate(max(value, lower), lower, upper)


_ROUNDING = 1e-12


def _least(part: Points) -> Iterable[tuple[float, float]]:
    """(at, rise) of the least that F may be: at each point the share that is known to lie below."""
    before = 0.0
    for index, (share, at) in enumerate(part.points):
        known = max(before, share - part.off_by(index))
        yield at, part.weight * (known - before)
        before = known


def _most(part: Points) -> Iterable[tuple[float, float]]:
    """(at, rise) of the most that F may be: just below each point no more than its share."""
    before = 0.0
    shares = [min(1.0, share + part.off_by(index)) for index, (share, _) in enumerate(part.points)]
    for at, share in zip([0.0, *(at for _, at in part.points)], [*shares, 1.0], strict=True):
        following = max(before, share)
        yield at, part.weight * (following - before)
        before = following


def _step(rises: Sequence[tuple[float, float]], wanted: float) -> float:
    """Where a function that rises by steps reaches `wanted`."""
    reached = 0.0
    for at, rise in sorted(rises):
        reached += rise
        if reached >= wanted - _ROUNDING:
            return at
    return math.inf


def _line(part: Points) -> Iterable[tuple[float, float, float]]:
    """(from, to, rise) of straight pieces, beginning at zero."""
    share, at = 0.0, 0.0
    for next_share, next_at in part.points:
        if math.isfinite(next_at):
            yield at, next_at, part.weight * (next_share - share)
        share, at = next_share, next_at


def _cross(pieces: Sequence[tuple[float, float, float]], wanted: float) -> float:
    """Where the sum of straight pieces reaches `wanted`."""
    changes = sorted(_changes(pieces))
    reached = slope = 0.0
    for at, (jump, change), until in _between(changes):
        reached += jump
        if reached >= wanted - _ROUNDING:
            return at
        slope += change
        gained = slope * (until - at) if math.isfinite(until) else 0.0
        if slope > 0 and reached + gained >= wanted - _ROUNDING:
            return min(until, at + (wanted - reached) / slope)
        reached += gained
    return math.inf


def _changes(pieces: Sequence[tuple[float, float, float]]) -> Iterable[tuple[float, float, float]]:
    """(at, jump, change of slope)."""
    for begin, end, rise in pieces:
        if end <= begin:
            yield end, rise, 0.0
        else:
            yield begin, 0.0, rise / (end - begin)
            yield end, 0.0, -rise / (end - begin)


def _between(
    changes: Sequence[tuple[float, float, float]],
) -> Iterable[tuple[float, tuple[float, float], float]]:
    """Each change with where the next one is."""
    for index, (at, jump, change) in enumerate(changes):
        until = changes[index + 1][0] if index + 1 < len(changes) else math.inf
        yield at, (jump, change), until
