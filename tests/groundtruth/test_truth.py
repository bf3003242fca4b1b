"""The truth's own arithmetic, on records that fit a line."""

import pytest

from tests.groundtruth.fleet import told_apart
from tests.groundtruth.generator import Request
from tests.groundtruth.quantiles import true_quantile
from tests.groundtruth.records import Record, Scrape, Window
from tests.groundtruth.served import Batching, Disturbance
from tests.groundtruth.truth import RATIOS, Part, concurrency, pending, request_rate, throughput

WINDOW = Window(at=10.0, end=10.0, seconds=10.0, gauges=[[Scrape(5.0, 0.0)]])


def _record(
    lives: list[list[tuple[int, float, float]]],
    requests: list[Request],
    batching: Batching | None = None,
    *,
    new_every: int = 1,
) -> Record:
    scrapes = [Scrape(0.0, 0.0), Scrape(10.0, 0.0)]
    return Record(requests, lives, scrapes, Disturbance(), 1, batching or Batching(), new_every=new_every)


def _asked(number: int, sent: float, done: float, status: int = 200) -> Request:
    return Request(number, sent, sent, done, status)


ONE_AFTER_THE_OTHER = _record(
    [[(0, 1.0, 3.0), (1, 3.0, 5.0), (2, 6.0, 7.0)]],
    [_asked(0, 1.0, 3.0), _asked(1, 1.0, 5.0), _asked(2, 6.0, 7.0, 500)],
)


def test_a_fleet_is_the_ratio_of_its_sums() -> None:
    """One pod waits 2 s for two answers, another nothing for one: two thirds of a second each, and not the mean of 1 and 0."""
    other = _record([[(0, 4.0, 5.0)]], [_asked(0, 4.0, 5.0)])
    parts = [Part(ONE_AFTER_THE_OTHER, WINDOW), Part(other, WINDOW)]
    found = RATIOS["triton_queue_duration_ms"](parts)
    assert found is not None
    assert found.value == pytest.approx(2 / 3)


def test_totals_are_of_the_windows_time() -> None:
    assert request_rate(ONE_AFTER_THE_OTHER, WINDOW).value == pytest.approx(0.3)
    assert throughput(ONE_AFTER_THE_OTHER, WINDOW).value == pytest.approx(0.2)
    assert pending(ONE_AFTER_THE_OTHER, WINDOW).value == pytest.approx(0.2)
    assert concurrency(ONE_AFTER_THE_OTHER, WINDOW).value == pytest.approx(0.7)


def test_a_failed_request_is_in_its_ratio_and_in_no_duration() -> None:
    part = [Part(ONE_AFTER_THE_OTHER, WINDOW)]
    values = {
        name: found.value
        for name in ("triton_failure_ratio", "triton:queue_compute:ratio", "triton_busy_fraction")
        if (found := RATIOS[name](part)) is not None
    }
    assert values == {
        "triton_failure_ratio": pytest.approx(1 / 3),
        "triton:queue_compute:ratio": pytest.approx(2 / 4),
        "triton_busy_fraction": pytest.approx(0.5),
    }


def test_a_batchers_own_delay_is_no_unseen_time_and_no_share() -> None:
    """Three requests wait for the first one's 100 ms, and are one execution."""
    record = _record(
        [[(0, 1.1, 2.0), (1, 1.1, 2.0), (2, 1.1, 2.0)]],
        [_asked(0, 1.0, 2.0), _asked(1, 1.05, 2.0), _asked(2, 1.05, 2.0)],
        Batching(8, 0.1),
    )
    assert [served.unseen for served in record.served] == pytest.approx([0.0, 0.0, 0.0])
    size = RATIOS["triton_batch_size"]([Part(record, WINDOW)])
    share = RATIOS["triton_queue_share"]([Part(record, WINDOW)])
    assert size is not None
    assert share is not None
    assert size.value == pytest.approx(3.0)
    assert share.value == 0.0


def test_what_nobody_executed_came_out_of_the_cache() -> None:
    """Requests 0 and 1 ask the same and wait together, 2 asks something new, and 3 what 0 asked."""
    lives = told_apart([[(0, 1.0, 2.0), (0, 2.0, 3.0), (2, 4.0, 5.0)]], new_every=2)
    asked = [_asked(0, 1.0, 2.0), _asked(1, 1.5, 3.0), _asked(2, 4.0, 5.0), _asked(3, 6.0, 6.1)]
    record = _record([list(life) for life in lives], asked, new_every=2)
    found = RATIOS["triton_cache_hit_ratio"]([Part(record, WINDOW)])
    assert found is not None
    assert found.value == pytest.approx(0.25)


def test_a_request_around_a_sample_may_be_counted_or_not() -> None:
    """Its answer was read after the sample at 10, and its execution had ended before."""
    record = _record([[(0, 1.0, 3.0), (1, 9.0, 9.999)]], [_asked(0, 1.0, 3.0), _asked(1, 9.0, 10.001)])
    found = request_rate(record, WINDOW)
    assert found.value == pytest.approx(0.2)
    assert found.tolerance == pytest.approx(0.1, rel=0.01)


def test_a_fleets_quantile_is_of_all_requests_and_no_mean_of_quantiles() -> None:
    fast = _record(
        [[(n, n / 10, n / 10 + 0.01) for n in range(90)]],
        [_asked(n, n / 10, n / 10 + 0.01) for n in range(90)],
    )
    slow = _record(
        [[(n, float(n), n + 0.5) for n in range(9)]], [_asked(n, float(n), n + 0.5) for n in range(9)]
    )
    found = true_quantile([Part(fast, WINDOW), Part(slow, WINDOW)], 0.95)
    assert found is not None
    assert found.value == pytest.approx(500.0)
