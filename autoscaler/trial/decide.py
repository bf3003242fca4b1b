"""The target of an HPA from what a fleet was seen doing: a plain function of the points and the models' configurations.

A pod's capacity is the number of requests that it computes at once; more than that must wait. Little's law measures it: seconds of
computation a second are the requests being computed, and while requests wait in front of them that is what the pod can do. The
configuration bounds it: instances times the requests of a batch. What was seen counts for more than what is configured: instances
share a GPU, so that few Tritons can do all that their configuration allows.

The head room is for what a mean hides: an HPA tolerates a tenth around its target (kubernetes.io, "Algorithm details"), load is
uneven over the pods, and new pods take minutes to load their models. 0.8 of a concurrency that was measured and 0.7 of one that is
only configured is a choice, not a law; the text says so and how to check it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

from autoscaler.trial.limits import ModelLimits
from autoscaler.trial.points import NOTHING, Part, Point

MEASURED_ROOM: Final = 0.8
CONFIGURED_ROOM: Final = 0.7
NEAR: Final = 0.5
"""Share of the configured limit from which on a fleet without waiting says something of its limit."""
ENOUGH: Final = 20
"""Requests that a finding rests on at least."""
_ALIKE: Final = 0.8
"""Points of this much of a point's concurrency and more, up to it, are judged together with it: one lucky window proves nothing."""


class Basis(StrEnum):
    """What a target rests on."""

    REACHED = "limit reached"  # requests waited, and the pods were busy: what was computed meanwhile is what a pod can do
    WAITED = (
        "waited below the limit"  # requests waited while most of what is configured was free: bursts, mostly
    )
    SEEN = "seen without waiting"  # the fleet came near its configured limit, and requests waited little
    CONFIGURED = "configuration alone"  # a guess: the fleet was idle or far from its limit


@dataclass(frozen=True, slots=True)
class ConfiguredLimit:
    """Requests that a pod computes at once by its configuration, at the mix of models that was seen: where `model` has no
    instance free any more."""

    requests: float
    model: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`target`: requests in a pod at once (`averageValue`), never more than `basis` bears."""

    target: float
    basis: Basis
    calm: float | None
    """The most requests in a pod at once with which they waited little."""
    computing: float | None
    """Requests being computed at once in a pod where others waited."""
    limit: ConfiguredLimit | None
    requests: float
    """How many the finding rests on."""


def decide(points: Sequence[Point], limits: Mapping[str, ModelLimits]) -> Decision | None:
    """None where there is nothing to rest a target on: no load was seen and no configuration read."""
    limit = configured_limit(points, limits)
    most = math.inf if limit is None else limit.requests
    totals = [point.total for point in points]
    calm = _calm(totals)
    above = [part for part in totals if part.waits and part.concurrency > (calm or 0.0)]
    waited = sum(part.requests for part in above)
    if waited >= ENOUGH:
        computing = median(part.computing for part in _fuller_half(above))
        capacity = min(most, max(calm or 0.0, computing))
        if capacity > 0:
            full = limit is None or computing >= NEAR * most
            basis = Basis.REACHED if full else Basis.WAITED
            return Decision(_down(MEASURED_ROOM * capacity), basis, calm, computing, limit, waited)
    requests = sum(part.requests for part in totals)
    if calm is not None and (limit is None or calm >= NEAR * most):
        proven = min(calm, most)
        by_configuration = CONFIGURED_ROOM * most if limit else 0.0
        target = max(min(by_configuration, proven), MEASURED_ROOM * proven)
        return Decision(_down(target), Basis.SEEN, calm, None, limit, requests)
    if limit is None:
        return None
    return Decision(_down(CONFIGURED_ROOM * most), Basis.CONFIGURED, calm, None, limit, requests)


def configured_limit(points: Sequence[Point], limits: Mapping[str, ModelLimits]) -> ConfiguredLimit | None:
    """As requests rise at the mix that was seen, the model that runs out of instances first says how many fit. Without load the
    model with the fewest is taken, as if all requests were for it. None where no configuration was read, or none of a model
    with load."""
    seen = by_model(points)
    total = sum(part.concurrency for part in seen.values())
    found: list[ConfiguredLimit] = []
    for model, part in seen.items():
        if part.concurrency > 0:
            known = limits.get(model)
            if known is None or not known.instances:
                return None
            slots = known.slots(part.inferences / part.requests if part.requests > 0 else 1.0)
            found.append(ConfiguredLimit(slots * total / part.concurrency, model))
    if not found:
        found = [
            ConfiguredLimit(float(known.slots()), model)
            for model, known in limits.items()
            if known.instances and not known.decoupled
        ]
    return min(found, key=lambda each: (each.requests, each.model), default=None)


def by_model(points: Sequence[Point]) -> dict[str, Part]:
    """Sums over all points."""
    seen: dict[str, Part] = {}
    for point in points:
        for model, part in point.models.items():
            seen[model] = seen.get(model, NOTHING) + part
    return seen


def _calm(totals: Sequence[Part]) -> float | None:
    """The largest concurrency around which requests waited little; None where none was."""
    for part in sorted(totals, key=lambda part: -part.concurrency):
        alike = [
            other for other in totals if _ALIKE * part.concurrency <= other.concurrency <= part.concurrency
        ]
        together = sum(alike, NOTHING)
        if together.requests >= ENOUGH and together.waits is False and part.waits is False:
            return part.concurrency
    return None


def _fuller_half(totals: Sequence[Part]) -> Sequence[Part]:
    """Those with the most requests at once: a load that began within a window makes it look emptier than the pod was."""
    ordered = sorted(totals, key=lambda part: -part.concurrency)
    return ordered[: (len(ordered) + 1) // 2]


def _down(value: float) -> float:
    """Three digits, never up, at least the thousandth that an HPA can compute with."""
    if value <= 0.001:
        return 0.001
    digit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return max(0.001, round(math.floor(value / digit + 1e-9) * digit, 6))
