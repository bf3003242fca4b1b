"""Ramps: when a level began to leave its baseline, where it went over gradually, as a leak or a growing queue does.

A value that goes evenly from one level to another is fitted by least absolute deviations of its logarithm, over a grid of begins
and lengths. The interval holds every begin whose fit is nearly as likely as the best one (profile likelihood of Laplace's
distribution): a slow ramp in noise has left its baseline long before it can be seen, and the interval says so."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import sub
from statistics import median as median_value

from triage.latency.level import median
from triage.latency.segments import LEAST_SIGMA, noise_of
from triage.latency.transition import Moment, Ramp, Transition

LEAST_STEPS = 4
"""By which a ramp is longer than the smear; a shorter one cannot be told from a step."""
LEAST_BEFORE = 8
POINTS = 120
"""That are fitted at most."""
GAIN = 4.0
"""Least gain of log-likelihood over the step, of independent points: twice what Akaike's criterion asks for two parameters more."""
NEARLY = 2.0
"""Loss of log-likelihood, of independent points, within which a begin may be the true one: 1.92 is a chi-square's 95 %."""
LENGTHS = 1.4
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Of a ramp's length that may lie before the split: near the middle of its logarithms."""


@dataclass(frozen=True, slots=True)
class _Fit:
    deviation: float
    """Sum of the absolute deviations of the levels."""
    ramp: Ramp


def date_ramp(around: Transition, step: Moment) -> tuple[Moment, bool]:
    """When it began to go over, and whether by a ramp; `step` is when it did if it stepped. Where the ramp is not much more likely
    the step's time stays, and its interval takes in the begins of the ramps that explain as well."""
    every = -(-len(around.levels) // POINTS)
    times, levels = around.times[::every], around.levels[::every]

    def fits(shapes: Iterable[tuple[float, float]]) -> list[_Fit]:
        return [fit for start, length in shapes if (fit := _fit(around, times, levels, start, length))]

    stepped, ramps = fits([(step.at, around.takes)]), fits(_grid(around))
    if not stepped or not ramps:
        return step, False
    for _ in range(2):
        ramps += fits(_beside(min(ramps, key=_deviation).ramp, step.at))
    best, least = min(ramps, key=_deviation), min([*stepped, *ramps], key=_deviation)
    fitted = least.ramp.levels(times, around.scale)
    residuals = [level - expected for level, expected in zip(levels, fitted, strict=True)]
    span = noise_of(residuals, around.smear / around.step / every).span
    # Laplace's scale is the mean absolute deviation.
    unit = max(least.deviation / len(levels), LEAST_SIGMA / 2) * span
    near = [fit.ramp for fit in ramps if fit.deviation - least.deviation <= NEARLY * unit]
    if not near:
        return step, False
    # A window delays a ramp of means by half of its length, and makes its begin soft; the grid is no finer than its own step.
    half = around.takes / 2
    earliest = min(ramp.start - max(around.step, 0.05 * ramp.length) for ramp in near)
    latest = max(ramp.start + max(around.step, 0.05 * ramp.length) for ramp in near)
    if stepped[0].deviation - best.deviation < GAIN * unit:
        return Moment(min(step.earliest, earliest), step.at, step.latest), False
    return Moment(earliest - 1.5 * half, best.ramp.start - half, max(latest, best.ramp.start)), True


def _deviation(fit: _Fit) -> float:
    return fit.deviation


def _grid(around: Transition) -> Iterator[tuple[float, float]]:
    split = around.times[around.split]
    length = around.smear + LEAST_STEPS * around.step
    longest = 3 * (around.times[-1] - split)
    while length <= longest:
        for share in SHARES:
            yield split - share * length, length
        length *= LENGTHS


def _beside(ramp: Ramp, latest: float) -> Iterator[tuple[float, float]]:
    for stretch in (0.85, 1.0, 1.2):
        for move in (-0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15):
            if ramp.start + move * ramp.length <= latest:
                yield ramp.start + move * ramp.length, stretch * ramp.length


def _fit(
    around: Transition, times: Sequence[float], levels: Sequence[int], start: float, length: float
) -> _Fit | None:
    """The best levels for one begin and length; None where too little lies before to be a baseline."""
    begin, top = bisect_right(around.times, start), bisect_left(around.times, start + length)
    if begin < LEAST_BEFORE:
        return None
    scale = around.scale
    low = scale.value(median(around.levels[:begin]))
    if len(around.levels) - top >= LEAST_STEPS:
        high = scale.value(median(around.levels[top:]))
    else:  # it still goes on: the slope is the median of those to the baseline
        slopes = [
            (scale.value(level) - low) / (time - start)
            for time, level in zip(times, levels, strict=True)
            if time > start + length / 5
        ]
        high = low + median_value(slopes) * length if slopes else low
    floor = scale.value(min(around.levels))
    ramp = Ramp(start, length, low, max(high, floor))
    return _Fit(sum(map(abs, map(sub, levels, ramp.levels(times, scale)))), ramp)
