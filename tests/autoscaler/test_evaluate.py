"""What a signal says of a fleet, truth by truth: the whole answer, beside the one that must not be given."""

import math

import pytest

from autoscaler.answer import NoData, Reason, Value
from autoscaler.selection import Settings
from telemetry.model_config import ModelFacts
from telemetry.window import RowKey
from tests.autoscaler.fleet import (
    CONCURRENCY,
    MEMORY_SIGNAL,
    MODEL_SIGNALS,
    P99_SIGNAL,
    PENDING_SIGNAL,
    PLAIN,
    QUEUE_SIGNAL,
    RATE,
    WINDOW,
    ask,
    gpus,
    number,
    pod,
    row,
    silent,
)

HANG = NoData(Reason.STALLED, "pod a: requests wait for model 'm' and none completes; it may hang")


# Ratios and quantiles


def test_a_mean_is_a_ratio_of_sums() -> None:
    """One request of 100 ms and nine of 10 ms are 19 ms a request, not 55."""
    assert number(ask(QUEUE_SIGNAL, pod("a", row(1, queue_ms=100)), pod("b", row(9, queue_ms=10)))) == 19.0


def test_a_mean_of_nothing_is_idle_when_nothing_happens() -> None:
    assert ask(QUEUE_SIGNAL, pod("a", row())) == Value(0.0, 1.0, 30, idle=True)


def test_a_mean_of_nothing_is_no_data_when_requests_fail() -> None:
    assert ask(QUEUE_SIGNAL, pod("a", row(0, failed=3))) == NoData(
        Reason.NO_SUCCESS, "pod a: requests to model 'm' fail and none succeeds"
    )


def test_a_mean_of_nothing_is_no_data_when_requests_wait() -> None:
    assert ask(QUEUE_SIGNAL, pod("a", row(0, pending=2))) == NoData(
        Reason.STALLED, "pod a: requests wait for model 'm' and none has completed"
    )


@pytest.mark.parametrize("signal", [QUEUE_SIGNAL, P99_SIGNAL])
def test_four_of_five_targets_speak_for_all_and_three_of_four_do_not(signal: str) -> None:
    busy = [pod(name, row(10, queue_ms=5, p99_ms=5)) for name in "abcd"]
    assert number(ask(signal, *busy, silent("e", row(10, queue_ms=900, p99_ms=900)))) == 5.0
    assert ask(signal, *busy[:3], silent("e", row(10))) == NoData(
        Reason.COVERAGE,
        "too few targets answered to speak for all: pod e does not answer scrapes (timed out)",
    )


@pytest.mark.parametrize("signal", [QUEUE_SIGNAL, P99_SIGNAL])
def test_a_mean_or_quantile_is_not_idle_while_a_target_is_silent(signal: str) -> None:
    idle = [pod(name, row(p99_ms=math.nan)) for name in "abcd"]
    assert ask(signal, *idle, silent("e", row())) == NoData(
        Reason.NOT_ANSWERING, "idle only as far as can be seen: pod e does not answer scrapes (timed out)"
    )


def test_p99_is_of_all_requests_pooled_with_its_bounds() -> None:
    """Of a thousand requests five took 80 ms: p99 is below that, though one pod's own p99 is 80 ms."""
    fleet = pod("a", row(995, p99_ms=20)), pod("b", row(5, p99_ms=80)), pod("c", row(0, p99_ms=math.nan))
    answer = ask(P99_SIGNAL, *fleet)
    assert answer == Value(
        20.0,
        1.0,
        30,
        labels={
            "estimate": "pooled",
            "estimated_from": "summary",
            "lower_bound": "20.000",
            "upper_bound": "20.000",
        },
    )
    slow = number(ask(P99_SIGNAL, pod("a", row(900, p99_ms=20)), pod("b", row(100, p99_ms=80))))
    assert slow == 80.0


