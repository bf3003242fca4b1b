"""Dating: when a shift happened, with the interval in which it surely did.

A value of a rate over W seconds is a mean over the W seconds that end there. A step at T thus moves the values over [T, T + W], and
where they have gone the share f of the way it is T + f W. The best split of levels lies where the value has gone half of the way
between the *logarithms*: f = 1 / (1 + sqrt(ratio)), early in a rise and late in a fall. A quantile or a peak over the same window
moves sooner in a rise and later in a fall, never the other way round, and stays within [T, T + W]: a 99th percentile is among the
new values once two in a hundred of the window's are new, since half of these lie above their median. So the onset is the split less
f W, with that small f for what is prompt, and the interval reaches to f = 0 in a rise, to f = 1 in a fall."""

import math
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from triage.latency.level import Scale, deviations_from, median
from triage.latency.transition import Moment, Ramp, Transition

RESAMPLES = 150
PROMPT = 0.02
"""The share of the window after which a 99th percentile has moved; a peak moves sooner still."""
TAIL = 0.025
"""Of the resamples that are left out on each side."""


def date_step(around: Transition, seed: int) -> Moment:
    """When the level stepped. The interval is a basic bootstrap (Davison & Hinkley 1997, 5.2.1) of the split, by blocks of
    residuals (Kuensch 1989) that are twice as long as what hangs together."""
    left, right = around.sides
    low, high = median(left), median(right)
    noise = around.noise
    block = math.ceil(2 * noise.span)
    reach = max(12, 3 * block) + 2 * around.margin
    first, last = max(around.split - reach, 0), min(around.split + reach, len(around.levels))
    times = around.times[first:last]
    split = _split(around.levels[first:last], low, high)
    crossed = _crossing(times, split)

    share = _share_moved(around.scale, low, high)
    at_share = share if not around.prompt else PROMPT if high > low else 1 - PROMPT
    stepped = crossed - at_share * around.smear
    ramp = Ramp(stepped, around.takes, around.scale.value(low), around.scale.value(high))
    expected = ramp.levels(times, around.scale)
    residuals = [*deviations_from(left, low), *deviations_from(right, high)]
    random = Random(seed)  # noqa: S311 -- repeatable, and guards nothing
    late: list[float] = []
    for _ in range(RESAMPLES):
        noises = _resampled(residuals, block, len(times), random)
        levels = [level + noise for level, noise in zip(expected, noises, strict=True)]
        late.append(_crossing(times, _split(levels, low, high)) - crossed)
    late.sort()
    cut = int(TAIL * RESAMPLES)
    # The split is between two points, and may be anywhere between them; windows end at scrapes, not at steps.
    half = (
        times[min(split, len(times) - 1)] - times[max(split - 1, 0)] + (around.step if around.smear else 0)
    ) / 2
    earliest = crossed - max(late[-1 - cut], 0.0) - half
    latest = crossed - min(late[cut], 0.0) + half
    if high > low:
        return Moment(earliest - share * around.smear, stepped, latest)
    return Moment(earliest - around.smear, stepped, latest - share * around.smear)


def _share_moved(scale: Scale, low: int, high: int) -> float:
    """The share of the way between two levels' values at which their mean level lies."""
    start, end = scale.value(low), scale.value(high)
    if start == end:  # what came between them is all that there was
        return 0.5
    return (scale.value((low + high) / 2) - start) / (end - start)


def _split(levels: Sequence[int], low: int, high: int) -> int:
    """How many levels belong to `low`, when the first do and the others belong to `high`, by least absolute deviations."""
    sign, middle, most = (1, low + high, high - low) if high > low else (-1, -low - high, low - high)
    # |level - low| - |level - high|, which is what counting it to the first costs more than counting it to the others.
    costs = [
        -most if excess < -most else most if excess > most else excess
        for excess in [2 * sign * level - middle for level in levels]
    ]
    sums = list(accumulate(costs, initial=0))
    return sums.index(min(sums))


def _crossing(times: Sequence[float], split: int) -> float:
    before, after = times[max(split - 1, 0)], times[min(split, len(times) - 1)]
    return (before + after) / 2


def _resampled(residuals: Sequence[int], block: int, count: int, random: Random) -> list[int]:
    drawn: list[int] = []
    around = [*residuals, *residuals[:block]]
    while len(drawn) < count:
        place = int(random.random() * len(residuals))
        drawn += around[place : place + block]
    return drawn[:count]
