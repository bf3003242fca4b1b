"""Random HPAs and what happens to them, look by look: each is the same for the same seed and number, whatever others run."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from telemetry.hpa import Reading
from telemetry.hpa_spec import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    DEFAULT_TOLERANCE,
    Behavior,
    ExternalMetric,
    HpaSpec,
    PolicyType,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)
from tests.controlplane.kube_client import Object

MOMENTS: Final = 12
OWN_WINDOW_SECONDS: Final = 4
"""The controller's flag for HPAs that give none: with its 300 s no fleet would shrink in a dozen looks."""
_SCALE_DOWN: Final = replace(DEFAULT_SCALE_DOWN, stabilization_window_seconds=OWN_WINDOW_SECONDS)
_MOST_INT32: Final = 2**31 - 1
_MOST_MILLI: Final = 2**63 - 1


@dataclass(frozen=True)
class Moment:
    """What the controller finds at one look."""

    answers: tuple[Reading, ...]
    """One per metric, in the spec's order."""
    status_replicas: int
    ready: int
    """Pods that are Running and Ready, of the scenario's `pods`."""
    by_hand: int | None = None
    """Somebody set the scale to this since the look before."""


@dataclass(frozen=True)
class Scenario:
    name: str
    spec: HpaSpec
    replicas: int
    """Of the scale before the first look."""
    pods: int
    moments: tuple[Moment, ...]

    def metric(self, number: int) -> str:
        return f"{self.name}-{number}"


def generate(seed: int, number: int, moments: int = MOMENTS) -> Scenario:
    chance = random.Random(f"{seed}/{number}")
    name = f"s{number:03}"
    to_zero = chance.random() < 0.25
    least = 0 if to_zero else chance.choice((1, 1, 1, 2, 3, 5))
    most = least + chance.choice((1, 3, 5, 8, 12, 30, 100))
    metrics = tuple(_metric(chance, f"{name}-{each}") for each in range(chance.choice((1, 1, 2, 2, 3))))
    behavior = None if chance.random() < 0.25 else Behavior(_scale_up(chance), _scale_down(chance))
    spec = HpaSpec(metrics, most, max(least, 0), behavior, True, OWN_WINDOW_SECONDS)
    pods = chance.choice((0, 1, 2, 4, 6))
    first = chance.randint(max(least, 1), most)
    return Scenario(name, spec, first, pods, tuple(_moments(chance, spec, first, pods, moments)))


def _metric(chance: random.Random, name: str) -> ExternalMetric:
    target = chance.choice((1, 10, 333, 1000, 2500, 100_000))
    if chance.random() < 0.45:
        return ExternalMetric(name, value_milli=target)
    return ExternalMetric(name, average_value_milli=target)


def _scale_up(chance: random.Random) -> ScalingRules:
    return ScalingRules(
        _policies(chance, chance.choice((1, 2, 3, 5, 20)), chance.choice((10, 50, 100, 1000)))
        or DEFAULT_SCALE_UP.policies,
        chance.choice((0, 0, 0, 1, 2, 3, 5, 8)),
        _select(chance),
        _tolerance(chance),
    )


def _scale_down(chance: random.Random) -> ScalingRules:
    return ScalingRules(
        _policies(chance, chance.choice((1, 2, 3, 5, 20)), chance.choice((10, 33, 50, 100, 150)))
        or DEFAULT_SCALE_DOWN.policies,
        chance.choice((0, 0, 0, 1, 2, 3, 5, 8, 300, OWN_WINDOW_SECONDS)),
        _select(chance),
        _tolerance(chance),
    )


def _policies(chance: random.Random, pods: int, percent: int) -> tuple[ScalingPolicy, ...]:
    """None: the API server's own."""
    found = []
    for _ in range(chance.choice((0, 1, 1, 2, 2, 3))):
        kind = chance.choice(tuple(PolicyType))
        period = chance.choice((1, 2, 3, 5, 8, 60, 1800))
        found.append(ScalingPolicy(kind, pods if kind is PolicyType.PODS else percent, period))
    if chance.random() < 0.08:
        found = [ScalingPolicy(PolicyType.PODS, _MOST_INT32, 5)]
    return tuple(found)


def _select(chance: random.Random) -> SelectPolicy:
    return chance.choices(tuple(SelectPolicy), (6, 3, 1))[0]


def _tolerance(chance: random.Random) -> float:
    return chance.choice((DEFAULT_TOLERANCE, DEFAULT_TOLERANCE, 0.0, 0.01, 0.05, 0.25, 0.5))


