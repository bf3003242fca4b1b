"""What is said of what callers feel, and above all when nothing may be said of it."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    evidence,
    gateway,
    incident,
    measured,
    nothing_of,
    rules,
    served,
    settings,
    steady,
    stepped,
    triton,
)
from triage.answers import Value
from triage.cluster_views import NoHpa
from triage.latency.predicates import PREDICATES
from triage.latency.walk import walk

DAY = 86_400.0
SLOW = served(infer=stepped(8, 80), pod="a")
CALM = served(infer=steady(8, 120), pod="a")
TAIL = gateway("gateway_p99", stepped(30, 200))


def said(name: str, *parts: Part) -> Value:
    return PREDICATES[name](incident(*parts, model="m")).value


def day_ago(infer: list[float | None]) -> Part:
    """The same hour a day ago, at 20 requests a second."""
    times = [None if v is None else 20 * v for v in infer]
    start = at_step(0) - DAY
    return [
        measured("past/success/1d", steady(20, 120), {"model": "m"}, start=start),
        measured("past/request_time/1d", times, {"model": "m"}, start=start),
    ]


def test_it_is_usual_where_the_time_per_request_rose_as_high_a_day_ago() -> None:
    assert said("usual_for_this_hour", SLOW, day_ago(stepped(10, 85))) == "yes"
    assert said("usual_for_this_hour", SLOW, day_ago(stepped(10, 12))) == "no"
    assert said("usual_for_this_hour", SLOW) == "unknown"


def test_a_tail_that_was_high_a_day_ago_does_not_make_a_slow_mean_usual() -> None:
    """The mean was not; the tail is of few requests, and high now and then."""
    now = triton("request_p99", stepped(100, 900), pod="a", model="m")
    then = measured("past/request_p99/1d", steady(950, 120), {"model": "m"}, start=at_step(0) - DAY)
    assert said("usual_for_this_hour", SLOW, now, then, day_ago(stepped(10, 12))) == "no"
    assert said("usual_for_this_hour", SLOW, now, then) == "unknown"


@pytest.mark.parametrize(
    ("values", "value"),
    [
        (steady(30, 120), "yes"),
        (stepped(30, 200), "no"),
        ([*steady(30, 90), *[30, 30, 400] * 10], "no"),
        ([*[30, 30, 400] * 40], "yes"),
        ([*steady(30, 105), *[30 + 2 * k for k in range(15)]], "no"),
        ([*steady(None, 100), *steady(30, 20)], "unknown"),
        (steady(None, 120), "unknown"),
    ],
    ids=[
        "steady",
        "rose",
        "comes and goes since",
        "came and went all along",
        "began to rise",
        "its first half not measured",
        "not measured",
    ],
)
def test_the_tail_stayed_only_where_its_points_exclude_that_it_rose(
    values: list[float | None], value: Value
) -> None:
    assert said("tail_stayed", SLOW, gateway("gateway_p99", values)) == value


def test_nothing_moved_only_where_tritons_own_time_is_known_of_the_window() -> None:
    calm = gateway("gateway_p99", steady(30, 120))
    assert said("moved", served(), calm) == "no"
    assert said("moved", calm, nothing_of("triton/success")) == "unknown"
    last_minutes = [
        measured("capture/success", steady(20, 30), {"model": "m"}, start=at_step(118), step=2.0),
        measured("capture/request_time", steady(200, 30), {"model": "m"}, start=at_step(118), step=2.0),
    ]
    assert said("moved", calm, last_minutes) == "unknown"


def test_what_comes_again_and_again_is_not_over() -> None:
    spike = [*steady(30, 60), *steady(300, 20), *steady(30, 10)]
    assert said("ended", served(), gateway("gateway_p99", [*spike, *steady(30, 30)])) == "yes"
    assert said("ended", served(), gateway("gateway_p99", [*spike, *[30, 30, 300] * 10])) == "unknown"


def test_it_is_not_over_while_callers_still_wait() -> None:
    """Triton's queue fell back; what callers wait at the gateway did not."""
    queue = triton("queue_p99", [*steady(1, 60), *steady(90, 30), *steady(1, 30)], pod="a", model="m")
    assert said("ended", served(), queue, gateway("gateway_p99", steady(30, 120))) == "yes"
    still = gateway("gateway_p99", [*[30, 300] * 58, *steady(500, 4)])
    told = incident(served(), queue, still, model="m")
    assert told.symptom == "queue_tail"
    assert PREDICATES["ended"](told).value == "no"


