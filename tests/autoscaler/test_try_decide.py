"""What target a fleet's points bear: never a number above its evidence, and a guess is called one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.trial.decide import (
    CONFIGURED_ROOM,
    ENOUGH,
    MEASURED_ROOM,
    Basis,
    ConfiguredLimit,
    Decision,
    configured_limit,
    decide,
)
from autoscaler.trial.limits import ModelLimits
from autoscaler.trial.points import BEARABLE, Part, Point

TWO = {"m": ModelLimits(instances=2)}


def part(
    concurrency: float,
    *,
    waiting: float = 0.0,
    share: float = 0.0,
    requests: float = 100.0,
    batch: float = 1.0,
) -> Part:
    """Ten seconds of a model; of the time of its requests it waited `share`."""
    compute = (1 - share) * requests
    return Part(
        concurrency, waiting, share * requests, compute, requests, 0.0, requests * batch, BEARABLE * compute
    )


def point(*models: Part, pod: str = "a") -> Point:
    return Point(pod, 0.0, dict(zip("mno", models, strict=False)))


def test_a_fleet_at_its_limit_is_measured_there() -> None:
    """Four at once in each pod, of which two wait: two is what a pod can do, as its two instances say."""
    points = [point(part(4.0, waiting=2.0, share=0.5), pod=pod) for pod in "abc"]
    assert decide(points, TWO) == Decision(
        1.6, Basis.REACHED, None, 2.0, ConfiguredLimit(2.0, "m"), requests=300.0
    )


def test_pods_that_do_less_than_configured_count_by_what_they_do() -> None:
    """Eight instances; requests wait while five are computed, and did not wait with four."""
    points = [point(part(4.0)), point(part(8.0, waiting=3.0, share=0.5))]
    found = decide(points, {"m": ModelLimits(instances=8)})
    assert found is not None
    assert (found.basis, found.calm, found.computing, found.target) == (Basis.REACHED, 4.0, 5.0, 4.0)


def test_waits_while_most_is_free_are_bursts_and_measure_no_limit() -> None:
    """Eight instances of which three are busy on average: the target stays below what waited, and is called no capacity."""
    points = [point(part(2.5)), point(part(6.0, waiting=3.0, share=0.5))]
    found = decide(points, {"m": ModelLimits(instances=8)})
    assert found is not None
    assert (found.basis, found.calm, found.computing, found.target) == (Basis.WAITED, 2.5, 3.0, 2.4)


def test_a_load_that_begins_within_a_window_does_not_lower_what_a_pod_can_do() -> None:
    points = [
        point(part(c, waiting=c - k, share=0.6)) for c, k in ((3.0, 1.2), (4.0, 1.3), (8.0, 2.0), (9.0, 2.0))
    ]
    found = decide(points, TWO)
    assert found is not None
    assert (found.computing, found.target) == (2.0, 1.6)


def test_more_at_once_without_waiting_than_computed_at_the_limit_counts() -> None:
    """Computing at the limit was seen through a window that is short for such requests; those that waited little prove more."""
    points = [point(part(1.9)), point(part(3.0, waiting=2.0, share=0.6))]
    found = decide(points, TWO)
    assert found is not None
    assert (found.basis, found.target) == (Basis.REACHED, 1.52)


def test_what_was_computed_is_bounded_by_the_configuration() -> None:
    """Long requests are counted when they end, so that a short window can show more than there are instances."""
    found = decide([point(part(9.0, waiting=5.0, share=0.5))], TWO)
    assert found is not None
    assert found.target == 1.6


@pytest.mark.parametrize(
    ("calm", "target"),
    [
        (1.0, 1.0),  # half of the limit: no more than that
        (1.3, 1.3),
        (1.6, 1.4),  # 0.7 of the configured limit
        (2.0, 1.6),  # all of it, without waiting: 0.8 of what was seen
    ],
)
def test_a_fleet_near_its_limit_that_waits_little_bears_no_more_than_it_did(
    calm: float, target: float
) -> None:
    found = decide([point(part(calm, share=0.05)), point(part(0.3))], TWO)
    assert found is not None
    assert (found.basis, found.calm, found.target) == (Basis.SEEN, calm, target)


def test_a_fleet_far_from_its_limit_is_a_guess() -> None:
    found = decide([point(part(0.9, share=0.05))], TWO)
    assert found is not None
    assert (found.basis, found.target) == (Basis.CONFIGURED, 1.4)


def test_an_idle_fleet_is_a_guess_by_the_model_with_the_fewest_instances() -> None:
    limits = {"m": ModelLimits(4), "n": ModelLimits(1, batch=2), "e": ModelLimits(0)}
    for points in ([], [point(part(0.0, requests=0.0))]):
        assert decide(points, limits) == Decision(
            1.4, Basis.CONFIGURED, None, None, ConfiguredLimit(2.0, "n"), requests=0.0
        )


def test_without_load_and_configuration_there_is_no_target() -> None:
    assert decide([], {}) is None
    assert decide([], {"d": ModelLimits(1, decoupled=True), "e": ModelLimits(0)}) is None


def test_a_few_requests_prove_nothing() -> None:
    """Nineteen that waited are no limit, nineteen that did not are no capacity."""
    waited = decide([point(part(4.0, waiting=2.0, share=0.5, requests=ENOUGH - 1))], TWO)
    calm = decide([point(part(2.0, requests=ENOUGH - 1))], TWO)
    assert waited is not None
    assert calm is not None
    assert (waited.basis, calm.basis) == (Basis.CONFIGURED, Basis.CONFIGURED)


def test_one_lucky_window_among_those_that_waited_is_no_capacity() -> None:
    lucky = point(part(3.9, share=0.1, requests=30))
    waited = [point(part(c, waiting=c / 2, share=0.5)) for c in (3.5, 3.6, 3.8)]
    found = decide([lucky, *waited], {"m": ModelLimits(3)})
    assert found is not None
    assert (found.basis, found.calm) == (Basis.REACHED, None)


def test_waits_below_what_others_bore_are_bursts_and_no_limit() -> None:
    """A pod with 1.8 at once waited little; that another waited with 0.4 says nothing of how many a pod computes at once."""
    found = decide([point(part(1.8)), point(part(0.4, share=0.5), pod="b")], TWO)
    assert found is not None
    assert (found.basis, found.calm) == (Basis.SEEN, 1.8)


def test_without_the_configuration_only_what_was_seen_counts() -> None:
    found = decide([point(part(1.0))], {})
    assert found is not None
    assert (found.basis, found.target, found.limit) == (Basis.SEEN, 0.8, None)


def test_the_mix_says_which_model_is_full_first() -> None:
    """Of each four requests one is for n, which has one instance: at four in the pod it is full, with m's eight half used."""
    limits = {"m": ModelLimits(8), "n": ModelLimits(1)}
    assert configured_limit([point(part(3.0), part(1.0))], limits) == ConfiguredLimit(4.0, "n")
    assert configured_limit([point(part(3.0), part(0.0))], limits) == ConfiguredLimit(8.0, "m")


