"""Onset: when the newest lasting shift of a trace began, how sure that time is, and whether it is over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from triage.latency.dating import date_step
from triage.latency.level import best_split, median, scale_of
from triage.latency.ramp import LEAST_BEFORE, LEAST_STEPS, date_ramp
from triage.latency.segments import SIDES, Criteria, Direction, Search
from triage.latency.trace import Trace
from triage.latency.transition import Moment, Transition

LEAST_COVERAGE = 0.8
"""Of the steps, for finding nothing to mean that there was nothing."""
LASTING = 12
"""Points of a state between two steps of one direction, for it to be one."""

Reason = Literal["too_few_points", "too_many_missing", "no_shift"]


@dataclass(frozen=True, slots=True)
class NoOnset:
    """Only `no_shift` says that nothing shifted; the others say that it cannot be told."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Found:
    onset: Moment
    ended: Moment | None
    """When the level went back, by more than half of the way; None: it has not."""
    before: float
    """Median before the onset, in the trace's unit."""
    during: float
    """Median from the onset to its end, or to the end of the trace."""
    gradual: bool
    """It went over to the new level by a ramp longer than the smear."""

    @property
    def ratio(self) -> float | None:
        """During over before; None where nothing stood before."""
        return self.during / self.before if self.before > 0 else None


def find_onset(
    trace: Trace, smear: float, seed: int, criteria: Criteria | None = None, *, prompt: bool = False
) -> Found | NoOnset:
    """The newest shift of at least 1.3 times and four robust sigmas, or why there is none. `smear` is the window in seconds of the
    rate or mean that each value covers, 0 for a value as it stood; `prompt`: of the high quantile or the peak. The same trace and
    seed give the same answer on any machine."""
    criteria = criteria or Criteria()
    points = trace.present()
    if len(points) < criteria.before + criteria.after:
        return NoOnset("too_few_points")
    times, values = [time for time, _ in points], [value for _, value in points]
    scale = scale_of(values, criteria.indifferent)
    levels = [scale.level(value) for value in values]
    boundaries = Search(levels, scale, smear / trace.step, criteria).boundaries()
    ends = _joined(levels, [0, *boundaries, len(levels)])
    centres = [median(levels[first:last]) for first, last in pairwise(ends)]
    move = _newest_move(centres, criteria.direction)
    if move is None:
        return NoOnset("no_shift" if trace.coverage >= LEAST_COVERAGE else "too_many_missing")

    def date(segment: int) -> tuple[Moment, bool]:
        first, split, last = ends[segment - 1 : segment + 2]
        around = Transition(
            times[first:last], levels[first:last], split - first, scale, smear, trace.step, prompt
        )
        return date_ramp(around, date_step(around, seed))

    onset, gradual = date(move.segment)
    over = len(centres) if move.back is None else move.back
    return Found(
        onset=onset,
        ended=None if move.back is None else date(move.back)[0],
        before=scale.value(centres[move.segment - 1]),
        during=scale.value(median(levels[ends[move.segment] : ends[over]])),
        gradual=gradual,
    )


def _joined(levels: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Segments without the stairs into which a ramp was cut: a stair that itself climbs, by a twelfth of the steps beside it from
    one half to the other. A stair of an even ramp climbs by a quarter of them, a state that lasted by nothing. Of a short one that
    cannot be told, and going over in two steps is one onset, the first."""
    ends = [*ends]
    for place in range(len(ends) - 4, -1, -1):
        first, start, end, last = ends[place : place + 4]
        half = (start + end) // 2
        centre = median(levels[start:end])
        into, out = centre - median(levels[first:start]), median(levels[end:last]) - centre
        climbed = median(levels[half:end]) - median(levels[start:half])
        split = best_split(levels[first:last], LEAST_BEFORE, LEAST_STEPS)
        if split and into * out > 0 and (end - start < LASTING or climbed / (into + out) >= 1 / 12):
            ends[place + 1 : place + 3] = [first + split[0]]
    return ends


@dataclass(frozen=True, slots=True)
class _Move:
    """From one segment to another of a row of segments, and back."""

    segment: int
    """The first of the new level."""
    side: int
    """1: it rose; -1: it fell."""
    back: int | None = None
    """The segment in which it has gone back."""


def _newest_move(centres: Sequence[int], direction: Direction) -> _Move | None:
    """A step further away begins anew. A step back belongs to the move that it undoes: by half or more it ends it, by less it is
    still the same trouble; but what goes as far to the other side is a move of its own."""
    move: _Move | None = None
    for segment, (old, new) in enumerate(pairwise(centres), start=1):
        side = 1 if new > old else -1
        if move and move.back is None and side != move.side:
            base = centres[move.segment - 1]
            height = max(move.side * (centre - base) for centre in centres[move.segment : segment])
            left = move.side * (new - base)
            if left > -height / 2:
                move = replace(move, back=segment) if left <= height / 2 else move
                continue
        if direction == "any" or side == SIDES[direction]:
            move = _Move(segment, side)
    return move
