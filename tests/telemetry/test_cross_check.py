"""Counters that Prometheus has, between those of the scrapes around them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.cross_check import APART_SECONDS, KEPT_SECONDS, MOST_WAITING, CrossCheck, add_up
from telemetry.exposition import SeriesTable, parse_exposition

REQUESTS = "nv_inference_request_success"
COMPUTED = "nv_inference_compute_infer_duration_us"


def compared(
    done: Callable[[float], float], told: Callable[[float], float], *, until: float = 90.0
) -> CrossCheck:
    """Scraped every 5 s, and by Prometheus every 15 s, 4 s after."""
    check = CrossCheck()
    second = 0.0
    while second <= until:
        if second % 5 == 0:
            check.scraped(second, {REQUESTS: done(second)})
        if second % 15 == 4:
            check.told(second, {REQUESTS: told(second)})
        second += 1
    return check


def test_the_same_counters_are_not_apart() -> None:
    check = compared(lambda at: 100 * at, lambda at: 100 * at)
    assert (check.difference, check.contradicted) == (0.0, False)


def test_before_prometheus_was_heard_nothing_is_compared() -> None:
    check = CrossCheck()
    check.scraped(0.0, {REQUESTS: 1})
    check.scraped(5.0, {REQUESTS: 1})
    assert (check.difference, check.contradicted) == (None, False)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("another pod of the same name, less busy", lambda at: 30 * at),
        ("two pods added up", lambda at: 200 * at),
        ("a pod that has stood still for an hour", lambda at: 0.0),
        ("half of its models dropped by relabelling", lambda at: 50 * at),
        ("samples a minute older than they say", lambda at: max(0.0, 100 * (at - 60))),
    ],
)
def test_counters_of_something_else_are_apart(what: str, told: Callable[[float], float]) -> None:
    check = compared(lambda at: 100 * at, told)
    assert check.contradicted, what
    assert check.difference is not None
    assert check.difference > 0.3, what


@given(
    st.lists(st.integers(0, 1000), min_size=100, max_size=100),
    st.floats(-APART_SECONDS / 2, APART_SECONDS / 2),
    st.data(),
)
def test_no_load_and_no_clock_within_its_bound_makes_a_difference(
    each_second: list[int], off: float, data: st.DataObject
) -> None:
    """Whatever is done in each second, and whenever within a second of its stamp Prometheus' page was made."""

    def done(at: float) -> float:
        whole = int(max(0.0, at))
        return sum(each_second[:whole]) + (max(0.0, at) - whole) * each_second[min(whole, 99)]

    assert compared(done, lambda at: done(at + off)).difference == 0.0


def test_a_prometheus_that_is_read_more_often_than_a_scrape_follows_is_compared_too() -> None:
    check = CrossCheck()
    for second in range(30):
        check.scraped(float(second), {REQUESTS: 10.0 * second})
        check.told(second + 0.5, {REQUESTS: 10.0 * second + 5})
    assert check.difference == 0.0


def test_what_nobody_scrapes_any_more_takes_no_room() -> None:
    check = CrossCheck()
    check.scraped(0.0, {REQUESTS: 1})
    for second in range(10_000):
        check.told(float(second), {REQUESTS: 1})
    assert len(check._told) == MOST_WAITING
    check.scraped(10_000.0, {REQUESTS: 1})
    assert check.difference is None, "the last scrape before is forgotten"


def test_a_restart_is_not_a_contradiction() -> None:
    def done(at: float) -> float:
        return 100 * (at if at < 47 else at - 47)

    check = compared(done, done)
    assert (check.difference, check.contradicted) == (0.0, False)


def test_one_late_page_is_not_yet_a_contradiction() -> None:
    late = {79.0: 60.0}
    check = compared(lambda at: 100 * at, lambda at: 100 * late.get(at, at))
    assert check.difference is not None
    assert check.difference > 0
    assert not check.contradicted


def test_what_is_mended_is_told_by_the_next_comparison() -> None:
    check = compared(lambda at: 100 * at, lambda at: 30 * at if at < 60 else 100 * at)
    assert (check.difference, check.contradicted) == (0.0, False)


def test_families_that_relabelling_drops_whole_are_left_out() -> None:
    check = CrossCheck()
    check.scraped(0.0, {REQUESTS: 10, COMPUTED: 5})
    check.told(5.0, {REQUESTS: 15})
    check.scraped(10.0, {REQUESTS: 20, COMPUTED: 9})
    assert check.difference == 0.0


def test_sums_of_doubles_in_another_order_are_the_same() -> None:
    check = CrossCheck()
    check.scraped(0.0, {COMPUTED: 1e15})
    check.told(5.0, {COMPUTED: 1e15 + 0.25})
    check.scraped(10.0, {COMPUTED: 1e15})
    assert check.difference == 0.0


def test_what_is_kept_is_bounded() -> None:
    check = CrossCheck()
    for second in range(0, 3600, 5):
        check.scraped(float(second), {REQUESTS: second})
    assert len(check._scraped) <= KEPT_SECONDS / 5 + 1


def test_a_page_is_added_up_by_family_twins_and_versions_included() -> None:
    text = (
        f'{REQUESTS}{{model="a",version="1",gpu_uuid="x"}} 1\n{REQUESTS}{{model="a",version="1",gpu_uuid="y"}} 2\n'
        f'{REQUESTS}{{model="b",version="1"}} 4\nnv_gpu_utilization{{gpu_uuid="x"}} 0.5\n'
    )
    assert add_up(parse_exposition(text, SeriesTable()), {REQUESTS}) == {REQUESTS: 7.0}
