"""The loads: how many requests a second users send, over the time of a run."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.stability.queueing import mean_wait

SERVICE_SECONDS: Final = 0.04
"""Of a pod with one instance; one of N computes N requests at once, each N times as long, so that it can do as much."""
VARIATION: Final = 0.3
"""Of the service time, lognormal: standard deviation over mean, as of requests that are much alike."""
AIM: Final = 0.5
"""How busy a pod is where the targets are: requests in a pod at once are then three quarters of its one instance."""
POD_RATE: Final = AIM / SERVICE_SECONDS
"""Requests a second for one pod of one instance."""
BASE: Final = 2 * POD_RATE
"""Requests a second before and after all peaks: two pods."""
WARM_UP: Final = 25.0
"""Seconds at the base before a run counts: every window is full of it by then."""
SEED: Final = 9
"""Of the requests that all systems get."""


@dataclass(frozen=True)
class Load:
    name: str
    says: str
    factor: Callable[[float], float]
    """Of the base, at a second of the run; 1 before its begin."""
    seconds: float
    most: float
    """The largest factor."""

    def rate(self, at: float) -> float:
        return BASE * self.factor(at)

    def pods(self, at: float) -> float:
        """How many this load asks for."""
        return self.rate(at) / POD_RATE


def wait_at(busy: float, instances: int = 1) -> float:
    """Mean seconds in the queue of a pod that is so busy; with more instances each is as much slower."""
    return mean_wait(busy / SERVICE_SECONDS, SERVICE_SECONDS * instances, VARIATION, instances)


class Arrival(NamedTuple):
    """One request, the same for every system: when it comes, how long it computes, and where it falls among the pods, 0 to 1."""

    at: float
    service: float
    place: float


def arrivals(load: Load, seed: int) -> Iterator[Arrival]:
    """Independent users: a Poisson process with the load's rate, by thinning (Lewis and Shedler 1979), from WARM_UP before the
    run's begin on; for ever."""
    drawn = random.Random(f"{load.name} {seed}")
    at, most = -WARM_UP, BASE * load.most
    mu, sigma = lognormal(SERVICE_SECONDS, VARIATION)
    while True:
        at += drawn.expovariate(most)
        keep, service, place = drawn.random(), drawn.lognormvariate(mu, sigma), drawn.random()
        if keep * most < load.rate(at):
            yield Arrival(at, service, place)


def lognormal(mean: float, variation: float) -> tuple[float, float]:
    """Mu and sigma of the lognormal distribution of this mean and coefficient of variation."""
    sigma_squared = math.log(1 + variation**2)
    return math.log(mean) - sigma_squared / 2, math.sqrt(sigma_squared)


def step(begin: float, high: float, times: float) -> Callable[[float], float]:
    return lambda at: times if begin <= at < begin + high else 1.0


def ramp(begin: float, rise: float, high: float, times: float) -> Callable[[float], float]:
    """Up in `rise` seconds, `high` seconds there, and down as slowly."""

    def factor(at: float) -> float:
        risen = (at - begin) / rise
        fallen = (begin + 2 * rise + high - at) / rise
        return 1 + (times - 1) * max(0.0, min(1.0, risen, fallen))

    return factor


def bursts(begin: float, high: float, every: float, count: int, times: float) -> Callable[[float], float]:
    def factor(at: float) -> float:
        number, since = divmod(at - begin, every)
        return times if 0 <= number < count and since < high else 1.0

    return factor


LOADS: Final = (
    Load("step", "four times the load at once, for two minutes, and back", step(20, 120, 4), 280, 4),
    Load(
        "ramp", "up to four times the load in two minutes, and back as slowly", ramp(20, 120, 20, 4), 350, 4
    ),
    Load("bursts", "six times the load for 20 s in every 75 s", bursts(20, 20, 75, 4, 6), 320, 6),
)
SMOKE: Final = Load("smoke", "four times the load at once, for 20 s", step(5, 20, 4), 30, 4)
