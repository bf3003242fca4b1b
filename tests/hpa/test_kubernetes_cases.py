"""The HPA's algorithm against the figures of the controller's own tests, kubernetes_cases.yaml."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from telemetry.hpa import Reading, Readings, decide
from telemetry.hpa_behavior import (
    Recommendation,
    ScaleEvent,
    State,
    bound,
    recorded,
    replicas_at,
    rescaled,
    stabilise,
)
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
from tests.hpa.told import limited, limited_by

Case = dict[str, Any]
FILE = Path(__file__).parent / "kubernetes_cases.yaml"
DATA: dict[str, Any] = yaml.safe_load(FILE.read_text())
NOW = 100_000.0
ASKED = ("proposals", "looks", "limits", "stabilised", "stored")
CASES = [(asked, case) for asked in ASKED for case in DATA[asked]]


def test_every_test_function_of_the_controller_is_here_or_named_with_its_reason() -> None:
    here = {case["test"] for _, case in CASES}
    left_out = [function for reason in DATA["not_here"] for function in reason["functions"]]
    assert not here & set(left_out)
    assert len(here) == DATA["counted"]["here"]
    assert len(CASES) == DATA["counted"]["cases"]
    assert len(here) + len(left_out) == sum(DATA["counted"]["functions"].values())


@pytest.mark.parametrize(
    ("asked", "case"),
    CASES,
    ids=[f"{c['test']}: {c['name']}" if "name" in c else c["test"] for _, c in CASES],
)
def test_what_the_controllers_own_tests_expect(asked: str, case: Case) -> None:
    ask = {
        "proposals": proposed,
        "looks": looked,
        "limits": bounded,
        "stabilised": stabilised,
        "stored": stored,
    }[asked]
    answer = ask(case)
    assert answer == {key: case[key] for key in answer}


def proposed(case: Case) -> Case:
    """What the metric alone asks for: the first step of a look, whatever the limits make of it."""
    tolerance = case.get("tolerance", {"up": DEFAULT_TOLERANCE, "down": DEFAULT_TOLERANCE})
    behavior = Behavior(
        ScalingRules(DEFAULT_SCALE_UP.policies, tolerance=tolerance["up"]),
        ScalingRules(DEFAULT_SCALE_DOWN.policies, tolerance=tolerance["down"]),
    )
    spec = HpaSpec((metric("qps", case["target"]),), 2**31 - 1, 1, behavior)
    replicas = case["replicas"]
    readings = Readings(replicas, replicas, case.get("ready", replicas), (Reading(tuple(case["values"])),))
    return {"want": decide(spec, State(), readings, NOW)[1].steps[0].replicas}


def looked(case: Case) -> Case:
    metrics = case.get("metrics") or [
        {"average": 1000, "values": [1000 * count]} for count in case.get("wanted", ())
    ]
    spec = HpaSpec(
        tuple(metric(f"qps-{number}", each) for number, each in enumerate(metrics)),
        case["max"],
        case["min"],
        behavior(case) if "up" in case or "down" in case else None,
        scale_to_zero=case.get("gate", False),
    )
    recommendations = case.get("recommendations", [])
    before = State(
        None if recommendations is None else history(recommendations),
        scaled_to_zero=case.get("scaled_to_zero", False),
    )
    replicas: int = case["replicas"]
    read = tuple(Reading(tuple(each.get("values", ())), each.get("error", "")) for each in metrics)
    readings = Readings(replicas, case.get("status", replicas), replicas or None, read)
    state, decision = decide(spec, before, readings, NOW)
    found = {
        "replicas": decision.replicas,
        "held": decision.held,
        "limited": limited(decision),
        "scaled_to_zero": state.scaled_to_zero,
    }
    return {"want": {key: found[key] for key in case["want"]}}


def bounded(case: Case) -> Case:
    spec = HpaSpec((), case["max"], case["min"], behavior(case) if case.get("behavior", True) else None)
    state = State((), events(case.get("ups", ())), events(case.get("downs", ())))
    step = bound(spec, state, case["replicas"], case["desired"], NOW)
    replicas = case["desired"] if step is None else step.replicas
    return {"want": replicas, "limited": limited_by(step)}


def stabilised(case: Case) -> Case:
    rules = None
    if windows := case.get("windows"):
        rules = Behavior(
            ScalingRules(DEFAULT_SCALE_UP.policies, windows["up"]),
            ScalingRules(DEFAULT_SCALE_DOWN.policies, windows["down"]),
        )
    spec = HpaSpec((), 1000, 1, rules)
    earlier = history(case["recommendations"])
    after = recorded(spec, earlier, case["wanted"], NOW)
    found = {
        "want": stabilise(spec, earlier, case["replicas"], case["wanted"], NOW).replicas,
        "recorded": [each.replicas for each in after],
        "recorded_count": len(after),
    }
    return {key: found[key] for key in found if key in case}


def stored(case: Case) -> Case:
    rules = ScalingRules(policies(case["rules"])) if "rules" in case else None
    spec = HpaSpec((), 1000, 1, Behavior(rules, rules) if rules else None)
    change, before = case["change"], events(case["events"])
    up = rescaled(spec, State((), scale_ups=before), 10, 10 + change, NOW)
    down = rescaled(spec, State((), scale_downs=before), 10, 10 - change, NOW)
    assert [each[:3:2] for each in up.scale_ups] == [each[:3:2] for each in down.scale_downs]
    return {
        "want": [[each.change, each.outdated] for each in up.scale_ups],
        "changed_in_60_seconds": 10 - replicas_at(State((), scale_ups=before), 10, NOW - 60),
    }


def metric(name: str, target: Mapping[str, Any]) -> ExternalMetric:
    return ExternalMetric(name, target.get("value"), target.get("average"))


def behavior(case: Case) -> Behavior:
    return Behavior(
        scaling_rules(case.get("up", {}), DEFAULT_SCALE_UP),
        scaling_rules(case.get("down", {}), DEFAULT_SCALE_DOWN),
    )


def scaling_rules(given: Mapping[str, Any], default: ScalingRules) -> ScalingRules:
    return ScalingRules(
        policies(given) or default.policies,
        given.get("window", default.stabilization_window_seconds),
        SelectPolicy(given.get("select", "Max")),
        given.get("tolerance", DEFAULT_TOLERANCE),
    )


def policies(given: Mapping[str, Sequence[int]]) -> tuple[ScalingPolicy, ...]:
    kinds = {"pods": PolicyType.PODS, "percent": PolicyType.PERCENT}
    return tuple(ScalingPolicy(kind, *given[name]) for name, kind in kinds.items() if name in given)


def history(entries: Sequence[Sequence[float]]) -> tuple[Recommendation, ...]:
    return tuple(Recommendation(int(replicas), NOW - ago) for replicas, ago in entries)


def events(entries: Sequence[Sequence[float]]) -> tuple[ScaleEvent, ...]:
    return tuple(ScaleEvent(int(change), NOW - ago) for change, ago in entries)
