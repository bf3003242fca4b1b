"""What is counted of a run."""

from tests.stability.fleet_queue import Second
from tests.stability.loads import Load, step
from tests.stability.outcome import Outcome, Step, downs_into_overload, flaps, judge
from tests.stability.reference import references

LOAD = Load("step", "", step(10, 30, 4), 60, 4)


def run(*steps: tuple[float, int]) -> Outcome:
    return judge(LOAD, "share", "example", [Step(at, count, count) for at, count in steps], {})


def test_up_and_down_with_the_load_is_no_flap() -> None:
    assert flaps(run((-5, 2), (12, 8), (50, 2)), 3.0) == 0


def test_a_change_of_direction_within_ten_syncs_is_a_flap() -> None:
    assert flaps(run((-5, 2), (12, 8), (15, 12), (40, 6), (50, 7)), 3.0) == 2


def test_a_scale_down_below_what_computes_the_load_is_told() -> None:
    """At the peak 100 requests a second of 40 ms keep four pods busy."""
    outcome = run((-5, 2), (12, 8), (20, 4), (25, 3), (50, 2))
    assert downs_into_overload(outcome, LOAD) == 1


def test_every_pod_that_was_added_counts() -> None:
    assert run((-5, 2), (12, 8), (20, 4), (25, 5)).added == 7


def test_replica_minutes_are_those_of_the_run() -> None:
    assert run((-5, 2), (30, 4), (70, 9)).replica_minutes == 3.0


def test_a_second_is_over_when_its_mean_wait_is_or_nobody_served() -> None:
    seconds = {3: Second(10, 0.9), 4: Second(10, 1.1), 5: Second(10, 0.1, refused=1), 70: Second(10, 99.0)}
    outcome = judge(LOAD, "share", "example", [Step(0, 2, 2)], seconds)
    assert outcome.over_seconds == 2
    assert outcome.waits_ms[2:6] == (None, 90, 110, None)
    assert outcome.requests == 30


def test_the_references_meet_the_same_requests() -> None:
    """The more pods are ready in time, the fewer requests wait long."""
    oracle, loading, fixed = references(LOAD)
    assert oracle.requests == loading.requests == fixed.requests
    assert [round(one.replica_minutes, 6) for one in (oracle, loading, fixed)] == [5.0, 5.0, 8.0]
    assert loading.long > 0 == oracle.long == fixed.long
    assert sum(filter(None, oracle.waits_ms)) > sum(filter(None, fixed.waits_ms))
    assert [(step.at, step.wanted, step.ready) for step in loading.steps] == [
        (0.0, 2, 2),
        (10.0, 8, 2),
        (22.0, 8, 8),
        (40.0, 2, 2),
    ]
