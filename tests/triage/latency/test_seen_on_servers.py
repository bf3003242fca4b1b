"""Mechanisms as a real Triton showed them, each beside what looks like it."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    gateway,
    incident,
    lifetime,
    measured,
    rollouts,
    rules,
    served,
    settings,
    steady,
    stepped,
    triton,
)
from triage.cluster_views import Revision
from triage.latency.predicates import PREDICATES
from triage.latency.walk import walk

BEGAN = at_step(80)
LIVE = {"pod": "a", "model": "m"}
TAILS: list[Part] = [triton("request_p99", stepped(80, 110), pod="a", model="m")]
HELD: list[Part] = [
    served(),
    triton("infer_p50", steady(5.0, 120), pod="a", model="m"),
    triton("request_p99", steady(80.0, 120), pod="a", model="m"),
    gateway("gateway_p99", stepped(100, 1500)),
    gateway("gateway_upstream_p99", stepped(100, 1500)),
]
"""Callers wait a second and more, Triton's own clock shows nothing, and some requests compute longer than most."""


@pytest.mark.parametrize(
    ("gateway_tail", "value"), [(7000.0, "no"), (160.0, "yes")], ids=["a fraction of it", "much of it"]
)
def test_what_triton_adds_is_weighed_against_what_callers_wait_more(gateway_tail: float, value: str) -> None:
    told = incident(served(), TAILS, gateway("gateway_p99", stepped(100, gateway_tail)), model="m")
    assert PREDICATES["inside"](told).value == value


def test_a_mean_that_rose_is_within_triton_whatever_a_tail_of_before_hides() -> None:
    tail = triton("request_p99", steady(370.0, 120), pod="a", model="m")
    told = incident(served(infer=stepped(30, 90)), tail, gateway("gateway_p99", stepped(100, 290)), model="m")
    assert PREDICATES["inside"](told).value == "yes"


def test_a_history_in_which_nothing_rose_says_no_though_a_live_server_was_looked_at_too() -> None:
    live = [
        lifetime(success=1000.0, request_time=10_000.0),
        measured("capture/success", steady(20.0, 20), LIVE),
    ]
    callers = gateway("gateway_p99", steady(100.0, 120))
    assert PREDICATES["moved"](incident(served(), callers, live, model="m")).value == "no"
    assert PREDICATES["moved"](incident(callers, live, model="m")).value == "unknown"


@pytest.mark.parametrize(
    ("keeps_order", "category"), [(True, "preserve_ordering"), (False, "http_connection_skew")]
)
def test_answers_that_keep_their_order_are_held_when_tritons_clock_has_stopped(
    keeps_order: bool, category: str
) -> None:
    told = incident(HELD, settings(preserve_ordering=keeps_order), model="m")
    assert walk(rules().tree, told).candidates[0].leaf.category == category


@pytest.mark.parametrize(
    ("median", "tail", "value"),
    [(5.0, 9.0, "yes"), (8.0, 30.0, "yes"), (8.0, 9.0, "no")],
    ids=["by the mean", "by the tail", "all alike"],
)
def test_order_holds_somebody_only_where_requests_take_unlike_times(
    median: float, tail: float, value: str
) -> None:
    parts = [triton("infer_p50", steady(median, 120), pod="a", model="m")]
    parts += [triton("infer_p99", steady(tail, 120), pod="a", model="m")]
    assert (
        PREDICATES["durations_vary"](incident(served(queue=stepped(1, 40)), parts, model="m")).value == value
    )


@pytest.mark.parametrize(
    ("executions", "waiting", "value"), [(4.0, 300.0, "yes"), (26.0, 300.0, "no"), (4.0, 10.0, "no")]
)
def test_a_batcher_has_drifted_where_many_wait_beside_instances_that_hardly_work(
    executions: float, waiting: float, value: str
) -> None:
    told = incident(
        served(rate=stepped(26, executions), queue=stepped(1, 9000), infer=40.0),
        triton("executions", stepped(26, executions), pod="a", model="m"),
        triton("pending", stepped(0, waiting), pod="a", model="m"),
        triton("pending_least", steady(0, 120), pod="a", model="m"),
        settings(instances=6, max_batch_size=4),
        model="m",
    )
    assert PREDICATES["drifts"](told).value == value


