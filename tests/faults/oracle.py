"""What the HPA would have done had it seen every pod's true load, and which scalings of the real one that contradicts. Pure.

The HPA's own algorithm decides (`telemetry/hpa.py`); nothing is remembered between looks, so that no stabilization window and
no rate limit of the oracle's own can excuse or accuse anybody."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from telemetry.hpa import Reading, Readings, decide
from telemetry.hpa_behavior import State
from telemetry.hpa_spec import HpaSpec

SYNCS = 2
"""Within so many syncs of the HPA, before or after, the oracle would have to do the same."""


@dataclass(frozen=True, slots=True)
class Look:
    """The truth at one moment, in monotonic seconds: how many requests are in each pod, answering or not."""

    at: float
    loads: tuple[float, ...]
    ready_pods: int

    @property
    def total(self) -> float:
        return sum(self.loads)


@dataclass(frozen=True, slots=True)
class Scaling:
    """The HPA wrote the scale."""

    at: float
    before: int
    after: int


def wanted(spec: HpaSpec, look: Look, replicas: int) -> int:
    """The replicas to which an HPA of one metric takes a fleet of `replicas`, when that metric is the true total."""
    reading = Reading((round(look.total * 1000),))
    seen = Readings(replicas, replicas, look.ready_pods, (reading,))
    _, decision = decide(spec, State(), seen, look.at)
    return decision.replicas


def scalings(replicas: Iterable[tuple[float, int]]) -> list[Scaling]:
    """The changes in (moment, wanted replicas)."""
    steps = pairwise(replicas)
    return [Scaling(at, before, after) for (_, before), (at, after) in steps if before != after]


def wrong(
    spec: HpaSpec, looks: Sequence[Look], made: Iterable[Scaling], sync_seconds: float
) -> list[Scaling]:
    """The scalings that the oracle would not have made, or not so far, within SYNCS syncs. Raises ValueError where it did not
    look: what nobody saw is not right by default."""
    return [scaling for scaling in made if not _agrees(spec, looks, scaling, SYNCS * sync_seconds)]


def _agrees(spec: HpaSpec, looks: Sequence[Look], scaling: Scaling, seconds: float) -> bool:
    near = [look for look in looks if abs(look.at - scaling.at) <= seconds]
    if not near:
        raise ValueError(f"nobody looked within {seconds:g} s of {scaling}")
    targets = [wanted(spec, look, scaling.before) for look in near]
    if scaling.after < scaling.before:
        return min(targets) <= scaling.after
    return max(targets) >= scaling.after
