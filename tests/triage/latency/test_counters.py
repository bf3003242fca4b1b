"""What scrapes of a live Triton say of its measures, page by page."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.triage.latency.pages import (
    BEGAN_AT,
    CPU_BUSY,
    FAILURE,
    GPU_BUSY,
    P99,
    PENDING,
    PENDING_PEAK,
    QUEUE_TIME,
    SUCCESS,
    Row,
    captured,
    failed,
    queued,
    served,
    waiting,
)
from triage.latency.counters import MAX_MODELS, SUMMARY_SECONDS, Capture, capture_ranges, lifetime
from triage.latency.facts import Lifetime, Ranges, Series

MEASURES = [SUCCESS, FAILURE, QUEUE_TIME, PENDING, P99]
M = {"pod": "web-1", "model": "m", "version": "1"}


def ranges(capture: Capture, measure: Row) -> Ranges:
    """Of the measure, read beside the others as in the field: what one counter tells of a model holds for all."""
    found = capture_ranges(capture, [measure, *(each for each in MEASURES if each != measure)])
    return found[0]


def values(capture: Capture, measure: Row = SUCCESS) -> Sequence[float | None]:
    (series,) = ranges(capture, measure).series
    return series.values


def test_a_rate_is_the_increase_between_two_scrapes_over_the_time_between_them() -> None:
    assert ranges(captured(served(10), served(13), served(13)), SUCCESS) == Ranges(
        "success", BEGAN_AT + 1, 1.0, 2, 1.0, (Series(M, (3.0, 0.0)),)
    )
    assert values(captured(served(0), served(6), served(10), at=[0.1, 1.3, 2.1])) == (5.0, 5.0)


def test_a_scrape_that_did_not_come_leaves_a_gap_and_the_next_one_has_the_gaps_average() -> None:
    """When in the gap it happened is not known, so the missed step is nothing, not a guess."""
    assert values(captured(served(0), served(4), None, None, served(10), served(11))) == (
        4.0,
        None,
        None,
        2.0,
        1.0,
    )


def test_without_the_first_scrape_rates_begin_a_step_later_and_gauges_do_not() -> None:
    capture = captured(None, served(4) + waiting(2), served(9) + waiting(0))
    assert (values(capture), values(capture, PENDING)) == ((None, 5.0), (2.0, 0.0))


def test_one_page_alone_has_gauges_and_no_rate() -> None:
    capture = captured(None, served(4) + waiting(2), None)
    assert (ranges(capture, SUCCESS).series, values(capture, PENDING)) == ((), (2.0, None))


def test_an_idle_model_is_zero_and_a_family_that_is_not_shown_is_no_series() -> None:
    idle = captured(served(7), served(7))
    assert (values(idle), ranges(idle, P99).series) == ((0.0,), ())


def test_a_counter_that_fell_began_again_at_zero() -> None:
    assert values(captured(served(100), served(3), served(5))) == (3.0, 2.0)


def test_with_one_counter_of_a_model_all_began_again_even_those_that_outgrew_their_past() -> None:
    """The model was loaded anew: but its failures are counted on, and another model's are its own."""
    capture = captured(
        served(9) + queued(1000) + failed(4) + queued(500, model="other") + served(9, model="other"),
        served(2) + queued(5000) + failed(5) + queued(800, model="other") + served(9, model="other"),
    )
    assert values(capture, FAILURE) == (1.0,)
    assert [(each.labels["model"], each.values) for each in ranges(capture, QUEUE_TIME).series] == [
        ("m", (5.0,)),
        ("other", (0.3,)),
    ]


def test_a_model_version_loaded_within_the_capture_counts_from_zero() -> None:
    """Triton makes all its series, at zero, when it loads the version: here beside one that was served before."""
    capture = captured(served(1), served(1) + served(4, "2"))
    assert [each.values for each in ranges(capture, SUCCESS).series] == [(0.0,), (4.0,)]


def test_a_series_that_joins_others_of_its_version_has_an_unknown_past() -> None:
    """As when an instance on one more GPU is added: what it counted before it was seen is not known."""
    capture = captured(served(1), served(1) + queued(9000), served(1) + queued(9500))
    assert values(capture, QUEUE_TIME) == (None, 0.5)


def test_failures_that_survived_an_unload_do_not_hide_that_the_model_was_loaded_anew() -> None:
    capture = captured(served(5) + failed(2), failed(2), served(3) + failed(2))
    assert (values(capture), values(capture, FAILURE)) == ((None, 3.0), (0.0, 0.0))


def test_a_model_that_was_unloaded_is_nothing_from_then_on_and_never_zero() -> None:
    gone = 'inference_request_success{model="other",version="1"} 0'
    capture = captured(served(1) + gone, served(2) + gone, gone, gone)
    assert [each.values for each in ranges(capture, SUCCESS).series] == [
        (1.0, None, None),
        (0.0, 0.0, 0.0),
    ]


def test_twins_of_a_model_on_a_gpu_are_followed_one_by_one_and_summed() -> None:
    """One has the traffic and one the gauge; that one of them fell is no fall of their sum's."""
    capture = captured(
        served(0) + served(10, gpu="GPU-1") + waiting(3), served(0) + served(14, gpu="GPU-1") + waiting(1)
    )
    assert (values(capture), values(capture, PENDING)) == ((4.0,), (1.0,))
    begun_again = captured(served(8) + served(10, gpu="GPU-1"), served(9) + served(2, gpu="GPU-1"))
    assert values(begun_again) == (11.0,)