def test_an_answer_says_where_its_numbers_were_read_and_an_error_in_whose_eyes_a_pod_is_missing() -> None:
    settings = Settings(source="prometheus")
    answer = ask(RATE, pod("a", row(30)), settings=settings)
    assert answer == Value(1.0, 1.0, 30, labels={"source": "prometheus"})
    late = [pod("a", row(30), age=11), pod("a", row(30), age=11, failure="Prometheus has no sample of it")]
    assert [ask(RATE, state, settings=settings) for state in late] == [
        NoData(Reason.NOT_ANSWERING, "pod a is not seen (its newest sample in Prometheus is too old)"),
        NoData(Reason.NOT_ANSWERING, "pod a is not seen (Prometheus has no sample of it)"),
    ]


def test_p99_of_an_idle_fleet_is_idle() -> None:
    labels = {"estimate": "pooled", "estimated_from": "nothing"}
    assert ask(P99_SIGNAL, pod("a", row(p99_ms=math.nan))) == Value(0.0, 1.0, 30, True, labels)


def test_p99_that_is_nan_while_requests_complete_is_no_data() -> None:
    assert ask(P99_SIGNAL, pod("a", row(5, p99_ms=math.nan))) == NoData(
        Reason.NO_SUMMARIES,
        "pod a: model 'm' completes requests, and its summary does not tell of them yet",
    )


def test_p99_without_summaries_is_no_data_with_the_remedy() -> None:
    assert ask(P99_SIGNAL, pod("a", row(5))) == NoData(
        Reason.NO_SUMMARIES,
        "pod a does not show nv_inference_request_summary_us: start Triton with --metrics-config summary_latencies=true (and 0.99 "
        "among its summary_quantiles), or from 26.01 on with histogram_latencies=true",
    )


def test_p99_of_a_model_with_the_response_cache_on_says_that_it_is_the_cache() -> None:
    answer = ask(P99_SIGNAL, pod("a", row(5), facts={"m": ModelFacts(response_cache=True)}))
    assert isinstance(answer, NoData)
    assert answer.reason is Reason.RESPONSE_CACHE
    assert answer.message.startswith(
        "pod a: a model with the response cache on has no nv_inference_request_summary_us; from Triton 26.01"
    )


# Truth 5: hung servers


@pytest.mark.parametrize("signal", [RATE, QUEUE_SIGNAL, P99_SIGNAL])
def test_a_model_that_completes_nothing_for_a_window_is_no_data(signal: str) -> None:
    busy = row(30, pending=4, p99_ms=1)
    assert number(ask(signal, pod("a", row(30, pending=4, p99_ms=1, stalled=30)))) == number(
        ask(signal, pod("a", busy))
    )
    assert ask(signal, pod("a", row(30, pending=4, p99_ms=1, stalled=31))) == HANG


def test_concurrency_and_pending_see_a_hang_by_what_waits() -> None:
    hung = pod("a", row(30, compute_s=60, pending=40, stalled=300))
    assert (number(ask(CONCURRENCY, hung)), number(ask(PENDING_SIGNAL, hung))) == (42.0, 40.0)


def test_a_hang_that_was_there_at_first_sight_has_no_rates() -> None:
    """After a restart of the daemon: what waits is seen, what is computed is not."""
    hung = pod("a", row(0, pending=40, stalled=31, seconds=0.0))
    assert [ask(signal, hung) for signal in (RATE, CONCURRENCY)] == [HANG, HANG]
    assert number(ask(PENDING_SIGNAL, hung)) == 40.0


@pytest.mark.parametrize("signal", MODEL_SIGNALS)
def test_busy_turning_flat_without_the_pending_gauge_is_no_data(signal: str) -> None:
    assert ask(signal, pod("a", row(0, pending=None, p99_ms=1))) == NoData(
        Reason.CANNOT_TELL_IDLE,
        "pod a: model 'm' completes nothing, and without nv_inference_pending_request_count (Triton 23.09 or newer) "
        "idle cannot be told from hung",
    )


def test_busy_without_the_pending_gauge_has_a_rate_and_no_concurrency() -> None:
    old = pod("a", row(30, pending=None))
    assert number(ask(RATE, old)) == 1.0
    assert ask(CONCURRENCY, old) == NoData(
        Reason.FAMILY_ABSENT,
        "pod a does not show nv_inference_pending_request_count: this gauge needs Triton 23.09 or newer",
    )


