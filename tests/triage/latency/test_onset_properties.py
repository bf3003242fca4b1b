"""What holds for all traces, levels, points and counts."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from triage.latency.level import best_split, cost, running_costs, scale_of
from triage.latency.onset import Found, find_onset
from triage.latency.rate_ratio import incomplete_beta, rate_ratio
from triage.latency.shift import fell, flat, rose, shift
from triage.latency.trace import Trace

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


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.001, 0.999))
def test_the_incomplete_beta_is_the_binomial_tail(successes: int, failures: int, p: float) -> None:
    """The probability of at least a successes of n is I_p(a, n - a + 1) (DLMF 8.17.5)."""
    n = successes + failures
    tail = math.fsum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(successes, n + 1))
    assert math.isclose(incomplete_beta(p, successes, failures + 1), tail, rel_tol=1e-8, abs_tol=1e-12)


@given(COUNTS, COUNTS, st.floats(0.1, 100), st.floats(0.1, 100))
def test_the_bounds_of_a_rate_ratio_leave_a_fortieth_on_each_side(
    a: int, b: int, seconds_a: float, seconds_b: float
) -> None:
    found = rate_ratio(a, seconds_a, b, seconds_b)

    def share(ratio: float) -> float:
        return ratio * seconds_a / (ratio * seconds_a + seconds_b)

    def probability(counts: range, ratio: float) -> float:
        p = share(ratio)
        return math.fsum(math.comb(a + b, k) * p**k * (1 - p) ** (a + b - k) for k in counts)

    if a:
        assert math.isclose(probability(range(a, a + b + 1), found.low), 0.025, rel_tol=1e-6)
    if found.high is not None:
        assert math.isclose(probability(range(a + 1), found.high), 0.025, rel_tol=1e-6)
    if found.estimate is not None and found.high is not None:
        assert found.low <= found.estimate <= found.high


@given(COUNTS, COUNTS)
def test_swapped_rates_have_the_inverse_interval(a: int, b: int) -> None:
    one, other = rate_ratio(a, 1, b, 1), rate_ratio(b, 1, a, 1)
    for low, high in ((one.low, other.high), (other.low, one.high)):
        assert (low == 0) == (high is None)
        assert high is None or math.isclose(low * high, 1, rel_tol=1e-6)