def test_a_gauge_is_what_it_stood_at_whether_mean_or_peak() -> None:
    capture = captured(waiting(9), waiting(0), None, waiting(4))
    for measure in (PENDING, PENDING_PEAK):
        found = ranges(capture, measure)
        assert (found.smear, found.series) == (0.0, (Series(M, (0.0, None, 4.0)),))


def test_a_quantile_is_the_larger_of_its_twins_and_without_traffic_is_nothing() -> None:
    def p99(value: str, twin: str) -> str:
        line = 'inference_request_summary_us{model="m",version="1",'
        return (
            f'{line}quantile="0.5"}} 1000;{line}quantile="0.99"}} {value};'
            f'{line}gpu_uuid="GPU-1",quantile="0.99"}} {twin}'
        )

    capture = captured(p99("Nan", "1"), p99("Nan", "2500"), p99("Nan", "Nan"), p99("2000", "3000.5"))
    found = ranges(capture, P99)
    assert (found.smear, found.series) == (SUMMARY_SECONDS, (Series(M, (2.5, None, 3.0005)),))


def test_labels_are_in_our_names_and_others_are_summed_away() -> None:
    page = (
        'gpu_utilization{gpu_uuid="GPU-1"} 0.5;gpu_utilization{gpu_uuid="GPU-2"} 1;cpu_utilization 0.25;'
        + failed(2, "BACKEND")
        + failed(1)
    )
    capture = captured(page, page)
    assert [each.labels for each in ranges(capture, GPU_BUSY).series] == [
        {"pod": "web-1", "gpu": "GPU-1"},
        {"pod": "web-1", "gpu": "GPU-2"},
    ]
    assert [each.labels for each in ranges(capture, CPU_BUSY).series] == [{"pod": "web-1"}]
    assert [each.labels["reason"] for each in ranges(capture, FAILURE).series] == ["BACKEND", "OTHER"]
    together = Row("failure", FAILURE.family)
    assert [each.labels for each in ranges(capture, together).series] == [M]


@pytest.mark.parametrize("nonsense", ["Nan", "+Inf", "-1"])
def test_a_counter_that_is_no_number_is_nothing_and_spoils_no_step_after_the_next(nonsense: str) -> None:
    page = f'inference_request_success{{model="m",version="1"}} {nonsense};' + queued(0)
    capture = captured(served(1) + queued(0), page, served(3) + queued(0), served(5) + queued(0))
    assert values(capture) == (None, None, 2.0)


def test_numbers_have_six_digits() -> None:
    assert values(captured(served(0), served(10) + "", at=[0, 3])) == (3.33333,)


def test_the_lifetime_is_what_the_first_page_had_counted() -> None:
    capture = captured(None, served(40) + queued(7000) + waiting(3), served(45) + queued(9000))
    assert lifetime(capture, [SUCCESS, QUEUE_TIME, FAILURE, PENDING, P99]) == Lifetime(
        {"success": (Series(M, (40.0,)),), "queue_time": (Series(M, (7.0,)),)}
    )
    assert lifetime(captured(None, None), [SUCCESS]) is None


def test_of_too_many_models_those_with_requests_are_kept_and_the_one_in_question() -> None:
    """One that hangs completes nothing: it waits, and that counts."""

    def page(done: int) -> str:
        idle = "".join(served(9, model=f"idle{n:03}") for n in range(MAX_MODELS + 50))
        return (
            idle
            + "cpu_utilization 1;"
            + served(9, model="zz-asked")
            + served(done, model="zz-busy")
            + waiting(4, "zz-hung")
        )

    found = ranges(captured(page(0), page(5), model="zz-asked"), SUCCESS)
    names = [each.labels["model"] for each in found.series]
    assert (found.cut, names[-2:], len(names)) == (True, ["zz-asked", "zz-busy"], MAX_MODELS - 1)
    assert ranges(captured(page(0), page(5)), PENDING).series[0].labels["model"] == "zz-hung"
    whole = ranges(captured(page(0), page(5)), CPU_BUSY)
    assert (whole.cut, whole.series) == (False, (Series({"pod": "web-1"}, (1.0,)),))
    few = captured(served(0), served(1))
    assert not ranges(few, SUCCESS).cut


@given(
    st.lists(
        st.one_of(st.none(), st.dictionaries(st.sampled_from(["1", "2"]), st.floats(allow_nan=True))),
        min_size=2,
    )
)
def test_no_page_whatsoever_brings_a_number_that_is_none(pages: list[dict[str, float] | None]) -> None:
    texts = [
        None if page is None else "".join(served(v, version) for version, v in page.items()) + waiting(0)
        for page in pages
    ]
    found = capture_ranges(captured(*texts), [SUCCESS, PENDING])
    shown = [value for each in found for series in each.series for value in series.values]
    assert all(value is None or (math.isfinite(value) and value >= 0) for value in shown)
    assert all(len(series.values) == each.steps for each in found for series in each.series)
