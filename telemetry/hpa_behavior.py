"""How fast an HPA may move: its memory, the stabilization windows, and the limits on the rate of change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, TypeVar

from telemetry.hpa_spec import (
    DOWNSCALE_STABILIZATION_SECONDS,
    Behavior,
    HpaSpec,
    PolicyType,
    ScalingRules,
    SelectPolicy,
)


class Recommendation(NamedTuple):
    replicas: int
    at: float


class ScaleEvent(NamedTuple):
    change: int
    """Replicas added or removed, always positive."""
    at: float


@dataclass(frozen=True, slots=True)
class State:
    """What the controller remembers of one HPA; it forgets all but `scaled_to_zero` when it restarts."""

    recommendations: tuple[Recommendation, ...] | None = None
    """None: not seen yet; the first look then records the present replicas."""
    scale_ups: tuple[ScaleEvent, ...] = ()
    scale_downs: tuple[ScaleEvent, ...] = ()
    scaled_to_zero: bool = False
    """The HPA's own condition ScaledToZero: nobody else set the replicas to zero."""


class StepKind(StrEnum):
    PROPOSED = "proposed"  # one metric's own count
    WITHIN_TOLERANCE = "within tolerance"
    INVALID = "invalid"  # a metric without a value
    HELD = "held"  # no scaling at all
    STABILISED = "stabilised"  # a recent recommendation holds
    LIMITED = "limited"  # the rate of change
    CLAMPED = "clamped"  # minReplicas or maxReplicas


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that shaped the count; `replicas` is the count after it (None: the metric has no say)."""

    kind: StepKind
    why: str
    replicas: int | None = None


def clamped(why: str, replicas: int) -> Step:
    return Step(StepKind.CLAMPED, why, replicas)


def stabilise(
    behavior: Behavior | None,
    recommendations: Sequence[Recommendation],
    current: int,
    wanted: int,
    now: float,
) -> Step:
    if behavior is None:
        # The only window without `behavior` is for scaling down, and an entry exactly at its edge still
        # counts.
        edge = now - DOWNSCALE_STABILIZATION_SECONDS
        highest = max([wanted, *(r.replicas for r in recommendations if r.at >= edge)])
        return Step(StepKind.STABILISED, "the highest recommendation of the last 300 s holds", highest)
    up, down = (
        behavior.scale_up.stabilization_window_seconds,
        behavior.scale_down.stabilization_window_seconds,
    )
    low = min([wanted, *(r.replicas for r in recommendations if r.at > now - up)])
    high = max([wanted, *(r.replicas for r in recommendations if r.at > now - down)])
    stable = min(max(current, low), high)
    if wanted >= current:
        return Step(StepKind.STABILISED, f"the lowest recommendation of the last {up:g} s holds", stable)
    return Step(StepKind.STABILISED, f"the highest recommendation of the last {down:g} s holds", stable)


def recorded(
    behavior: Behavior | None, recommendations: Sequence[Recommendation], wanted: int, now: float
) -> tuple[Recommendation, ...]:
    """With what was wanted before it was stabilised."""
    window = DOWNSCALE_STABILIZATION_SECONDS
    if behavior is not None:
        rules = (behavior.scale_up, behavior.scale_down)
        window = max(rule.stabilization_window_seconds for rule in rules)
    return _stored(recommendations, Recommendation(wanted, now), now - window)


def bound(spec: HpaSpec, state: State, current: int, desired: int, now: float) -> Step | None:
    """How the rate of change and the spec's limits move `desired`; None where they do not."""
    if spec.behavior is None:
        ceiling = max(2 * current, 4)
        rate = f"a scale-up may reach {ceiling}, the larger of 4 and twice the replicas"
        floor = spec.min_replicas
    else:
        ceiling = max(current, _scale_up_limit(spec.behavior.scale_up, state, current, now))
        floor = min(current, _scale_down_limit(spec.behavior.scale_down, state, current, now))
        way = "scaleUp" if desired > current else "scaleDown"
        rate = f"behavior.{way} allows {ceiling if desired > current else floor} now"
        if desired == current:
            return None
    if desired > min(spec.max_replicas, ceiling):
        if spec.max_replicas > ceiling:
            return Step(StepKind.LIMITED, rate, ceiling)
        return clamped("maxReplicas", spec.max_replicas)
    if desired < max(spec.min_replicas, floor):
        if spec.min_replicas < floor:
            return Step(StepKind.LIMITED, rate, floor)
        return clamped("minReplicas", spec.min_replicas)
    return None


def _scale_up_limit(rules: ScalingRules, state: State, current: int, now: float) -> int:
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = _at_period_start(state, current, now - policy.period_seconds)
        if policy.type is PolicyType.PODS:
            limits.append(start + policy.value)
        else:  # rounded up, or a small fleet would never grow
            limits.append(math.ceil(start * (1 + policy.value / 100)))
    return (min if rules.select_policy is SelectPolicy.MIN else max)(limits, default=current)


def _scale_down_limit(rules: ScalingRules, state: State, current: int, now: float) -> int:
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = _at_period_start(state, current, now - policy.period_seconds)
        if policy.type is PolicyType.PODS:
            limits.append(start - policy.value)
        else:
            limits.append(int(start * (1 - policy.value / 100)))
    return (max if rules.select_policy is SelectPolicy.MIN else min)(limits, default=current)


def _at_period_start(state: State, current: int, start: float) -> int:
    added = sum(event.change for event in state.scale_ups if event.at > start)
    removed = sum(event.change for event in state.scale_downs if event.at > start)
    return current - added + removed


def rescaled(spec: HpaSpec, state: State, current: int, desired: int, now: float) -> State:
    """The state once the scale was written."""
    to_zero = spec.scale_to_zero and current > 0 and desired == 0 == spec.min_replicas
    state = replace(state, scaled_to_zero=to_zero)
    if spec.behavior is None:
        return state  # no policy will ask for the events
    event = ScaleEvent(abs(desired - current), now)
    if desired > current:
        edge = now - _longest_period(spec.behavior.scale_up)
        return replace(state, scale_ups=_stored(state.scale_ups, event, edge))
    edge = now - _longest_period(spec.behavior.scale_down)
    return replace(state, scale_downs=_stored(state.scale_downs, event, edge))


def _longest_period(rules: ScalingRules) -> float:
    return max((policy.period_seconds for policy in rules.policies), default=0)


_Entry = TypeVar("_Entry", bound=Recommendation | ScaleEvent)


def _stored(entries: Sequence[_Entry], entry: _Entry, edge: float) -> tuple[_Entry, ...]:
    """With `entry` in the slot of the last one from before `edge`, else at the end: this bounds the history.

    The slot matters: an event that is too old for its own direction's policies, and not for the other's,
    counts until then."""
    old = [index for index, other in enumerate(entries) if other.at < edge]
    if not old:
        return (*entries, entry)
    return (*entries[: old[-1]], entry, *entries[old[-1] + 1 :])
