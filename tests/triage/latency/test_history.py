"""Measures put together: over pods, versions and sources, and never more than was measured."""

import pytest

from tests.triage.latency.evidence import (
    START,
    STEP,
    evidence,
    gateway,
    history,
    measured,
    nothing_of,
    placed,
    platform,
    triton,
    values_of,
)
from triage.cluster_views import PodPlacement
from triage.latency.facts import Ranges
from triage.latency.history import History, View, Who
from triage.latency.kinds import By
from triage.latency.measures import Measure
from triage.latency.quantities import Quantity

NEW, OLD = "llm-7c5d8b9f6d-x2v9k", "llm-6b4c7d8f9c-q8w2z"


def test_requests_of_pods_and_versions_are_added() -> None:
    told = history(
        triton("success", [1, 2], pod="a", model="m", version="1"),
        triton("success", [3, 4], pod="b", model="m", version="1"),
        triton("success", [5, 6], pod="b", model="m", version="2"),
    )
    assert values_of(told, "throughput") == [9, 12]


def test_of_tails_the_worst_pod_counts_and_of_busy_gpus_their_mean() -> None:
    told = history(
        triton("request_p99", [5, 50], pod="a", model="m"),
        triton("request_p99", [7, None], pod="b", model="m"),
        triton("gpu_busy", [0.2, 0.4], gpu="0"),
        triton("gpu_busy", [0.8, None], gpu="1"),
    )
    assert (values_of(told, "p99"), values_of(told, "gpu_busy")) == ([7, 50], [0.5, 0.4])


def test_of_the_gpus_memory_that_is_free_the_least_counts() -> None:
    told = history(
        platform("gpu_device_memory_used", [60], gpu="0"),
        platform("gpu_device_memory_used", [70], gpu="1"),
        platform("gpu_device_memory_free", [20], gpu="0"),
        platform("gpu_device_memory_free", [10], gpu="1"),
    )
    assert values_of(told, "gpu_device_memory_share") == [round(65 / 75, 6)]


def test_time_per_request_is_a_ratio_of_sums() -> None:
    """A pod of one slow request beside a busy fast one hardly moves it; the mean of ratios would say 505 ms."""
    told = history(
        triton("success", [99.0], pod="busy", model="m"),
        triton("request_time", [990.0], pod="busy", model="m"),
        triton("success", [1.0], pod="idle", model="m"),
        triton("request_time", [1000.0], pod="idle", model="m"),
    )
    assert values_of(told, "latency") == [19.9]


def test_where_nothing_was_measured_or_requested_there_is_no_number() -> None:
    told = history(
        triton("success", [10, None, 0, 10], pod="a", model="m"),
        triton("request_time", [100, 100, 0, None], pod="a", model="m"),
    )
    assert values_of(told, "latency") == [10, None, None, None]
    assert values_of(told, "throughput") == [10, None, 0, 10]


def test_a_measure_that_nobody_brought_is_told_with_its_reason() -> None:
    told = history(triton("success", [1], pod="a", model="m"), nothing_of("triton/queue_time", "forbidden"))
    assert (told.read("queue").trace, told.read("queue").missing) == (
        None,
        "source of triton/queue_time: forbidden",
    )
    assert told.read("latency").missing == "no source tells the time in Triton of requests that ended well"


def test_failures_that_a_source_has_no_series_of_are_zero() -> None:
    answered = evidence("triton/failure", "triton", Ranges("failure", START, STEP, 2, 0.0, ()))
    success = triton("success", [10, 10], pod="a", model="m")
    assert values_of(history(success, answered), "failure_share") == [0, 0]
    assert values_of(history(success, nothing_of("triton/failure", "no_series")), "arrivals") == [10, 10]
    assert values_of(history(success), "arrivals") == [10, 10]  # a Triton that has counted none shows none


def test_errors_at_the_gateway_are_its_answers_of_that_code_alone() -> None:
    told = history(
        gateway("gateway_requests", [9, 9, 9], code="2xx"),
        gateway("gateway_requests", [None, 1, 2], code="5xx"),
    )
    assert values_of(told, "gateway_traffic") == [9, 10, 11]
    assert values_of(told, "gateway_errors") == [0, 1, 2]


def test_failures_that_could_not_be_read_are_not_zero() -> None:
    success = triton("success", [10, 10], pod="a", model="m")
    told = history(success, nothing_of("triton/failure", "timeout"))
    assert (values_of(told, "failure_share"), values_of(told, "arrivals")) == (None, None)
    assert told.read("arrivals").missing == "source of triton/failure: timeout"


def test_a_quantity_of_optional_measures_alone_is_unknown_where_none_is_there() -> None:
    only = Quantity(quantity="q", says="q", unit="u", sum=("failure",), optional=("failure",))
    measure = Measure(
        measure="failure", family="f", kind="rate", unit="u", by=("model",), says="requests that failed"
    )
    told = History((), {"failure": measure}, {"q": only})
    assert told.read("q").trace is None


def test_the_residual_is_what_is_neither_queue_nor_compute() -> None:
    parts = {"request_time": 100, "queue_time": 20, "input_time": 5, "infer_time": 60, "output_time": 5}
    told = history(
        triton("success", [10], pod="a", model="m"),
        *(triton(name, [value], pod="a", model="m") for name, value in parts.items()),
    )
    assert (values_of(told, "residual"), values_of(told, "compute"), values_of(told, "computing")) == (
        [1],
        [7],
        [0.07],
    )


