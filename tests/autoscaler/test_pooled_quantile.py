"""A quantile of all requests out of what each server tells of its own, against the requests themselves."""

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.pooled_quantile import Estimate, Points, pool_quantile

SHOWN = (0.5, 0.9, 0.95, 0.99, 0.999)
BOUNDS = (1.0, 5.0, 25.0, 100.0, 1000.0, math.inf)


def quantile_of(durations: Sequence[float], share: float) -> float:
    """The smallest duration that so large a share does not exceed."""
    return sorted(durations)[max(0, math.ceil(share * len(durations) - 1e-9) - 1)]


def summary(durations: Sequence[float]) -> Points:
    """As exact as a summary can be: each point says which share of the requests took at most so long."""
    at = [quantile_of(durations, share) for share in SHOWN]
    return Points(len(durations), list(zip(SHOWN, at, strict=True)))


def tritons_summary(durations: Sequence[float]) -> Points:
    """With the rank rounded down, as Triton's has it, and said so."""
    at = [sorted(durations)[max(0, int(share * len(durations)) - 1)] for share in SHOWN]
    return Points(len(durations), list(zip(SHOWN, at, strict=True)), [1 / len(durations)] * len(SHOWN))


def histogram(durations: Sequence[float]) -> Points:
    return Points(
        len(durations), [(sum(d <= bound for d in durations) / len(durations), bound) for bound in BOUNDS]
    )


_SERVERS = st.lists(
    st.lists(st.floats(0.1, 2000.0), min_size=1, max_size=200),
    min_size=1,
    max_size=6,
)


@given(_SERVERS, st.sampled_from([0.95, 0.99]), st.sampled_from([summary, tritons_summary, histogram]))
def test_the_true_quantile_lies_within_the_bounds(
    servers: list[list[float]], share: float, tells: Callable[[Sequence[float]], Points]
) -> None:
    found = pool_quantile([tells(durations) for durations in servers], share)
    assert found is not None
    true = quantile_of([one for durations in servers for one in durations], share)
    assert found.lower - 1e-6 <= true <= found.upper + 1e-6
    assert found.lower <= found.value <= found.upper


@given(_SERVERS)
def test_summaries_and_histograms_are_pooled_together(servers: list[list[float]]) -> None:
    sources = [(summary if index % 2 else histogram)(durations) for index, durations in enumerate(servers)]
    found = pool_quantile(sources, 0.99)
    assert found is not None
    assert found.lower <= quantile_of([one for each in servers for one in each], 0.99) + 1e-6
    assert found.upper >= quantile_of([one for each in servers for one in each], 0.99) - 1e-6


def test_one_server_alone_is_its_own_quantile() -> None:
    found = pool_quantile([Points(100, [(0.5, 10.0), (0.95, 40.0), (0.99, 90.0)])], 0.99)
    assert found is not None
    assert found.value == pytest.approx(90.0)
    assert (found.lower, found.upper) == (40.0, 90.0)


def test_a_server_counts_by_its_requests_and_not_by_itself() -> None:
    """The largest of both would say 900 ms, of which one request in a thousand knows."""
    busy = Points(999, [(0.5, 5.0), (0.99, 10.0), (0.999, 12.0)])
    slow = Points(1, [(0.5, 900.0), (0.99, 900.0), (0.999, 900.0)])
    found = pool_quantile([busy, slow], 0.99)
    assert found is not None
    assert 10.0 <= found.value <= 12.0


def test_a_point_between_two_buckets_is_on_a_straight_line() -> None:
    found = pool_quantile([Points(100, [(0.9, 100.0), (1.0, 200.0), (1.0, math.inf)])], 0.95)
    assert found is not None
    assert found.value == pytest.approx(150.0)
    assert (found.lower, found.upper) == (100.0, 200.0)


def test_a_quantile_past_the_last_bucket_says_the_least_that_it_can_be() -> None:
    found = pool_quantile([Points(100, [(0.5, 100.0), (0.9, 5000.0), (1.0, math.inf)])], 0.99)
    assert found == Estimate(5000.0, 5000.0, math.inf)


def test_a_summarys_last_request_is_beyond_its_quantiles() -> None:
    """Of ten requests its 0.999 is the ninth: nobody knows how long the tenth took, and the p99 is the tenth's."""
    found = pool_quantile([tritons_summary([1.0] * 9 + [500.0])], 0.99)
    assert found == Estimate(1.0, 1.0, math.inf)


def test_without_requests_there_is_no_quantile() -> None:
    assert pool_quantile([], 0.99) is None
    assert pool_quantile([Points(0, [(0.99, 5.0)]), Points(7, [])], 0.99) is None