def test_where_nothing_lasts_that_is_said_and_not_that_no_source_told() -> None:
    now_and_then: list[float | None] = [
        400 if step in {9, 30, 41, 66, 80} or (step > 84 and step % 3 == 0) else 30 for step in range(120)
    ]
    told = incident(CALM, gateway("gateway_p99", now_and_then), model="m")
    first = walk(rules().tree, told).candidates[0]
    assert first.leaf.id == "nothing_lasting"


def test_it_is_over_only_where_tritons_own_time_shows_it_too() -> None:
    spike = gateway("gateway_p99", [*steady(30, 60), *steady(300, 30), *steady(30, 30)])
    assert said("ended", served(), spike) == "yes"
    assert said("ended", spike, nothing_of("triton/success")) == "unknown"


def stuck(waiting: float, failing: float = 0.0, reason: str = "BACKEND") -> Part:
    """Pod a answers nothing any more from minute forty on."""
    return [
        served(rate=[*steady(20, 80), *steady(0, 40)]),
        triton("pending", stepped(0, waiting), pod="a", model="m"),
        triton("failure", stepped(0, failing), pod="a", model="m", reason=reason),
    ]


def test_requests_stand_still_where_the_backend_answers_none() -> None:
    assert said("stalled", stuck(9)) == "yes"
    assert said("stalled", stuck(0)) == "no"


def test_a_backend_that_answers_with_errors_does_not_stand_still_and_a_timeout_in_the_queue_is_no_answer() -> (
    None
):
    assert said("stalled", stuck(9, failing=3.0)) == "no"
    assert said("stalled", stuck(9, failing=3.0, reason="REJECTED")) == "yes"


def test_how_long_is_too_long_is_not_known_without_the_time_before() -> None:
    seen = [*steady(20, 3), *steady(0, 30)]
    capture = [
        measured("capture/success", seen, {"model": "m"}, start=at_step(118), step=2.0),
        measured(
            "capture/request_time",
            [200.0 if v else 0.0 for v in seen],
            {"model": "m"},
            start=at_step(118),
            step=2.0,
        ),
        measured("capture/pending", steady(9, 33), {"model": "m"}, start=at_step(118), step=2.0),
    ]
    assert said("stalled", TAIL, capture) == "unknown"


def test_the_time_that_triton_counts_of_a_decoupled_model_is_not_known() -> None:
    told = incident(SLOW, TAIL, settings("m", decoupled=True), model="m")
    assert (
        told.movement("latency").missing == "m is decoupled: Triton does not see how long its requests take"
    )
    assert told.movement("throughput").known
    assert incident(SLOW, settings("m"), model="m").movement("latency").known


def test_a_workload_without_an_autoscaler_has_none_at_its_maximum() -> None:
    none = evidence("hpa", "hpa", NoHpa())
    assert (said("hpa_at_max", SLOW, none), said("hpa_blind", SLOW, none)) == ("no", "no")
    assert (said("hpa_at_max", SLOW), said("hpa_blind", SLOW)) == ("unknown", "unknown")


def test_an_alert_is_called_wrong_by_what_covers_the_window_alone() -> None:
    calm = gateway("gateway_p99", steady(30, 120))

    def verdict(*parts: Part) -> str:
        return walk(rules().tree, incident(*parts, model="m")).candidates[0].leaf.category

    assert verdict(served(), calm) == "bad_alert_rule"
    assert verdict(calm, nothing_of("triton/success")) == "cannot_tell"
    assert verdict(served()) == "cannot_tell"