@pytest.mark.parametrize(
    ("of", "found"), [("model", [1.0]), ("others", [6.0]), ("all", [7.0])], ids=["model", "others", "all"]
)
def test_the_model_in_question_is_told_from_the_others(of: str, found: list[float]) -> None:
    told = history(
        triton("success", [1], pod="a", model="m"),
        triton("success", [2], pod="a", model="n"),
        triton("success", [4], pod="b", model="o"),
    )
    assert values_of(told, "throughput", Who("m", of)) == found  # type: ignore[arg-type]


def test_what_has_no_model_is_everybodys() -> None:
    told = history(platform("cpu_throttled", [0.5], pod="a"))
    assert values_of(told, "throttled", Who("m", "model")) == [0.5]


def test_the_same_told_twice_is_not_counted_twice() -> None:
    """Prometheus and a capture both tell of requests: the first counts."""
    told = history(
        triton("success", [10, 10], pod="a", model="m"),
        measured("capture/success", [11, 11], {"pod": "a", "model": "m"}),
        measured("triton_pods/success", [10, 10], {"pod": "a", "model": "m"}),
    )
    assert values_of(told, "throughput") == [10, 10]
    assert told.read("throughput").evidence == ("triton/success",)


def test_pods_are_told_apart_by_the_source_that_can() -> None:
    told = history(
        triton("success", [30], model="m"),
        measured("triton_pods/success", [10], {"pod": "a", "model": "m"}),
        measured("triton_pods/success", [20], {"pod": "b", "model": "m"}),
    )
    assert values_of(told, "throughput", Who("m", "model")) == [30]
    assert told.groups("throughput", "pod", Who("m", "model")) == ["a", "b"]


def test_a_source_without_series_leaves_the_word_to_the_next() -> None:
    none = evidence("triton/success", "triton", Ranges("success", START, STEP, 1, 0.0, ()))
    told = history(none, measured("capture/success", [4], {"model": "m"}))
    assert values_of(told, "throughput") == [4]


def test_scrapes_of_several_servers_are_added_on_one_grid() -> None:
    told = history(
        measured("capture/success:a", [1, 1, 1], {"pod": "a", "model": "m"}, start=100.0, step=1.0),
        measured("capture/success:b", [10, 20, 30], {"pod": "b", "model": "m"}, start=100.9, step=1.0),
    )
    assert values_of(told, "throughput") == [1, 11, 21]
    assert told.read("throughput").evidence == ("capture/success:a", "capture/success:b")


def test_scrapes_at_other_intervals_are_put_on_the_first_grid_and_not_added_to_themselves() -> None:
    told = history(
        measured("capture/success:a", [1, 1, 1], {"pod": "a", "model": "m"}, start=100.0, step=2.0),
        measured(
            "capture/success:b", [10, 20, 30, 40, 50], {"pod": "b", "model": "m"}, start=100.0, step=1.0
        ),
    )
    assert values_of(told, "throughput") == [11, 31, 51]


def test_two_grids_that_do_not_fit_give_no_quantity() -> None:
    told = history(
        gateway("gateway_p99", [90.0, 90.0], model="m"),
        measured("capture/request_p99", [10.0], {"model": "m"}, step=1.0),
    )
    assert told.read("gap").missing == (
        "the 99th percentile at the gateway above Triton's comes from two sources that do not fit together"
    )


def test_grids_that_begin_apart_are_laid_over_each_other() -> None:
    told = history(
        gateway("gateway_p99", [90.0, 91.0, 92.0], model="m"),
        measured("triton/request_p99", [10.0, 10.0], {"model": "m"}, start=START + STEP),
    )
    assert values_of(told, "gap") == [None, 81, 82]


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ("pod", [OLD, NEW]),
        ("version", ["1", "2"]),
        ("node", ["n1", "n2"]),
        ("revision", ["6b4c7d8f9c", "7c5d8b9f6d"]),
        ("model", ["m"]),
        ("gpu", []),
    ],
)
def test_groups_are_told_by_labels_placements_and_the_hash_in_a_pods_name(by: By, found: list[str]) -> None:
    told = history(
        placed(PodPlacement(OLD, "n1"), PodPlacement(NEW, "n2")),
        triton("success", [1], pod=OLD, model="m", version="1"),
        triton("success", [2], pod=NEW, model="m", version="2"),
    )
    assert told.groups("throughput", by, Who()) == found
    if found:
        whole = [values_of(told, "throughput", Who(by=by, group=group)) for group in found]
        assert whole == ([[1], [2]] if len(found) == 2 else [[3]])


def test_the_clusters_own_word_for_a_revision_comes_before_the_pods_name() -> None:
    told = history(
        placed(PodPlacement("llm-0", revision="llm-5f"), PodPlacement(NEW, revision="other")),
        triton("success", [1], pod="llm-0"),
        triton("success", [1], pod=NEW),
        triton("success", [1], pod="llm-1"),  # a StatefulSet's: the name tells nothing
    )
    assert told.groups("throughput", "revision", Who()) == ["llm-5f", "other"]


def test_an_earlier_day_and_the_close_view_are_other_evidence_and_never_mixed_with_the_window() -> None:
    told = history(
        triton("success", [10], pod="a", model="m"),
        measured("close/success", [9], {"model": "m"}, step=15),
        measured("past/success/1d", [4], {"model": "m"}, start=START - 86_400),
        measured("past/success/7d", [5], {"model": "m"}, start=START - 604_800),
    )
    views: tuple[View, ...] = ("", "close", "1d", "7d")
    assert [values_of(told, "throughput", view=view) for view in views] == [[10], [9], [4], [5]]
    assert values_of(history(measured("past/success/1d", [4], {"model": "m"})), "throughput") is None


def test_numbers_too_large_to_divide_are_no_number() -> None:
    told = history(triton("success", [1e-300], model="m"), triton("request_time", [1e17], model="m"))
    assert values_of(told, "latency") == [None]
