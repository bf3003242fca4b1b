"""What holds for all traces, levels, points and counts."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from triage.latency.dating import date_step
from triage.latency.level import best_split, cost, running_costs, scale_of
from triage.latency.onset import Found, find_onset
from triage.latency.shift import fell, flat, rose, shift
from triage.latency.trace import Trace
from triage.latency.transition import Transition

LEVELS = st.lists(st.integers(-1000, 1000), max_size=30)
VALUES = st.floats(0, 1e9) | st.sampled_from([0.0, 1.0, 10.0, 1e-12])
POINTS = st.lists(VALUES | st.none(), max_size=80)
COUNTS = st.integers(0, 60)


@given(LEVELS)
def test_running_costs_are_the_costs_of_all_beginnings(levels: list[int]) -> None:
    assert running_costs(levels) == [cost(levels[:count]) for count in range(len(levels) + 1)]


@given(LEVELS)
def test_the_best_split_is_the_best_of_all(levels: list[int]) -> None:
    found = best_split(levels, 3, 2)
    costs = [cost(levels[:k]) + cost(levels[k:]) for k in range(3, len(levels) - 1)]
    assert (found is None) == (not costs)
    if found:
        assert cost(levels) - found[1] == min(costs) == cost(levels[: found[0]]) + cost(levels[found[0] :])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_level_leads_back_to_its_value(values: list[float]) -> None:
    scale = scale_of(values)
    for value in values:
        assert math.isclose(
            scale.value(scale.level(value)), value, rel_tol=1e-5, abs_tol=1e-5 * max(scale.near_zero, 1e-300)
        )


@settings(deadline=None)
@given(POINTS, st.sampled_from([0.0, 60.0, 300.0]))
def test_every_trace_has_an_answer_and_every_onset_is_in_order(
    points: list[float | None], smear: float
) -> None:
    trace = Trace(0.0, 60.0, points)
    found = find_onset(trace, smear, 1)
    if isinstance(found, Found):
        for moment in (found.onset, found.ended or found.onset):
            assert moment.earliest <= moment.at <= moment.latest <= trace.end
        assert math.isfinite(found.before + found.during)
        assert not found.ended or found.onset.at < found.ended.at


@settings(deadline=None)
@given(POINTS, st.sampled_from([0.125, 4.0, 1024.0]), st.integers(-10, 10))
def test_unit_and_time_of_day_move_no_onset(points: list[float | None], unit: float, steps: int) -> None:
    """Powers of two, so that the values themselves stay exact; a last digit of a logarithm may still move a tie."""
    above = [value + 1 if value is not None else None for value in points]
    found = find_onset(Trace(0.0, 64.0, above), 0, 1)
    moved = find_onset(
        Trace(steps * 64.0, 64.0, [value * unit if value is not None else None for value in above]), 0, 1
    )
    assert isinstance(moved, Found) == isinstance(found, Found)


@given(POINTS, POINTS)
def test_nothing_both_rose_and_fell(before: list[float | None], during: list[float | None]) -> None:
    found = shift(before, during)
    verdicts = (rose(found, 1.3, 0.1), fell(found, 1.3, 0.1), flat(found, 1.3, 0.1))
    assert verdicts.count("yes") <= 1
    if found.comparison:
        assert -1 <= found.comparison.delta <= 1
        assert found.comparison.lowest <= found.comparison.difference <= found.comparison.highest


@given(
    levels=st.lists(st.sampled_from([10.0, 10.0, 10.0, 12.0, 40.0, 400.0]), min_size=24, max_size=90),
    smear=st.sampled_from([0.0, 60.0, 240.0]),
    prompt=st.booleans(),
)
def test_whatever_the_values_a_date_lies_in_its_interval(
    levels: list[float], smear: float, prompt: bool
) -> None:
    """Also where a level goes back to what it was within the window of a rate, so that both sides of a step are alike."""
    found = find_onset(Trace(0.0, 30.0, levels), smear, 1, prompt=prompt)
    for moment in (found.onset, found.ended) if isinstance(found, Found) else ():
        assert moment is None or moment.earliest <= moment.at <= moment.latest


def test_a_step_whose_sides_are_alike_beside_the_window_has_a_date() -> None:
    """Back to its level within the four minutes that a rate covers: what lies between is all there is to date."""
    levels = [*[100.0] * 30, *[900.0] * 9, *[100.0] * 4, *[900.0] * 4, *[100.0] * 30]
    step = Transition(
        [30.0 * place for place in range(17)],
        [2, 2, 2, 2, 2, 2, 2, 2, 9, 2, 2, 2, 2, 2, 2, 2, 2],
        8,
        scale_of(levels),
        120.0,
        30.0,
    )
    assert step.sides == (step.levels[:8], step.levels[8:])
    moment = date_step(step, 1)
    assert moment.earliest <= moment.at <= moment.latest
