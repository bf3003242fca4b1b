"""The real HPA controller and `decide`, sync by sync; `make hpa` plays 300 scenarios instead of 20."""

from dataclasses import replace
from pathlib import Path

from telemetry.hpa import Decision, Readings, decide
from telemetry.hpa_behavior import State
from telemetry.hpa_spec import HpaSpec
from tests.controlplane.build_tools import ensure_tools
from tests.hpa.directed import directed
from tests.hpa.proof import prove, report
from tests.hpa.scenario import generate
from tests.hpa.stage import open_stage

SEED = 1
SCENARIOS = 20


async def test_decide_does_what_the_real_controller_does(tmp_path: Path) -> None:
    """And the comparison tells algorithms that are only nearly right from the right one."""
    scenarios = [*directed(), *(generate(SEED, number) for number in range(SCENARIOS))]
    async with open_stage(ensure_tools(), tmp_path) as stage:
        proof = await prove(stage, scenarios, at_once=len(scenarios))
    verdicts = proof.verdicts(decide)
    print(report(proof, verdicts))
    assert proof.failures(verdicts) == []
    nearly_right = (by_status_replicas, by_all_pods, without_history, without_errors)
    missed = [wrong.__name__ for wrong in nearly_right if not proof.verdicts(wrong).disagreements]
    assert missed == []


def by_status_replicas(spec: HpaSpec, state: State, seen: Readings, now: float) -> tuple[State, Decision]:
    return decide(spec, state, replace(seen, status_replicas=seen.spec_replicas), now)


def by_all_pods(spec: HpaSpec, state: State, seen: Readings, now: float) -> tuple[State, Decision]:
    ready = None if seen.ready_pods is None else seen.spec_replicas
    return decide(spec, state, replace(seen, ready_pods=ready), now)


def without_history(spec: HpaSpec, state: State, seen: Readings, now: float) -> tuple[State, Decision]:
    forgetful = State(recommendations=(), scaled_to_zero=state.scaled_to_zero)
    return decide(spec, forgetful, seen, now)


def without_errors(spec: HpaSpec, state: State, seen: Readings, now: float) -> tuple[State, Decision]:
    """Metrics without a value are left out, unless there is no other."""
    pairs = [pair for pair in zip(spec.metrics, seen.metrics, strict=True) if pair[1].values_milli]
    if not pairs:
        return decide(spec, state, seen, now)
    metrics, readings = zip(*pairs, strict=True)
    return decide(replace(spec, metrics=metrics), state, replace(seen, metrics=readings), now)
