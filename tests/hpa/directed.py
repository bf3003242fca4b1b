"""Scenarios by hand, for corners of the controller that chance meets too seldom."""

from collections.abc import Sequence
from dataclasses import replace

from telemetry.hpa import Reading
from telemetry.hpa_spec import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    Behavior,
    ExternalMetric,
    HpaSpec,
    PolicyType,
    ScalingPolicy,
    ScalingRules,
)
from tests.hpa.scenario import OWN_WINDOW_SECONDS, Moment, Scenario

_FREE_DOWN = ScalingRules(DEFAULT_SCALE_DOWN.policies, tolerance=0.0)


def directed() -> list[Scenario]:
    return [_largest_policy(), _zero_then_less(), _last_old_slot(), _wakes_to_more(), _set_lower()]


def _largest_policy() -> Scenario:
    """A scale-up by at most 2147483647 pods: the sum with the replicas comes out negative, and none is allowed."""
    up = ScalingRules((ScalingPolicy(PolicyType.PODS, 2**31 - 1, 5),))
    return _totals("d000", 20, Behavior(up, _FREE_DOWN), 3, (3, 9, 9, 1, 9, 9))


def _zero_then_less() -> Scenario:
    """With one of three metrics in error, from zero replicas: a proposal below zero that follows a zero holds."""
    gone = Reading(error="500")
    looks = (
        (Reading((0,)), Reading((0,)), Reading((0,))),
        (Reading((0,)), Reading((-3000,)), gone),
        (Reading((-3000,)), Reading((0,)), gone),
        (Reading((-3000,)), Reading((2000,)), gone),
    )
    metrics = tuple(ExternalMetric(f"d001-{number}", value_milli=1000) for number in range(3))
    spec = HpaSpec(metrics, 8, 0, Behavior(DEFAULT_SCALE_UP, _FREE_DOWN), True, OWN_WINDOW_SECONDS)
    return Scenario("d001", spec, 2, 2, tuple(Moment(answers, 2, 2) for answers in looks))


def _last_old_slot() -> Scenario:
    """Three scale-ups too old for their own policies, not for the scale-down's: the next one takes the last one's slot."""
    up = ScalingRules((ScalingPolicy(PolicyType.PODS, 100, 5),), tolerance=0.0)
    down = ScalingRules((ScalingPolicy(PolicyType.PERCENT, 50, 60),), tolerance=0.0)
    wanted = (11, 13, 16, 16, 16, 16, 16, 16, 16, 17, 1)
    return _totals("d002", 100, Behavior(up, down), 10, wanted)


def _wakes_to_more() -> Scenario:
    """From zero to more than the rate of change allows, and back."""
    up = ScalingRules((ScalingPolicy(PolicyType.PODS, 2, 60),))
    return _totals("d003", 20, Behavior(up, _FREE_DOWN), 1, (0, 0, 9, 9, 0, 0, 3), least=0)


def _set_lower() -> Scenario:
    """Somebody sets the scale below what the HPA has added: with a scale-down by at most 2147483647 pods, none is taken."""
    down = ScalingRules((ScalingPolicy(PolicyType.PODS, 2**31 - 1, 60),), tolerance=0.0)
    scenario = _totals("d004", 20, Behavior(scale_down=down), 3, (9, 9, 1, 1, 1))
    first, second, third, *rest = scenario.moments
    return replace(scenario, moments=(first, second, replace(third, by_hand=2), *rest))


def _totals(
    name: str, most: int, behavior: Behavior, replicas: int, wanted: Sequence[int], least: int = 1
) -> Scenario:
    """One total that asks for `wanted` replicas at each look."""
    metric = ExternalMetric(f"{name}-0", average_value_milli=1000)
    spec = HpaSpec((metric,), most, least, behavior, True, OWN_WINDOW_SECONDS)
    statuses = (replicas, *wanted[:-1])
    moments = [Moment((Reading((1000 * n,)),), s, 0) for n, s in zip(wanted, statuses, strict=True)]
    return Scenario(name, spec, replicas, 0, tuple(moments))
