"""The smoke version of `make accuracy`: a few simulated incidents are made and judged, and the two simple ways are no better."""

import pytest

from tests.accuracy.__main__ import wilson
from tests.accuracy.baselines import last_rollout_is_right, most_moved_is_right
from tests.accuracy.cases import case, pages
from tests.accuracy.judge import Judgement, judge, rules
from tests.fleetsim.split import half_of

CASES = [("overload", 2), ("hang", 0), ("sticky_balancing", 2), ("dns_slow", 0), ("bad_alert_rule", 3)]


@pytest.mark.parametrize(("cause", "seed"), CASES)
def test_a_simulated_incident_is_told_by_its_cause(cause: str, seed: int) -> None:
    assert half_of(cause, seed) == "open"
    one = case(cause, seed)
    judgement, report = judge(one, seed, rules())
    assert (judgement.right, judgement.bold, pages(one)) == (True, True, True), report.headline


def test_neither_the_last_rollout_nor_the_loudest_measure_tells_a_hang() -> None:
    one = case("hang", 0)
    assert not last_rollout_is_right(one)
    assert not most_moved_is_right(one)


def test_wrong_is_counted_apart_from_abstained() -> None:
    said = Judgement("hang", 0, "cannot_tell", "cannot_tell", (), right=False, onset_error=None)
    wrong = Judgement("hang", 0, "overload", "likely", (), right=False, onset_error=None)
    assert (said.abstained, said.wrong_and_bold) == (True, False)
    assert (wrong.abstained, wrong.wrong_and_bold) == (False, True)


def test_the_interval_of_a_share_is_wide_where_cases_are_few() -> None:
    low, high = wilson(9, 10)
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)  # as tabulated for Wilson's interval