@pytest.mark.parametrize(("starts", "value"), [(79, "yes"), (100, "no")], ids=["before", "after"])
def test_a_cold_pod_that_comes_when_it_has_begun_did_not_begin_it(starts: int, value: str) -> None:
    cold = [*steady(None, starts), 900.0, 700.0, *steady(8.0, 118 - starts)]
    rate = [*steady(None, starts), *steady(5.0, 120 - starts)]
    told = incident(served(queue=stepped(1, 60)), served(pod="b", rate=rate, infer=cold), model="m")
    assert PREDICATES["new_pods_slow"](told).value == value


@pytest.mark.parametrize(
    ("change", "category"),
    [
        ("argument --trace-config=rate=1 of triton added", "observer_effect"),
        ("label team added", "micro_bursts"),
    ],
)
def test_a_trace_of_tensors_costs_time_in_the_queue_beside_idle_instances(change: str, category: str) -> None:
    old = Revision(number=1, hash="aaaaaaaaa", created_at=BEGAN - 86_400)
    new = Revision(number=2, hash="bbbbbbbbb", created_at=BEGAN - 30, changes=(change,))
    told = incident(
        served(rate=4.0, queue=stepped(1, 42)), settings(instances=4), rollouts(old, new), model="m"
    )
    assert walk(rules().tree, told).candidates[0].leaf.category == category


def test_a_queue_that_rose_by_little_does_not_date_what_rose_by_far_more_later() -> None:
    told = incident(
        served(),
        triton("queue_p99", [*steady(1.0, 40), *steady(9.0, 80)], pod="a", model="m"),
        gateway("gateway_p99", stepped(100, 7000)),
        model="m",
    )
    assert told.symptom == "gateway_tail"


def test_a_tail_of_a_millisecond_dates_nothing_where_the_whole_was_not_measured_so_early() -> None:
    """Its rise is no more felt for that: the time per request is told from step 50 on, and is forty milliseconds then."""
    late: list[float | None] = [*steady(None, 50), *steady(20.0, 70)]
    told = incident(
        served(rate=late, infer=stepped(40, 140)),
        triton("queue_p99", [*steady(0.1, 40), *steady(1.0, 80)], pod="a", model="m"),
        model="m",
    )
    assert told.symptom == "latency"


@pytest.mark.parametrize(
    ("smear", "over"), [(900.0, True), (60.0, False)], ids=["still holds it", "would have let go"]
)
def test_a_summary_that_still_holds_what_is_over_does_not_make_it_last(smear: float, over: bool) -> None:
    """The mean fell back ten minutes before the end, and the tail has not."""
    passed = [*steady(8.0, 80), *steady(40.0, 20), *steady(8.0, 20)]
    tail = triton("request_p99", [*steady(20.0, 80), *steady(90.0, 40)], smear=smear, pod="a", model="m")
    told = incident(served(infer=passed), tail, model="m")
    assert told.onset is not None
    assert (told.onset.ended is not None) == over


def test_a_trifle_that_is_over_does_not_make_what_lasts_a_memory_of_it() -> None:
    """The queue's tail rose by less than a tenth of what the whole tail did, and fell back: it dates nothing."""
    tail = triton("request_p99", [*steady(20.0, 80), *steady(90.0, 40)], smear=900.0, pod="a", model="m")
    trifle = [*steady(1.0, 80), *steady(7.0, 25), *steady(1.0, 15)]
    queue = triton("queue_p99", trifle, smear=60.0, pod="a", model="m")
    told = incident(served(), tail, queue, model="m")
    assert told.symptom == "p99"
    assert told.onset is not None
    assert told.onset.ended is None


@pytest.mark.parametrize(("mean", "value"), [(12.0, "yes"), (60.0, "no")], ids=["a few", "most of them"])
def test_where_the_mean_rose_as_the_tail_did_it_is_not_the_tail_alone(mean: float, value: str) -> None:
    """Though the median of a summary has not followed yet."""
    parts = [triton("infer_p99", stepped(10, 90), pod="a", model="m")]
    parts += [triton("infer_p50", steady(8.0, 120), pod="a", model="m")]
    told = incident(served(infer=stepped(8, mean)), parts, model="m")
    assert PREDICATES["infer_tail_alone"](told).value == value