@pytest.mark.parametrize("waiting", [row(0, pending=0.5, now_pending=0), row(0, pending=0, now_pending=1)])
def test_a_fleet_with_requests_waiting_is_not_idle(waiting: object) -> None:
    answer = ask(QUEUE_SIGNAL, pod("a", waiting))  # type: ignore[arg-type]
    assert isinstance(answer, NoData)


# Truth 6: decoupled models

DECOUPLED = ModelFacts(decoupled=True)


@pytest.mark.parametrize("signal", MODEL_SIGNALS)
@pytest.mark.parametrize("requests", [0.0, 30.0])
def test_a_decoupled_model_has_a_request_rate_and_nothing_made_of_durations(
    signal: str, requests: float
) -> None:
    answer = ask(signal, pod("a", row(requests, p99_ms=1), facts={"m": DECOUPLED}))
    if signal == RATE:
        assert number(answer) == requests / WINDOW
    else:
        assert answer == NoData(
            Reason.DECOUPLED,
            f"model 'm' is decoupled: what {signal} is made of does not see its work; use triton_request_rate, or leave the "
            "model out of the selector",
        )


def test_a_decoupled_model_that_is_not_selected_is_not_in_the_way() -> None:
    server = pod("a", {"m": row(30), "llm": row(5)}, facts={"m": PLAIN, "llm": DECOUPLED})
    assert number(ask(CONCURRENCY, server, selector="model!=llm")) == 0.0


@pytest.mark.parametrize("signal", MODEL_SIGNALS)
def test_a_model_of_unknown_kind_is_no_data(signal: str) -> None:
    answer = ask(signal, pod("a", row(30, p99_ms=1), facts={}))
    assert isinstance(answer, NoData)
    assert (answer.reason, "http://a:8000" in answer.message) == (Reason.MODEL_KIND_UNKNOWN, True)


def test_a_models_kind_may_be_declared_or_read_from_another_pod_of_the_workload() -> None:
    unread, read = pod("a", row(30), facts={}), pod("b", row(30))
    assert number(ask(RATE, unread, read)) == 2.0
    assert number(ask(RATE, unread, settings=Settings(models={"m": PLAIN}))) == 1.0
    stranger = pod("b", row(30), workload="other")
    assert isinstance(ask(RATE, unread, stranger), NoData)


# Truth 1: an ensemble or its parts, never both

OUTER, INNER = ModelFacts(parts=("inner", "c")), ModelFacts(parts=("a", "b"))
FACTS = {"outer": OUTER, "inner": INNER, "a": PLAIN, "b": PLAIN, "c": PLAIN}
NESTED = pod("p", {name: row(30, compute_s=30, p99_ms=9) for name in FACTS}, facts=FACTS)


@pytest.mark.parametrize(
    ("selector", "rate", "concurrency"),
    [
        ("model=a", 1, 1),
        ("model=inner", 1, 2),
        ("model=outer", 1, 3),
        ("model in (inner,a)", 2, 2),
        ("model in (outer,inner)", 2, 3),
        ("model in (outer,a)", 3, 3),
        ("model in (outer,c)", 2, 3),
        ("", 3, 3),
    ],
)
def test_an_ensemble_or_its_parts_never_both(selector: str, rate: float, concurrency: float) -> None:
    """Requests of an ensemble are its own where it is selected alone; its computing is always that of its parts."""
    assert number(ask(RATE, NESTED, selector=selector)) == rate
    assert number(ask(CONCURRENCY, NESTED, selector=selector)) == concurrency


def test_an_ensemble_of_itself_ends() -> None:
    facts = {"x": ModelFacts(parts=("y",)), "y": ModelFacts(parts=("x",))}
    assert isinstance(ask(CONCURRENCY, pod("p", {"x": row(1), "y": row(1)}, facts=facts)), NoData | Value)


def test_an_ensemble_with_a_part_of_unknown_kind_is_no_data() -> None:
    facts = {name: found for name, found in FACTS.items() if name != "b"}
    answer = ask(
        CONCURRENCY, pod("p", {name: row(30) for name in FACTS}, facts=facts), selector="model=outer"
    )
    assert isinstance(answer, NoData)
    assert answer.reason is Reason.MODEL_KIND_UNKNOWN


