"""The slopes are those that can be had by hand."""

import pytest

from tests.stability.gain import SIGNALS, slope
from tests.stability.loads import VARIATION

BUSY = (0.3, 0.5, 0.65, 0.8)


@pytest.mark.parametrize("busy", BUSY)
def test_a_rate_is_right_at_once(busy: float) -> None:
    assert slope(SIGNALS["triton_request_rate"], busy) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("busy", BUSY)
def test_a_queue_duration_hunts_from_half_busy_on(busy: float) -> None:
    """busy / (1 - busy), whatever the service times are."""
    assert slope(SIGNALS["triton_queue_duration_ms"], busy) == pytest.approx(-busy / (1 - busy), rel=1e-4)


@pytest.mark.parametrize("busy", BUSY)
def test_a_queue_share_never_hunts(busy: float) -> None:
    """With k = (1 + variation^2) / 2 the share is k busy / (1 - busy + k busy), and e = 1 / (1 - busy + k busy)."""
    k = (1 + VARIATION**2) / 2
    by_hand = 1 - 1 / (1 - busy + k * busy)
    assert slope(SIGNALS["triton_queue_share"], busy) == pytest.approx(by_hand, rel=1e-4)
    assert by_hand > -1


def test_concurrency_hunts_above_its_limit() -> None:
    """At half busy a pod of one instance holds three quarters of a request, and the HPA settles; where it holds one, it hunts."""
    concurrency = SIGNALS["triton_inference_concurrency"]
    assert concurrency(0.5, 1) == pytest.approx(0.7725)
    assert slope(concurrency, 0.5) > -0.75
    assert concurrency(0.58, 1) == pytest.approx(1.016, abs=0.01)
    assert slope(concurrency, 0.58) < -1.0


def test_with_more_instances_waits_hunt_and_concurrency_settles() -> None:
    """A queue before four instances is gone sooner than it is before one: what is measured of it overshoots the more."""
    found = {name: slope(signal, 0.65, 4) for name, signal in SIGNALS.items()}
    assert found["triton_inference_concurrency"] > -0.6
    assert found["triton_queue_share"] < -2.0
    assert found["triton_queue_duration_ms"] < -2.0
