"""What each of the signals beside the first says, on small fleets: the number, and the missing one with its remedy."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from autoscaler.answer import NoData, Reason, Value
from autoscaler.evaluate import evaluate
from autoscaler.gateway_evaluate import is_gateway
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import needed_families
from telemetry.exposition import SeriesTable, parse_exposition
from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.target import Phase, PodKey, Target, Workload
from telemetry.window import PodHistory
from tests.autoscaler.fleet import NOW, SIGNALS, ask, number, pod, row

NAMES = 'model="m",version="1"'
COUNTED = {
    "nv_inference_request_success": 0.0,
    "nv_inference_request_failure": 0.0,
    "nv_inference_count": 0.0,
    "nv_inference_exec_count": 0.0,
    "nv_inference_queue_duration_us": 0.0,
    "nv_inference_compute_input_duration_us": 0.0,
    "nv_inference_compute_infer_duration_us": 0.0,
    "nv_inference_compute_output_duration_us": 0.0,
    "nv_inference_pending_request_count": 0.0,
}


def page(values: Mapping[str, float]) -> str:
    """The lines of a page; a name without labels is of model m."""
    return "".join(
        f"{name} {value}\n" if "{" in name else f"{name}{{{NAMES}}} {value}\n"
        for name, value in (COUNTED | dict(values)).items()
    )


def served(
    name: str, increase: Mapping[str, float], *, facts: ModelFacts | None = None, counters_off: bool = False
) -> PodState:
    """A pod whose counters grew by so much over a window of 30 s, through the histories that read real pages."""
    history, table = PodHistory(needed_families(SIGNALS), {30.0}, 5.0), SeriesTable()
    for step in range(7):
        grown = {
            family: value if _is_gauge(family) else 1000.0 + value * step / 6
            for family, value in (COUNTED | dict(increase)).items()
        }
        windows = history.add(NOW - 31 + 5 * step, parse_exposition(page(grown), table))
    target = Target(
        PodKey("prod", name, f"uid-{name}"),
        "http://a",
        "http://a",
        Phase.RUNNING,
        ready=True,
        workload=Workload("Deployment", "w"),
        counters_off=counters_off,
    )
    return PodState(target, NOW - 500, windows, None, {"m": facts or ModelFacts()})


def _is_gauge(family: str) -> bool:
    return "pending" in family or family.startswith(("nv_trt_llm", "vllm:")) or "summary" in family


def test_throughput_counts_inferences() -> None:
    fleet = served("a", {"nv_inference_count": 240}), served("b", {"nv_inference_count": 60})
    assert number(ask("triton_inference_throughput", *fleet)) == pytest.approx(10.0)


def test_batch_size_is_inferences_over_executions_of_all_pods() -> None:
    fleet = (
        served("a", {"nv_inference_count": 240, "nv_inference_exec_count": 30}),
        served("b", {"nv_inference_count": 10, "nv_inference_exec_count": 10}),
    )
    assert number(ask("triton_batch_size", *fleet)) == pytest.approx(6.25)
    assert isinstance(ask("triton_batch_size", served("a", {})), NoData), "of nothing there is no mean size"


def test_failure_ratio() -> None:
    busy = {"nv_inference_request_success": 90, "nv_inference_request_failure": 10}
    assert number(ask("triton_failure_ratio", served("a", busy))) == pytest.approx(0.1)
    assert ask("triton_failure_ratio", served("a", {})) == Value(0.0, 1.0, 30, idle=True)
    all_fail = served("a", {"nv_inference_request_failure": 10})
    assert number(ask("triton_failure_ratio", all_fail)) == pytest.approx(1.0)


def test_cache_hits_over_lookups_of_the_models_that_have_a_cache() -> None:
    hits, misses = "nv_cache_num_hits_per_model", "nv_cache_num_misses_per_model"
    fleet = served("a", {hits: 30, misses: 10}), served("b", {"nv_inference_request_success": 9})
    assert number(ask("triton_cache_hit_ratio", *fleet)) == pytest.approx(0.75)
    answer = ask("triton_cache_hit_ratio", fleet[1])
    assert isinstance(answer, NoData)
    assert answer.reason is Reason.FAMILY_ABSENT
    assert "no response cache here" in answer.message


WAITED = {
    "nv_inference_request_success": 100,
    "nv_inference_queue_duration_us": 3e6,
    "nv_inference_compute_input_duration_us": 1e5,
    "nv_inference_compute_infer_duration_us": 8e5,
    "nv_inference_compute_output_duration_us": 1e5,
}


def test_queue_share_is_bounded() -> None:
    known = ModelFacts(queue_delay_us=0)
    assert number(ask("triton_queue_share", served("a", WAITED, facts=known))) == pytest.approx(0.75)
    assert ask("triton_queue_share", served("a", {}, facts=known)) == Value(0.0, 1.0, 30, idle=True)


def test_queue_share_leaves_out_what_a_batcher_was_told_to_wait() -> None:
    """30 ms a request, of which 25 ms were on purpose."""
    told = ModelFacts(queue_delay_us=25_000)
    assert number(ask("triton_queue_share", served("a", WAITED, facts=told))) == pytest.approx(0.5 / 1.5)
    longer = ModelFacts(queue_delay_us=50_000)
    assert number(ask("triton_queue_share", served("a", WAITED, facts=longer))) == 0.0


def test_nvidias_names_have_sums_behind_them() -> None:
    fleet = served("a", WAITED), served("b", {})
    assert number(ask("triton:queue_compute:ratio", *fleet)) == pytest.approx(3.75)
    assert number(ask("avg_time_queue_us", *fleet)) == pytest.approx(30_000)


def computed(seconds: float) -> dict[str, float]:
    return {f"statistics:compute_ns{{{NAMES}}}": seconds * 1e9}


def test_busy_fraction_is_of_all_instances() -> None:
    """One pod of two instances, each busy for half of the window, and an idle one."""
    two = ModelFacts(instances=2)
    fleet = served("a", computed(30.0), facts=two), served("b", computed(0.0), facts=two)
    assert number(ask("triton_busy_fraction", *fleet)) == pytest.approx(0.25)


def test_what_people_declare_of_a_model_hides_nothing_of_its_configuration() -> None:
    """30 of 60 seconds of two instances; 30 ms a request in the queue, of which 25 ms were on purpose."""
    configured = ModelFacts(queue_delay_us=25_000, instances=2)
    read = served("a", WAITED | computed(30.0), facts=configured)
    declared = Settings(models={"m": ModelFacts()})
    assert number(ask("triton_busy_fraction", read, settings=declared)) == pytest.approx(0.5)
    assert number(ask("triton_queue_share", read, settings=declared)) == pytest.approx(0.5 / 1.5)


@pytest.mark.parametrize("signal", ["triton_busy_fraction", "triton_queue_share"])
def test_instances_and_delays_of_a_declared_model_are_no_guess(signal: str) -> None:
    answer = ask(signal, served("a", WAITED | computed(30.0), facts=ModelFacts()))
    assert isinstance(answer, NoData)
    assert answer.reason is Reason.MODEL_KIND_UNKNOWN
    assert "open Triton's HTTP port" in answer.message


def test_a_server_that_tells_fewer_quantiles_is_read_as_far_as_it_tells() -> None:
    """`--metrics-config summary_quantiles="0.99:0.001"`, and one without the quantile in question."""
    shown = {f'nv_inference_request_summary_us{{{NAMES},quantile="0.99"}}': 20_000.0}
    fleet = served("a", {"nv_inference_request_success": 500, **shown})
    assert number(ask("triton_request_duration_p99_ms", fleet)) == pytest.approx(20.0, abs=0.2)
    without = ask("triton_request_duration_p95_ms", fleet)
    assert isinstance(without, NoData)
    assert without.reason is Reason.NO_SUMMARIES
    assert "0.95 among its summary_quantiles" in without.message


@pytest.mark.parametrize(("untold", "speaks"), [(100, True), (400, False)])
def test_p99_speaks_for_all_where_most_requests_are_told_of(untold: int, speaks: bool) -> None:
    """A pod that has just loaded the model completes requests, and its summary is empty."""
    fleet = pod("a", row(900, p99_ms=20)), pod("b", row(untold, p99_ms=math.nan))
    answer = ask("triton_request_duration_p99_ms", *fleet)
    assert isinstance(answer, Value) == speaks, answer
    assert speaks or (
        isinstance(answer, NoData) and answer.message.startswith("pod b: model 'm' completes requests")
    )


HISTOGRAM = "nv_inference_first_response_histogram_ms_bucket"


def buckets(**counts: float) -> dict[str, float]:
    return {
        f'{HISTOGRAM}{{{NAMES},le="{bound.lstrip("le").replace("inf", "+Inf")}"}}': count
        for bound, count in counts.items()
    }


def test_p99_out_of_histograms() -> None:
    shown = buckets(le100=900, le500=980, le2000=1000, leinf=1000)
    answer = ask(
        "triton_request_duration_p99_ms", served("a", {"nv_inference_request_success": 1000, **shown})
    )
    assert number(answer) == pytest.approx(1250.0)
    assert isinstance(answer, Value)
    assert answer.labels["estimated_from"] == "histogram"
    assert (answer.labels["lower_bound"], answer.labels["upper_bound"]) == ("500.000", "2000.000")
    assert number(ask("triton_request_duration_p95_ms", served("a", shown))) == pytest.approx(350.0)


def test_a_decoupled_models_p99_is_that_of_its_first_responses_or_none() -> None:
    decoupled = ModelFacts(decoupled=True)
    shown = buckets(le100=99, le500=100, leinf=100)
    seen = served("a", {"nv_inference_request_success": 100, **shown}, facts=decoupled)
    assert number(ask("triton_request_duration_p99_ms", seen)) == pytest.approx(100.0)
    unseen = ask(
        "triton_request_duration_p99_ms", served("a", {"nv_inference_request_success": 9}, facts=decoupled)
    )
    assert isinstance(unseen, NoData)
    assert unseen.reason is Reason.DECOUPLED


def trtllm(kind: str, label: str) -> str:
    return f"nv_trt_llm_{kind}{{{NAMES},{label}}}"


def test_tensorrt_llms_gauges_by_label() -> None:
    shown = {
        trtllm("request_metrics", 'request_type="waiting"'): 7.0,
        trtllm("request_metrics", 'request_type="active"'): 16.0,
        trtllm("request_metrics", 'request_type="max"'): 16.0,
        trtllm("kv_cache_block_metrics", 'kv_cache_block_type="used"'): 300.0,
        trtllm("kv_cache_block_metrics", 'kv_cache_block_type="max"'): 400.0,
        trtllm("kv_cache_block_metrics", 'kv_cache_block_type="free"'): 100.0,
    }
    fleet = [served(name, shown, facts=ModelFacts(decoupled=True)) for name in "ab"]
    assert number(ask("triton_trtllm_waiting_requests", *fleet)) == pytest.approx(14.0)
    assert number(ask("triton_trtllm_active_requests", *fleet)) == pytest.approx(32.0)
    assert number(ask("triton_trtllm_kv_cache_usage_ratio", *fleet)) == pytest.approx(0.75)


def test_an_engine_that_works_is_not_idle_because_no_request_has_completed() -> None:
    """Every counter of Triton flat, nothing pending: 16 answers are being generated."""
    shown = {trtllm("request_metrics", 'request_type="active"'): 16.0}
    answer = ask("triton_trtllm_active_requests", served("a", shown, facts=ModelFacts(decoupled=True)))
    assert isinstance(answer, Value)
    assert (answer.value, answer.idle) == (16.0, False)


def test_vllms_gauges() -> None:
    shown = {"vllm:num_requests_waiting": 3.0, "vllm:num_requests_running": 5.0}
    shares = (
        served("a", {**shown, "vllm:gpu_cache_usage_perc": 0.2}),
        served("b", {**shown, "vllm:gpu_cache_usage_perc": 0.6}),
    )
    fleet = [replace(state, models={"m": ModelFacts(decoupled=True)}) for state in shares]
    assert number(ask("triton_vllm_waiting_requests", *fleet)) == pytest.approx(6.0)
    assert number(ask("triton_vllm_running_requests", *fleet)) == pytest.approx(10.0)
    assert number(ask("triton_vllm_kv_cache_usage_ratio", *fleet)) == pytest.approx(0.4)
    beside = served("c", {}, facts=ModelFacts(decoupled=True))
    missing = ask("triton_vllm_kv_cache_usage_ratio", fleet[0], beside)
    assert isinstance(missing, NoData), "a pod without the gauge is not one of the others' mean"
    assert missing.message.startswith("pod c does not show vllm:gpu_cache_usage_perc")
    answer = ask("triton_vllm_waiting_requests", served("a", {}))
    assert isinstance(answer, NoData)
    assert "REPORT_CUSTOM_METRICS" in answer.message


def test_pods_are_counted_by_what_kubernetes_says_of_them() -> None:
    fleet = (
        pod("ready", row(30), node="n1"),
        pod("loading", ready=False, born=True, node="n1"),
        pod("pulling", phase=Phase.STARTING, ready=False, born=True, node="n2"),
        pod("crashing", phase=Phase.STOPPED, ready=False, node="n2"),
        pod("unplaced", phase=Phase.STARTING, ready=False, born=True),
        pod("leaving", phase=Phase.TERMINATING, ready=False, node="n1"),
    )
    of_kubernetes = {"source": "kubernetes"}
    assert ask("triton_loading_pods", *fleet) == Value(3.0, 0.0, 0, labels=of_kubernetes)
    assert ask("triton_pending_pods", *fleet) == Value(1.0, 0.0, 0, labels=of_kubernetes)
    assert ask("triton_pending_pods", fleet[0]) == Value(0.0, 0.0, 0, labels=of_kubernetes)
    assert ask("triton_pending_pods", *fleet, selector="node=n1") == Value(0.0, 0.0, 0, labels=of_kubernetes)


def test_pods_that_serve_nothing_yet_cannot_be_selected_by_model() -> None:
    answer = ask("triton_loading_pods", pod("a", ready=False), selector="model=m")
    assert isinstance(answer, NoData)
    assert answer.reason is Reason.UNKNOWN_LABEL
    assert ask("triton_loading_pods", selector="workload=x") == NoData(
        Reason.NO_TARGETS, "no Triton pod here matches 'workload=x'"
    )


ENSEMBLE = {"e": ModelFacts(parts=("m",)), "m": ModelFacts()}


def test_an_ensemble_stands_for_its_parts_where_its_callers_wait_for_it() -> None:
    rows = {"e": row(100, p99_ms=50), "m": row(100, p99_ms=10)}
    assert number(ask("triton_request_duration_p99_ms", pod("a", rows, facts=ENSEMBLE))) == 50.0
    only_part = ask("triton_request_duration_p99_ms", pod("a", rows, facts=ENSEMBLE), selector="model=m")
    assert number(only_part) == 10.0


def test_an_ensembles_version_selects_nothing_that_triton_counts() -> None:
    answer = ask("triton_request_rate", pod("a", {"e": row()}, facts=ENSEMBLE), selector="model=e,version=1")
    assert isinstance(answer, NoData)
    assert answer.reason is Reason.ENSEMBLE_VERSION


@pytest.mark.parametrize(
    "signal", ["triton_request_rate", "triton_inference_concurrency", "triton_queue_share"]
)
def test_counters_that_are_switched_off_are_not_idle(signal: str) -> None:
    answer = ask(signal, served("a", {}, counters_off=True))
    assert isinstance(answer, NoData)
    assert answer.reason is Reason.COUNTERS_OFF
    assert "--metrics-config counter_latencies=false" in answer.message


def test_what_only_gauges_say_needs_no_counters() -> None:
    waiting = {"nv_inference_pending_request_count": 2.0}
    assert number(ask("triton_pending_requests", served("a", waiting, counters_off=True))) == 2.0


def test_every_signal_says_idle_or_why_not_on_an_idle_fleet_and_never_a_number_from_nothing() -> None:
    idle = served("a", {})
    for name, signal in SIGNALS.items():
        if is_gateway(signal):  # made of nothing that a pod shows: tests/gateways
            continue
        answer = evaluate(signal, [idle], parse_selector(""), Settings(), NOW)
        assert isinstance(answer, NoData) or answer.value == 0.0, name