@pytest.mark.parametrize("hung", ["a", "c"])
def test_an_ensembles_own_rate_is_no_data_when_a_part_deep_inside_hangs(hung: str) -> None:
    """The ensemble's own pending gauge is always zero."""
    rows = {name: row(0) for name in FACTS} | {hung: row(0, pending=2, stalled=11)}
    answer = ask(RATE, pod("p", rows, facts=FACTS), selector="model=outer")
    assert answer == NoData(
        Reason.STALLED, "pod p: requests wait for model 'outer' and none completes; it may hang"
    )


# GPU memory


def test_gpu_memory_is_of_distinct_gpus() -> None:
    """Two pods share GPU x: it counts once."""
    fleet = pod("a", row(), gpu=gpus(x=(6, 10))), pod("b", row(), gpu=gpus(x=(6, 10), y=(0, 20)))
    assert ask(MEMORY_SIGNAL, *fleet) == Value(0.2, 1.0, 30)


def test_a_gpu_that_triton_cannot_read_is_missing_and_the_pods_other_gpu_does_not_stand_for_it() -> None:
    broken = pod("a", row(), gpu=gpus(x=(6, 10), y=(0, 0)))
    told = (
        "pod a shows a GPU of 0 bytes, as Triton does of one that it cannot read: "
        "Triton shows GPU memory only where DCGM sees the GPU (not on CPU-only builds, MIG or some vGPU)"
    )
    assert ask(MEMORY_SIGNAL, broken) == NoData(Reason.FAMILY_ABSENT, told)
    others = [pod(name, row(), gpu=gpus(**{name: (2, 10)})) for name in "bcde"]
    assert ask(MEMORY_SIGNAL, broken, *others) == Value(0.2, 1.0, 30)
    assert isinstance(ask(MEMORY_SIGNAL, broken, *others[:3]), NoData)


def test_absent_gpu_memory_is_no_data_with_the_remedy() -> None:
    answer = ask(MEMORY_SIGNAL, pod("a", row(30)))
    assert isinstance(answer, NoData)
    assert (answer.reason, "MIG" in answer.message) == (Reason.FAMILY_ABSENT, True)


# Selection


@pytest.mark.parametrize(
    ("selector", "rate"),
    [
        ("workload=w", 1),
        ("workload in (w,v)", 3),
        ("workload!=w", 2),
        ("node=n1", 1),
        ("!node", 2),
        ("tier=gold", 2),
        ("tier!=gold", 1),
        ("model=m,tier=gold", 2),
        ("version=1", 1),
        ("version!=1,model=m", 2),
    ],
)
def test_labels_of_pods_and_models_select(selector: str, rate: float) -> None:
    fleet = (
        pod("a", row(30), node="n1"),
        pod("b", row(60), workload="v", labels={"tier": "gold", "other": "x"}, version="2"),
    )
    assert number(ask(RATE, *fleet, selector=selector, settings=Settings(pod_labels=("tier",)))) == rate


def test_a_label_that_no_series_has_is_named() -> None:
    assert ask(RATE, pod("a", row(30)), selector="tier=gold") == NoData(
        Reason.UNKNOWN_LABEL,
        "label 'tier' cannot be selected; selectable here: model, version, workload, node",
    )


def test_a_model_that_no_pod_serves_is_named_with_those_served() -> None:
    server = pod("a", {"m": row(30), "n": row()})
    assert ask(RATE, server, selector="model=x") == NoData(
        Reason.NO_SERIES, "no model matches 'model=x'; the selected pods serve m, n"
    )


def test_what_an_unload_left_behind_is_no_model() -> None:
    left = pod("a", {"m": row(30)})
    rows = dict(left.windows[WINDOW].rows)
    leftover = row(0)
    rows[RowKey("gone", "1", "")] = type(leftover)(30.0, {"nv_inference_request_failure": 0.0}, {}, {})
    windows = {WINDOW: type(left.windows[WINDOW])(999.0, True, rows)}
    state = type(left)(left.target, 0.0, windows, None, left.models)
    assert number(ask(RATE, state)) == 1.0


def test_a_value_that_no_hpa_can_use_is_no_data() -> None:
    assert ask(RATE, pod("a", row(1e300))) == NoData(
        Reason.NOT_REPRESENTABLE,
        f"{RATE} came out as a number that no HPA can use: NaN, infinite, negative or past 64 bits",
    )
