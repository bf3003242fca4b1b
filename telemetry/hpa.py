"""What a HorizontalPodAutoscaler would do with external metrics: its algorithm as of Kubernetes 1.36, as one
pure function.

Read in `pkg/controller/podautoscaler` of v1.36.3, and checked against the numbers of its own tests and against
the running controller (docs/design/hpa.md). Covered: metrics of type External and everything after them. Not
covered: other metric types, and errors outside the metrics (no scale, no selector, a write that fails). Values
are whole milli-units, as the controller computes; times are seconds on any one clock."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from telemetry.hpa_behavior import (
    Recommendation,
    State,
    Step,
    StepKind,
    bound,
    clamped,
    recorded,
    rescaled,
    stabilise,
)
from telemetry.hpa_spec import DEFAULT_TOLERANCE, ExternalMetric, HpaSpec

_MOST_REPLICAS = 2**31 - 1
_MOST_MILLI = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What the external metrics API answered for one metric: the items' values, or why there are none."""

    values_milli: tuple[int, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Readings:
    """What the controller sees at one look: the scale's replicas, the ready pods, one `Reading` per metric in
    the spec's order."""

    spec_replicas: int
    status_replicas: int
    ready_pods: int | None
    """Pods that are Running and Ready; None while no pod matches the scale's selector, which is an error."""
    metrics: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    replicas: int
    previous_replicas: int
    steps: tuple[Step, ...]

    @property
    def held(self) -> bool:
        return any(step.kind is StepKind.HELD for step in self.steps)


def decide(spec: HpaSpec, state: State, readings: Readings, now: float) -> tuple[State, Decision]:
    """One look of the controller (every 15 s by default): the state to pass to the next, and the replicas it
    would set."""
    current = readings.spec_replicas
    if state.recommendations is None:
        state = replace(state, recommendations=(Recommendation(current, now),))
    if current == 0 and not (spec.scale_to_zero and state.scaled_to_zero):
        step = Step(StepKind.HELD, "scaling is disabled while the target has 0 replicas", 0)
        return replace(state, scaled_to_zero=spec.scale_to_zero and state.scaled_to_zero), Decision(
            0, 0, (step,)
        )
    if current > spec.max_replicas:
        step = clamped(f"{current} replicas are above maxReplicas", spec.max_replicas)
        return rescaled(spec, state, current, spec.max_replicas, now), Decision(
            spec.max_replicas, current, (step,)
        )
    if 0 < current < spec.min_replicas:
        step = clamped(f"{current} replicas are below minReplicas", spec.min_replicas)
        return rescaled(spec, state, current, spec.min_replicas, now), Decision(
            spec.min_replicas, current, (step,)
        )

    steps = [
        _propose(spec, metric, reading, readings)
        for metric, reading in zip(spec.metrics, readings.metrics, strict=True)
    ]
    hold = _hold(steps, current)
    if hold is not None:
        return state, Decision(current, current, (*steps, hold))
    wanted = max(0, _largest(steps))

    stable = stabilise(spec, state.recommendations or (), current, wanted, now)
    if stable.replicas != wanted:
        steps.append(stable)
    state = replace(state, recommendations=recorded(spec, state.recommendations or (), wanted, now))
    desired = stable.replicas if stable.replicas is not None else wanted
    bounded = bound(spec, state, current, desired, now)
    if bounded is not None and bounded.replicas is not None:
        steps.append(bounded)
        desired = bounded.replicas
    if current == 0 and desired < spec.min_replicas:
        desired = spec.min_replicas
        steps.append(clamped("minReplicas was raised while the target had 0 replicas", desired))
    if desired != current:
        state = rescaled(spec, state, current, desired, now)
    return state, Decision(desired, current, tuple(steps))


def _largest(steps: Iterable[Step]) -> int:
    """The largest proposal, except that a zero gives way to what follows it, even to less."""
    largest = 0
    for step in steps:
        if step.replicas is not None and (largest == 0 or step.replicas > largest):
            largest = step.replicas
    return largest


def _propose(spec: HpaSpec, metric: ExternalMetric, reading: Reading, seen: Readings) -> Step:
    if reading.error or not reading.values_milli:  # the controller takes an empty list for an error
        return Step(StepKind.INVALID, f"{metric.name}: {reading.error or 'no values returned'}")
    up = spec.behavior.scale_up.tolerance if spec.behavior else DEFAULT_TOLERANCE
    down = spec.behavior.scale_down.tolerance if spec.behavior else DEFAULT_TOLERANCE
    if metric.average_value_milli is not None:
        usage, target, unmoved = (
            _sum_average(reading.values_milli),
            metric.average_value_milli,
            seen.status_replicas,
        )
        ratio = _quotient(usage, float(target) * seen.status_replicas)
        wanted = _whole(float(usage) / target)
        how = f"{metric.name}: {usage}m / {target}m per replica = {wanted}"
    elif metric.value_milli is not None:
        usage, target, unmoved = _sum_value(reading.values_milli), metric.value_milli, seen.spec_replicas
        ratio = float(usage) / target
        if seen.spec_replicas == 0:  # no tolerance, no pods to multiply by
            wanted = _whole(ratio)
            return Step(
                StepKind.PROPOSED, f"{metric.name}: {usage}m / {target}m = {wanted}, from zero", wanted
            )
        wanted = _whole(ratio * (seen.ready_pods or 0))
        how = (
            f"{metric.name}: {usage}m / {target}m = {ratio:.3f} times {seen.ready_pods} ready pods = {wanted}"
        )
    else:
        return Step(
            StepKind.INVALID, f"{metric.name}: neither a value target nor an average value target was set"
        )
    if 1.0 - down <= ratio <= 1.0 + up:
        why = f"{metric.name}: {ratio:.3f} of the target is within {1.0 - down:g} to {1.0 + up:g}"
        return Step(StepKind.WITHIN_TOLERANCE, why, unmoved)
    if metric.average_value_milli is None and seen.ready_pods is None:
        return Step(StepKind.INVALID, f"{metric.name}: no pod matches the scale's selector")
    return Step(StepKind.PROPOSED, how, wanted)


def _sum_value(values: Iterable[int]) -> int:
    """The sum, stuck at the largest int64 once it is reached."""
    total = 0
    for value in values:
        if total + value > _MOST_MILLI:
            return _MOST_MILLI
        total += value
    return total


def _sum_average(values: Iterable[int]) -> int:
    """The sum; a prefix below zero counts as an overflow, so a negative value scales to maxReplicas."""
    total = 0
    for value in values:
        total += value
        if not 0 <= total <= _MOST_MILLI:
            return _MOST_MILLI
    return total


def _quotient(usage: int, divisor: float) -> float:
    """As floating point hardware divides: by zero is infinite, and zero by zero is not a number (never within
    tolerance)."""
    if divisor == 0.0:
        return math.inf if usage else math.nan
    return usage / divisor


def _whole(replicas: float) -> int:
    """Rounded up, and at most the largest int32. From zero replicas the controller does not cap a value target's
    count: what it makes of 2^31 times the target depends on the processor."""
    return _MOST_REPLICAS if replicas > _MOST_REPLICAS else math.ceil(replicas)


def _hold(steps: Sequence[Step], current: int) -> Step | None:
    invalid = [step for step in steps if step.kind is StepKind.INVALID]
    if len(invalid) == len(steps):
        return Step(StepKind.HELD, "no metric has a value", current)
    best = _largest(steps)
    if invalid and best < current:
        why = (
            f"{len(invalid)} of {len(steps)} metrics have no value, and the others would scale down to {best}"
        )
        return Step(StepKind.HELD, why, current)
    return None
