"""What became of a run: replicas over time, and how users fared. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.stability.fleet_queue import Second
from tests.stability.loads import SERVICE_SECONDS, Load

FLAP_SYNCS: Final = 10
"""Two scalings in opposite directions are a flap when no more than so many syncs lie between them."""


@dataclass(frozen=True, slots=True)
class Step:
    """The Deployment from second `at` of the run on."""

    at: float
    wanted: int
    ready: int


@dataclass(frozen=True)
class Outcome:
    load: str
    system: str
    behaviour: str
    steps: tuple[Step, ...]
    """The first at second 0."""
    waits_ms: tuple[int | None, ...]
    """Mean wait of the requests that came in each second; None where none came, or one found no pod."""
    over_seconds: int
    """In how many of them it was over the objective."""
    requests: int
    long: int
    """Requests that waited for longer than LONG_WAIT, or found no pod."""
    held_seconds: float
    """In which the HPA had no value."""
    error: str = ""
    """The last that the HPA was told instead of a value."""

    @property
    def seconds(self) -> int:
        return len(self.waits_ms)

    @property
    def scalings(self) -> list[tuple[float, int, int]]:
        """(when, from, to) of each change of the wanted replicas."""
        moves = pairwise(self.steps)
        return [(b.at, a.wanted, b.wanted) for a, b in moves if a.wanted != b.wanted]

    @property
    def added(self) -> int:
        """Pods that were asked for beside those that were there: each loads its model."""
        return sum(max(0, after - before) for _, before, after in self.scalings)

    @property
    def most(self) -> int:
        return max(step.wanted for step in self.steps)

    @property
    def replica_minutes(self) -> float:
        """Of the wanted replicas: a pod is paid for while it loads, too."""
        ends = [*(step.at for step in self.steps[1:]), float(self.seconds)]
        return sum(s.wanted * (end - s.at) for s, end in zip(self.steps, ends, strict=True)) / 60


def flaps(outcome: Outcome, sync_seconds: float) -> int:
    """Changes of direction within FLAP_SYNCS syncs."""
    near = FLAP_SYNCS * sync_seconds
    return sum(
        (b > a) != (d > c) and then - at <= near for (at, a, b), (then, c, d) in pairwise(outcome.scalings)
    )


def downs_into_overload(outcome: Outcome, load: Load) -> int:
    """Scale-downs to fewer pods than compute the load of that moment, were they busy all the time."""
    return sum(
        after < before and after < load.rate(at) * SERVICE_SECONDS for at, before, after in outcome.scalings
    )


def judge(
    load: Load,
    system: str,
    behaviour: str,
    steps: Iterable[Step],
    seconds: Mapping[int, Second],
    held_seconds: float = 0.0,
    error: str = "",
) -> Outcome:
    """The run from its second 0 to its end. ValueError when the Deployment was not seen before second 0."""
    each = [seconds.get(at, Second()) for at in range(round(load.seconds))]
    return Outcome(
        load=load.name,
        system=system,
        behaviour=behaviour,
        steps=_within(list(steps), load.seconds),
        waits_ms=tuple(map(_mean_ms, each)),
        over_seconds=sum(second.over for second in each),
        requests=sum(second.requests for second in each),
        long=sum(second.long for second in each),
        held_seconds=round(held_seconds, 1),
        error=error,
    )


def _mean_ms(second: Second) -> int | None:
    served = second.requests - second.refused
    return round(second.waited / served * 1000) if served and not second.refused else None


def _within(steps: Sequence[Step], seconds: float) -> tuple[Step, ...]:
    before = [step for step in steps if step.at <= 0]
    if not before:
        raise ValueError("the Deployment was not seen before the run began")
    first = Step(0.0, before[-1].wanted, before[-1].ready)
    return (first, *(step for step in steps if 0 < step.at < seconds))
