"""The oracle accuses exactly what the truth contradicts."""

from dataclasses import replace

import pytest

from telemetry.hpa_spec import DEFAULT_SCALE_DOWN, Behavior, ExternalMetric, HpaSpec
from tests.faults.oracle import Look, Scaling, scalings, wanted, wrong

SPEC = HpaSpec(
    (ExternalMetric("triton_inference_concurrency", average_value_milli=2000),),
    max_replicas=8,
    behavior=Behavior(scale_down=replace(DEFAULT_SCALE_DOWN, stabilization_window_seconds=0)),
)
SYNC = 2.0


def look(at: float, *loads: float) -> Look:
    return Look(at, loads, len(loads))


STEADY = [look(at, 1.85, 1.85, 1.85, 1.85) for at in range(60)]


def test_the_true_total_and_the_hpas_algorithm_decide() -> None:
    assert wanted(SPEC, look(0, 1.85, 1.85, 1.85, 1.85), 4) == 4
    assert wanted(SPEC, look(0, 7.4, 0.0), 2) == 4
    assert wanted(SPEC, look(0), 4) == 1


def test_a_scale_down_under_steady_load_is_wrong_and_its_recovery_is_not() -> None:
    made = scalings([(0, 4), (20, 1), (30, 4)])
    assert made == [Scaling(20, 4, 1), Scaling(30, 1, 4)]
    assert wrong(SPEC, STEADY, made, SYNC) == [Scaling(20, 4, 1)]


def test_a_scale_down_that_goes_further_than_the_truth_is_wrong() -> None:
    fell = [*STEADY[:20], *(look(at, 1.3, 1.3, 1.3) for at in range(20, 60))]
    assert wrong(SPEC, fell, [Scaling(30, 4, 2)], SYNC) == []
    assert wrong(SPEC, fell, [Scaling(30, 4, 1)], SYNC) == [Scaling(30, 4, 1)]


@pytest.mark.parametrize(("at", "wrongs"), [(16, 0), (15.9, 1)])
def test_the_oracle_may_be_two_syncs_later(at: float, wrongs: int) -> None:
    idle_from_20 = [*STEADY[:20], *(look(at, 0.0) for at in range(20, 60))]
    assert len(wrong(SPEC, idle_from_20, [Scaling(at, 4, 1)], SYNC)) == wrongs


def test_idle_that_is_seen_late_is_right() -> None:
    idle = [*STEADY[:10], *(look(at, 0.0) for at in range(10, 60))]
    assert wrong(SPEC, idle, [Scaling(40, 4, 1)], SYNC) == []


def test_a_scale_up_without_load_is_wrong() -> None:
    assert wrong(SPEC, STEADY, [Scaling(20, 4, 8)], SYNC) == [Scaling(20, 4, 8)]


def test_what_nobody_saw_is_an_error() -> None:
    with pytest.raises(ValueError, match="nobody looked"):
        wrong(SPEC, STEADY, [Scaling(100, 4, 1)], SYNC)
