"""How fast an HPA may move: its memory, the stabilization windows, and the limits on the rate of change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, TypeVar

from telemetry.hpa_spec import (
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
    outdated: bool = False
    """Was once too old for its own direction's policies: the next event may take its slot, whatever the policies
    say by then."""


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
    spec: HpaSpec,
    recommendations: Sequence[Recommendation],
    current: int,
    wanted: int,
    now: float,
) -> Step:
    behavior = spec.behavior
    if behavior is None:
        # The only window without `behavior` is for scaling down, and an entry exactly at its edge still
        # counts.
        edge = now - (window := spec.downscale_stabilization_seconds)
        highest = max([wanted, *(r.replicas for r in recommendations if r.at >= edge)])
        return Step(
            StepKind.STABILISED, f"the highest recommendation of the last {window:g} s holds", highest
        )
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
    spec: HpaSpec, recommendations: Sequence[Recommendation], wanted: int, now: float
) -> tuple[Recommendation, ...]:
    """With what was wanted before it was stabilised."""
    window = spec.downscale_stabilization_seconds
    if spec.behavior is not None:
        rules = (spec.behavior.scale_up, spec.behavior.scale_down)
        window = max(rule.stabilization_window_seconds for rule in rules)
    old = [each.at < now - window for each in recommendations]
    return _in_last_old_slot(recommendations, old, Recommendation(wanted, now))


def bound(spec: HpaSpec, state: State, current: int, desired: int, now: float) -> Step | None:
    """How the rate of change and the spec's limits move `desired`; None where they do not."""
    if spec.behavior is None:
        ceiling = max(2 * current, 4)
        if desired < spec.min_replicas:
            return clamped("minReplicas", spec.min_replicas)
        if desired > min(spec.max_replicas, ceiling):
            if spec.max_replicas > ceiling:
                why = f"a scale-up may reach {ceiling}, the larger of 4 and twice the replicas"
                return Step(StepKind.LIMITED, why, ceiling)
            return clamped("maxReplicas", spec.max_replicas)
        return None
    if desired > current:
        ceiling = max(current, _scale_up_limit(spec.behavior.scale_up, state, current, now))
        if desired > min(spec.max_replicas, ceiling):
            if spec.max_replicas > ceiling:
                return Step(StepKind.LIMITED, f"behavior.scaleUp allows {ceiling} now", ceiling)
            return clamped("maxReplicas", spec.max_replicas)
    elif desired < current:
        floor = min(current, _scale_down_limit(spec.behavior.scale_down, state, current, now))
        if desired < max(spec.min_replicas, floor):
            if spec.min_replicas < floor:
                return Step(StepKind.LIMITED, f"behavior.scaleDown allows {floor} now", floor)
            return clamped("minReplicas", spec.min_replicas)
    return None


def _scale_up_limit(rules: ScalingRules, state: State, current: int, now: float) -> int:
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = replicas_at(state, current, now - policy.period_seconds)
        if policy.type is PolicyType.PODS:
            limits.append(_int32(start + policy.value))
        else:  # rounded up, or a small fleet would never grow
            limits.append(math.ceil(start * (1 + policy.value / 100)))
    return (min if rules.select_policy is SelectPolicy.MIN else max)(limits, default=current)


def _scale_down_limit(rules: ScalingRules, state: State, current: int, now: float) -> int:
    if rules.select_policy is SelectPolicy.DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = replicas_at(state, current, now - policy.period_seconds)
        if policy.type is PolicyType.PODS:
            limits.append(_int32(start - policy.value))
        else:
            limits.append(int(start * (1 - policy.value / 100)))
    return (max if rules.select_policy is SelectPolicy.MIN else min)(limits, default=current)


def _int32(number: int) -> int:
    """As the controller adds: with a policy of 2147483647 pods the sum comes out negative, and no scale-up is allowed;
    the difference comes out positive where somebody lowered the scale below what the HPA has added since."""
    return (number + 2**31) % 2**32 - 2**31


def replicas_at(state: State, current: int, start: float) -> int:
    """Those of now without what the HPA itself changed since `start`."""
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
        return replace(state, scale_ups=_with_event(state.scale_ups, event, edge))
    edge = now - _longest_period(spec.behavior.scale_down)
    return replace(state, scale_downs=_with_event(state.scale_downs, event, edge))


def _longest_period(rules: ScalingRules) -> float:
    return max((policy.period_seconds for policy in rules.policies), default=0)


def _with_event(events: Sequence[ScaleEvent], event: ScaleEvent, edge: float) -> tuple[ScaleEvent, ...]:
    marked = [each._replace(outdated=each.outdated or each.at < edge) for each in events]
    return _in_last_old_slot(marked, [each.outdated for each in marked], event)


_Entry = TypeVar("_Entry", bound=Recommendation | ScaleEvent)


def _in_last_old_slot(entries: Sequence[_Entry], old: Sequence[bool], entry: _Entry) -> tuple[_Entry, ...]:
    """With `entry` in the slot of the last old one, else at the end: this bounds the history.

    The slot matters: an event that is too old for its own direction's policies, and not for the other's,
    counts until then."""
    if True not in old:
        return (*entries, entry)
    slot = len(old) - 1 - list(reversed(old)).index(True)
    return (*entries[:slot], entry, *entries[slot + 1 :])