def test_a_model_with_load_and_no_configuration_leaves_the_limit_unknown() -> None:
    assert configured_limit([point(part(1.0), part(1.0))], {"m": ModelLimits(8)}) is None


def test_requests_of_several_inferences_fill_a_batch_sooner() -> None:
    limits = {"m": ModelLimits(1, batch=8)}
    assert configured_limit([point(part(1.0, batch=3.0))], limits) == ConfiguredLimit(2.0, "m")
    assert configured_limit([point(part(1.0, batch=16.0))], limits) == ConfiguredLimit(1.0, "m")


_parts = st.builds(
    lambda computing, waiting, share, requests: Part(
        computing + waiting,
        waiting,
        share * requests,
        (1 - share) * requests,
        requests,
        bearable_seconds=BEARABLE * (1 - share) * requests,
    ),
    st.floats(0, 50),
    st.floats(0, 50),
    st.floats(0, 1),
    st.floats(0, 1000),
)


@given(st.lists(_parts, max_size=20), st.integers(1, 32), st.integers(1, 64))
def test_no_target_is_above_its_evidence(parts: list[Part], instances: int, batch: int) -> None:
    """Nor above what the configuration allows with head room."""
    limits = {"m": ModelLimits(instances, batch)}
    found = decide([point(each) for each in parts], limits)
    assert found is not None
    assert found.limit is not None
    assert 0.001 <= found.target <= _up_to(MEASURED_ROOM * found.limit.requests)
    match found.basis:
        case Basis.REACHED | Basis.WAITED:
            assert found.computing is not None
            assert found.target <= _up_to(MEASURED_ROOM * max(found.calm or 0.0, found.computing))
        case Basis.SEEN:
            assert found.calm is not None
            assert found.target <= _up_to(found.calm)
        case Basis.CONFIGURED:
            assert found.target <= _up_to(CONFIGURED_ROOM * found.limit.requests)


def _up_to(bound: float) -> float:
    """The bound to the last digits of a float; a thousandth is the least that an HPA can compute with."""
    return max(0.001, bound * (1 + 1e-12))
