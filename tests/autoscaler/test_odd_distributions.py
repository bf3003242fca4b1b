"""Summaries and histograms that are not whole: never a number made of what is missing, and never an exception."""

import pytest

from autoscaler.answer import NoData, Reason
from autoscaler.evaluate import evaluate
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import Quantile
from telemetry.pod_state import PodState
from tests.autoscaler.fleet import NOW, P99_SIGNAL, SIGNALS, ask, number
from tests.autoscaler.test_more_signals import NAMES, buckets, served

REQUESTS = {"nv_inference_request_success": 100.0}


def refused(*fleet: PodState) -> str:
    answer = ask(P99_SIGNAL, *fleet)
    assert isinstance(answer, NoData), answer
    assert answer.reason is Reason.NO_SUMMARIES
    return answer.message


@pytest.mark.parametrize(
    "shown",
    [
        buckets(le10=90, le100=100),
        buckets(leinf=100),
        {"nv_inference_first_response_histogram_ms_bucket{" + NAMES + ',le="inf"}': 100.0},
    ],
)
def test_a_histogram_without_its_last_bucket_or_without_any_other_says_nothing(
    shown: dict[str, float],
) -> None:
    """As relabelling leaves it, where it drops buckets to save series."""
    assert "keep all of its buckets" in refused(served("a", REQUESTS | shown))


def test_a_row_may_name_a_summarys_quantiles_in_any_order() -> None:
    row = SIGNALS[P99_SIGNAL]
    assert isinstance(row.formula, Quantile)
    falling = row.formula.model_copy(update={"summary_quantiles": row.formula.summary_quantiles[::-1]})
    took = {"0.5": 1000, "0.9": 2000, "0.95": 3000, "0.99": 5000, "0.999": 9000}
    shown = {f'nv_inference_request_summary_us{{{NAMES},quantile="{q}"}}': us for q, us in took.items()}
    fleet = [served("a", REQUESTS | shown)]
    answer = evaluate(row.model_copy(update={"formula": falling}), fleet, parse_selector(""), Settings(), NOW)
    assert number(answer) == pytest.approx(5.0)


def test_buckets_that_fall_count_no_less_than_those_below_them() -> None:
    """Of the 5 requests between 100 ms and 1 s the p99 is after four: not after 79 of 80."""
    shown = buckets(le10=95, le100=20, le1000=100, leinf=100)
    assert number(ask(P99_SIGNAL, served("a", REQUESTS | shown))) == pytest.approx(820.0)
