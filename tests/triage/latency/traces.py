"""Traces of a known truth: a level that steps or ramps, seen through noise, the window of a rate, and gaps."""

import math
from collections.abc import Callable, Mapping
from random import Random

from triage.latency.trace import Trace

START = 1_700_000_000.0
NOISES: Mapping[str, Callable[[Random, int], list[float]]] = {
    "lognormal": lambda random, steps: [random.gauss(0, 0.15) for _ in range(steps)],
    "autocorrelated": lambda random, steps: autoregressive(random, steps, 0.7, 0.1),
    "strongly autocorrelated": lambda random, steps: autoregressive(random, steps, 0.9, 0.2),
    "bursts": lambda random, steps: [
        random.gauss(0, 0.1) + (random.uniform(0.5, 2) if random.random() < 0.02 else 0) for _ in range(steps)
    ],
    "heavy-tailed": lambda random, steps: [math.log(random.paretovariate(2)) for _ in range(steps)],
    "daily drift": lambda random, steps: daily(random, steps),
}


def autoregressive(random: Random, steps: int, memory: float, sigma: float) -> list[float]:
    values, last = [], random.gauss(0, sigma)
    for _ in range(steps):
        values.append(last)
        last = memory * last + math.sqrt(1 - memory**2) * random.gauss(0, sigma)
    return values


def daily(random: Random, steps: int) -> list[float]:
    """Two to six hours of a day whose peak is up to twice its low."""
    phase, height = random.uniform(0, 2 * math.pi), random.uniform(0.1, 0.35)
    turn = 2 * math.pi * random.choice([2, 3, 6]) / 24
    return [height * math.sin(phase + turn * step / steps) + random.gauss(0, 0.08) for step in range(steps)]


def seen(
    level: Callable[[float], float],
    noise: list[float],
    step: float = 60.0,
    smear: float = 0.0,
    gap: Callable[[], bool] = lambda: False,
) -> Trace:
    """`level` over seconds since the start, times the exponential of the noise. With a smear each value is the mean of the steps
    of its window, taken finely; `noise` is then longer than the trace by the window's steps."""
    window = round(smear / step)

    def value(place: int) -> float:
        if not window:
            return level(place * step) * math.exp(noise[place])
        means = [
            sum(level((place - back - fine / 10) * step) for fine in range(10)) / 10 for back in range(window)
        ]
        return (
            math.fsum(mean * math.exp(noise[window + place - back]) for back, mean in enumerate(means))
            / window
        )

    places = range(len(noise) - window)
    return Trace(START, step, [None if gap() else value(place) for place in places])


def stepped(at: float, ratio: float, back: float = math.inf) -> Callable[[float], float]:
    return lambda time: 10 * ratio if at <= time < back else 10.0


def ramped(at: float, length: float, ratio: float) -> Callable[[float], float]:
    return lambda time: 10 * (1 + (ratio - 1) * min(max((time - at) / length, 0.0), 1.0))


def gaps(random: Random, share: float) -> Callable[[], bool]:
    return lambda: random.random() < share
