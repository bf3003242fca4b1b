"""More often above a level than before: a matter of counts, with chance bounded."""

import random

from triage.latency.spells import above_more_often


def test_more_of_them_lie_above_than_chance_explains() -> None:
    assert above_more_often([1.0] * 60, [1.0, 1.0, 9.0] * 10, 2.0, 1.0)
    assert not above_more_often([1.0] * 60, [1.0] * 29 + [9.0], 2.0, 1.0)
    assert not above_more_often([1.0, 1.0, 9.0] * 20, [1.0, 1.0, 9.0] * 10, 2.0, 1.0)


def test_neighbours_that_share_what_they_measured_count_once() -> None:
    some = [1.0] * 24 + [9.0] * 6
    assert above_more_often([1.0] * 60, some, 2.0, 1.0)
    assert not above_more_often([1.0] * 60, some, 2.0, 6.0)


def test_of_nothing_nothing_is_said() -> None:
    assert not above_more_often([], [9.0] * 30, 2.0, 1.0)
    assert not above_more_often([1.0] * 60, [], 2.0, 1.0)


def test_of_points_like_those_before_hardly_any_pass() -> None:
    rng = random.Random(7)
    passed = 0
    for _ in range(1000):
        before, after = ([rng.random() < 0.1 for _ in range(n)] for n in (120, 60))
        passed += above_more_often([float(v) for v in before], [float(v) for v in after], 0.5, 1.0)
    assert passed <= 30  # one in a hundred by the rate itself, and some more as it is known from 120 points
