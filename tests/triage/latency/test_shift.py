"""By how much it differs, and when that is a rise, a fall, neither, or more than can be told."""

from random import Random

import pytest

from triage.answers import Value
from triage.latency.shift import Comparison, Side, fell, flat, rose, shift

BEFORE = [9.0, 10.0, 11.0, 10.0, 9.5, 10.5, 10.0, 10.2, 9.8, 10.0]


def times(factor: float) -> list[float]:
    return [factor * value for value in BEFORE]


def test_a_shift_has_all_its_numbers() -> None:
    found = shift([1.0, 2.0, 3.0], [2.0, 12.0])
    assert found.before == Side(3, 2.0, 1.0, 3.0)
    assert found.during == Side(2, 7.0, 2.0, 12.0)
    assert found.comparison == Comparison(5.0, -1.0, 11.0, delta=0.5, above_p99=0.5)
    assert (found.ratio, found.sigma) == (3.5, 1.4826)


@pytest.mark.parametrize(
    ("during", "answers"),
    [
        (times(2.0), ("yes", "no", "no")),
        (times(0.5), ("no", "yes", "no")),
        (times(1.0), ("no", "no", "yes")),
        (times(1.05), ("no", "no", "yes")),
        (times(2.0)[:7], ("yes", "no", "no")),
        (times(1.4)[:7], ("unknown", "unknown", "unknown")),
        ([], ("unknown", "unknown", "unknown")),
        ([1.0, 30.0] * 4, ("unknown", "unknown", "unknown")),
    ],
)
def test_each_verdict(during: list[float], answers: tuple[Value, Value, Value]) -> None:
    """The third last: seven points that overlap are too few. The last: too noisy to exclude either."""
    found = shift(BEFORE, during)
    verdicts = (rose(found, 1.3, 1.0), fell(found, 1.3, 1.0), flat(found, 1.3, 1.0))
    if len(during) == 7 and answers[0] == "yes":  # an overwhelming rise says nothing on a fall by itself
        assert (verdicts[0], verdicts[2]) == ("yes", "no")
    else:
        assert verdicts == answers


@pytest.mark.parametrize(
    ("during", "value"),
    [([30.0, 31.0, 32.0], "yes"), ([30.0, 31.0], "unknown"), ([30.0, 31.0, 14.0], "unknown")],
)
def test_three_points_are_enough_where_all_lie_far_beyond_all_before(
    during: list[float], value: Value
) -> None:
    assert rose(shift(BEFORE, during), 1.3, 1.0) == value


def test_far_beyond_seven_points_is_not_known_to_be_far() -> None:
    assert rose(shift(BEFORE[:7], [30.0, 31.0, 32.0]), 1.3, 1.0) == "unknown"
    assert rose(shift(BEFORE[:8], [30.0, 31.0, 32.0]), 1.3, 1.0) == "yes"


def test_a_large_ratio_of_nothing_is_no_rise() -> None:
    found = shift([0.001] * 10, [0.004] * 10)
    assert (rose(found, 1.3, 1.0), rose(found, 1.3, 0.002)) == ("no", "yes")


def test_a_rise_from_zero_is_a_rise_without_a_ratio() -> None:
    found = shift([0.0] * 10, [3.0] * 10)
    assert (found.ratio, rose(found, 1.3, 1.0)) == (None, "yes")


def test_bursts_show_above_the_99th_percentile_and_not_in_the_median() -> None:
    found = shift(BEFORE * 10, [*times(1.0), 90.0, 80.0])
    assert found.comparison
    assert found.comparison.above_p99 == pytest.approx(2 / 12)
    assert rose(found, 1.3, 1.0) == "no"


def test_points_that_share_a_window_count_once() -> None:
    """Twenty steps of 60 s of a five-minute rate are four independent points: too few, unless they are far beyond."""
    found = shift(BEFORE * 4, times(1.4) * 2, smear=300, step=60)
    assert found.during
    assert found.during.points == 4
    assert rose(found, 1.3, 1.0) == "unknown"
    assert rose(shift(BEFORE * 4, times(2.0) * 2, smear=300, step=60), 1.3, 1.0) == "yes"


def test_gaps_keep_the_distance_of_independent_points() -> None:
    found = shift([1.0, None, None, 2.0, 3.0, None, 4.0], [5.0], smear=2, step=1)
    assert found.before
    assert found.before.points == 3


def test_of_what_did_not_change_hardly_any_is_called_a_rise() -> None:
    rises = 0
    for seed in range(400):
        random = Random(seed)
        found = shift(
            [random.paretovariate(1.5) for _ in range(40)], [random.paretovariate(1.5) for _ in range(9)]
        )
        rises += rose(found, 1.3, 0.0) == "yes"
    assert rises <= 0.05 * 400  # one of forty by the interval