def _moments(chance: random.Random, spec: HpaSpec, first: int, pods: int, count: int) -> list[Moment]:
    found: list[Moment] = []
    wanted = [first] * len(spec.metrics)
    ready, status, off_since = min(first, pods), first, 0
    for number in range(count):
        if chance.random() < 0.55:
            wanted = [_walk(chance, each, spec.max_replicas) for each in wanted]
        if chance.random() < 0.2:
            ready = chance.randint(0, pods)
        if chance.random() < 0.5:
            status = max(0, chance.choice(wanted) + chance.choice((-1, 0, 0, 0, 1)))
        by_hand = None
        if off_since and number > off_since + 1:  # who switched it off switches it on again two looks later
            by_hand, off_since = chance.randint(1, spec.max_replicas), 0
        elif number and chance.random() < 0.08:
            by_hand = chance.choice((0, 1, spec.min_replicas, chance.randint(0, spec.max_replicas + 3)))
            off_since = number if by_hand == 0 else 0
        answers = [_answer(chance, spec, each, n) for each, n in zip(spec.metrics, wanted, strict=True)]
        if spec.min_replicas == 0 and chance.random() < 0.3:  # or fleets would hardly ever go there
            answers = [Reading((0,)) for _ in spec.metrics]
        found.append(Moment(tuple(answers), status, ready, by_hand))
    return found


def _walk(chance: random.Random, wanted: int, most: int) -> int:
    """Mostly a small step, sometimes to an end."""
    if chance.random() < 0.25:
        return chance.choice((0, 1, most, 2 * most + 1))
    return max(0, wanted + chance.choice((-4, -2, -1, -1, 1, 1, 2, 4)))


def _answer(chance: random.Random, spec: HpaSpec, metric: ExternalMetric, wanted: int) -> Reading:
    odd = chance.random()
    if odd < 0.1:
        return Reading(error=chance.choice(("404", "500", "503")))
    if odd < 0.13:
        return Reading()
    if odd < 0.15:
        return Reading((-chance.randint(1, 10**6),))
    if odd < 0.16 and spec.min_replicas > 0:
        # From zero replicas such a count depends on the controller's processor: see hpa._whole.
        return Reading((_MOST_MILLI, chance.choice((0, 1, _MOST_MILLI))))
    if metric.average_value_milli is not None:
        near = chance.choice((1.0, 1.0, 0.95, 0.9, 1.1, 1.01))
        total = round(metric.average_value_milli * wanted * near)
    else:
        assert metric.value_milli is not None
        ratio = chance.choice((0, 0.3, 0.5, 0.75, 0.9, 0.95, 0.99, 1, 1.01, 1.05, 1.1, 1.25, 1.5, 2, 3))
        total = round(metric.value_milli * ratio)
    part = chance.randint(0, total) if chance.random() < 0.2 else 0
    return Reading((part, total - part) if part else (total,))


def manifest(scenario: Scenario, namespace: str) -> Object:
    """The HPA as somebody would write it: what is the API server's default is left out."""
    spec = scenario.spec
    written: Object = {
        "scaleTargetRef": {"apiVersion": "v1", "kind": "ReplicationController", "name": scenario.name},
        "minReplicas": spec.min_replicas,
        "maxReplicas": spec.max_replicas,
        "metrics": [_metric_spec(metric) for metric in spec.metrics],
    }
    if spec.behavior is not None:
        written["behavior"] = {
            "scaleUp": _rules(spec.behavior.scale_up, DEFAULT_SCALE_UP),
            "scaleDown": _rules(spec.behavior.scale_down, _SCALE_DOWN),
        }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": scenario.name, "namespace": namespace},
        "spec": written,
    }


def _metric_spec(metric: ExternalMetric) -> Object:
    target = (
        {"type": "Value", "value": f"{metric.value_milli}m"}
        if metric.value_milli is not None
        else {"type": "AverageValue", "averageValue": f"{metric.average_value_milli}m"}
    )
    return {"type": "External", "external": {"metric": {"name": metric.name}, "target": target}}


def _rules(rules: ScalingRules, default: ScalingRules) -> Object:
    written: Object = {}
    if rules.policies != default.policies:
        written["policies"] = [
            {"type": each.type.value, "value": each.value, "periodSeconds": each.period_seconds}
            for each in rules.policies
        ]
    if rules.stabilization_window_seconds != default.stabilization_window_seconds:
        written["stabilizationWindowSeconds"] = int(rules.stabilization_window_seconds)
    if rules.select_policy is not default.select_policy:
        written["selectPolicy"] = rules.select_policy.value
    if rules.tolerance != default.tolerance:
        written["tolerance"] = f"{rules.tolerance:g}"
    return written


def told(scenarios: Sequence[Scenario]) -> str:
    """What a batch holds, for a person."""
    of = [scenario.spec for scenario in scenarios]
    behaviors = [spec.behavior for spec in of if spec.behavior]
    disabled = sum(
        SelectPolicy.DISABLED in (each.scale_up.select_policy, each.scale_down.select_policy)
        for each in behaviors
    )
    edits = sum(moment.by_hand is not None for scenario in scenarios for moment in scenario.moments)
    answers = [each for scenario in scenarios for moment in scenario.moments for each in moment.answers]
    return (
        f"{len(of)} HPAs with {sum(len(spec.metrics) for spec in of)} metrics; {len(behaviors)} with behavior, "
        f"{disabled} of them with a disabled direction; {sum(spec.min_replicas == 0 for spec in of)} may go to zero; "
        f"{sum(not each.values_milli for each in answers)} of {len(answers)} answers are errors or empty; "
        f"the scale is edited by hand {edits} times"
    )
