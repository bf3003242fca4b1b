"""What the demo takes for true, and what its HPA makes of answers."""

import math

import pytest

from autoscaler.answer import Answer, NoData, Reason, Value
from demo.clients import Request, Truth, quantile_ms, truth
from demo.observe import Hpa
from demo.story import FULL

SILENT = NoData(Reason.NOT_ANSWERING, "pod triton-0 does not answer scrapes (timed out)")


def test_truth_counts_requests_in_flight_and_those_that_ended() -> None:
    """Two of 0.5 s, of which one instance computes one at a time for 0.25 s, and one that is never answered."""
    requests = [Request(0, 0.5), Request(1, 1.5), Request(8, math.inf)]
    assert truth(requests, now=10, window=10, service_ms=250, instances=1) == Truth(
        concurrency=0.3, pending=0.25, request_rate=0.2, queue_ms=250, p99_ms=500
    )


def test_before_the_window_nothing_counts() -> None:
    assert truth([Request(0, 1)], now=100, window=10, service_ms=100, instances=1) == Truth(
        0, 0, 0, None, None
    )


@pytest.mark.parametrize(("share", "told"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_a_quantile_is_one_of_the_times(share: float, told: float) -> None:
    assert quantile_ms([ms / 1000 for ms in range(100, 0, -1)], share) == pytest.approx(told)


def test_nothing_has_no_quantile() -> None:
    assert quantile_ms([], 0.99) is None


def test_the_hpa_follows_a_value_and_says_how() -> None:
    hpa = _after(Value(2, 0, 10), Value(13.9, 0, 10))
    assert hpa.look
    assert (hpa.replicas, hpa.look.steps) == (4, ("concurrency 13.9 / target 4 → 4 replicas",))


def test_the_hpa_holds_without_a_value_for_as_long_as_it_lasts() -> None:
    hpa = _after(Value(13.9, 0, 10), *[SILENT] * 100)
    assert hpa.look
    assert (hpa.replicas, hpa.look.held) == (4, True)
    assert hpa.look.steps == (
        "no value: pod triton-0 does not answer scrapes (timed out)",
        "no metric has a value → hold at 4 replicas",
    )


def test_a_zero_would_have_scaled_down() -> None:
    assert _after(Value(13.9, 0, 10), *[Value(0, 0, 10, idle=True)] * 4).replicas == 1


def _after(*answers: Answer) -> Hpa:
    hpa = Hpa()
    for number, answer in enumerate(answers):
        hpa = hpa.after(FULL, answer, number * FULL.look_every)
    return hpa
