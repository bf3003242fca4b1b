"""What kubernetes_cases.yaml does not say about `decide`: its words, and properties over any input."""

from hypothesis import given
from hypothesis import strategies as st

from telemetry.hpa import Decision, Reading, Readings, decide
from telemetry.hpa_behavior import ScaleEvent, State, Step, StepKind
from telemetry.hpa_spec import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    Behavior,
    ExternalMetric,
    HpaSpec,
    PolicyType,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)

NOW = 100_000.0
FORGETFUL = State(recommendations=())
FREE_DOWN = ScalingRules(DEFAULT_SCALE_DOWN.policies)


def test_a_person_can_read_why() -> None:
    metrics = (ExternalMetric("queue_ms", average_value_milli=1000), ExternalMetric("cheese", value_milli=1))
    spec = HpaSpec(metrics, max_replicas=50)
    readings = Readings(3, 3, 3, (Reading((20_000,)), Reading(error="no such metric")))
    assert decide(spec, State(), readings, NOW)[1] == Decision(
        6,
        3,
        (
            Step(StepKind.PROPOSED, "queue_ms: 20000m / 1000m per replica = 20", 20),
            Step(StepKind.INVALID, "cheese: no such metric"),
            Step(StepKind.LIMITED, "a scale-up may reach 6, the larger of 4 and twice the replicas", 6),
        ),
    )


def test_a_value_target_shrinks_an_overloaded_fleet_that_starts_slowly() -> None:
    """Half again too much load, and two of four pods ready: the proposal is three. A total with averageValue
    says six."""
    state = State(recommendations=())
    by_value = HpaSpec((ExternalMetric("ratio", value_milli=1000),), 10)
    assert decide(by_value, state, Readings(4, 4, 2, (Reading((1500,)),)), NOW)[1].replicas == 3
    by_average = HpaSpec((ExternalMetric("total", average_value_milli=1000),), 10)
    assert decide(by_average, state, Readings(4, 4, 2, (Reading((6000,)),)), NOW)[1].replicas == 6


def test_a_negative_average_scales_to_the_maximum() -> None:
    spec = HpaSpec((ExternalMetric("total", average_value_milli=1000),), 8)
    assert decide(spec, FORGETFUL, Readings(4, 4, 4, (Reading((-1,)),)), NOW)[1].replicas == 8


def test_no_matching_pod_is_an_error_and_no_ready_pod_is_zero() -> None:
    spec = HpaSpec((ExternalMetric("ratio", value_milli=1000),), 8)
    assert decide(spec, FORGETFUL, Readings(4, 0, None, (Reading((5000,)),)), NOW)[1].held
    assert decide(spec, FORGETFUL, Readings(4, 4, 0, (Reading((5000,)),)), NOW)[1].replicas == 1


def test_a_disabled_direction_does_not_move() -> None:
    up = ScalingRules(DEFAULT_SCALE_UP.policies, select_policy=SelectPolicy.DISABLED)
    behavior = Behavior(up, FREE_DOWN)
    assert wanting(50, 10, behavior).replicas == 10
    assert wanting(5, 10, behavior).replicas == 5


def test_a_policy_of_the_largest_number_of_pods_allows_none() -> None:
    """The controller adds in 32 bits, and the sum comes out negative."""
    behavior = Behavior(ScalingRules((ScalingPolicy(PolicyType.PODS, 2**31 - 1, 15),)), FREE_DOWN)
    assert wanting(50, 10, behavior).replicas == 10
    behavior = Behavior(ScalingRules((ScalingPolicy(PolicyType.PODS, 2**31 - 11, 15),)), FREE_DOWN)
    assert wanting(50, 10, behavior).replicas == 50


def test_nor_does_it_take_any_that_somebody_took_before() -> None:
    """Scaled up by 8 a moment ago, set to 2 by hand: 2 - 8 - 2147483647 comes out positive."""
    behavior = Behavior(scale_down=ScalingRules((ScalingPolicy(PolicyType.PODS, 2**31 - 1, 15),)))
    assert wanting(1, 2, behavior, State((), scale_ups=(ScaleEvent(8, NOW - 1),))).replicas == 2
    assert wanting(1, 2, behavior, State((), scale_ups=(ScaleEvent(1, NOW - 1),))).replicas == 1


def wanting(wanted: int, current: int, behavior: Behavior, state: State = FORGETFUL) -> Decision:
    spec = HpaSpec((ExternalMetric("qps", average_value_milli=1000),), 100, 1, behavior)
    return decide(spec, state, Readings(current, current, current, (Reading((1000 * wanted,)),)), NOW)[1]


def test_a_fleet_comes_back_from_zero_only_if_the_hpa_itself_went_there() -> None:
    metric = ExternalMetric("total", average_value_milli=1000)
    spec = HpaSpec((metric,), 8, 0, scale_to_zero=True)
    state, decision = decide(spec, FORGETFUL, Readings(1, 1, 1, (Reading((0,)),)), NOW)
    assert (decision.replicas, state.scaled_to_zero) == (0, True)
    state, decision = decide(spec, state, Readings(0, 0, None, (Reading((2500,)),)), NOW + 15)
    assert (decision.replicas, state.scaled_to_zero) == (3, False)
    by_hand = decide(spec, FORGETFUL, Readings(0, 0, None, (Reading((2500,)),)), NOW)[1]
    assert (by_hand.replicas, by_hand.held) == (0, True)


def test_a_zero_gives_way_to_less_that_follows_it() -> None:
    """From zero replicas with a metric in error: a proposal below zero holds, unless a zero comes last."""
    metrics = tuple(ExternalMetric(name, value_milli=1000) for name in ("a", "b", "c"))
    spec = HpaSpec(metrics, 8, 0, scale_to_zero=True)
    state = State((), scaled_to_zero=True)
    gone = Reading(error="gone")
    for first, second, held in ((0, -3000, True), (-3000, 0, False)):
        readings = Readings(0, 0, None, (Reading((first,)), Reading((second,)), gone))
        assert decide(spec, state, readings, NOW)[1].held is held


POLICIES = st.builds(ScalingPolicy, st.sampled_from(PolicyType), st.integers(1, 300), st.integers(1, 1800))
RULES = st.builds(
    ScalingRules,
    st.lists(POLICIES, min_size=1, max_size=3).map(tuple),
    st.integers(0, 3600),
    st.sampled_from(SelectPolicy),
    st.floats(0, 1),
)
METRICS = st.one_of(
    st.builds(ExternalMetric, st.just("v"), st.integers(1, 10**6)),
    st.builds(ExternalMetric, st.just("a"), st.none(), st.integers(1, 10**6)),
)
LOOKS = st.lists(
    st.tuples(
        st.floats(1, 600),  # seconds since the look before
        st.lists(st.integers(-(10**7), 10**12), max_size=2),  # no values: an error
        st.lists(st.integers(-(10**7), 10**12), max_size=2),
        st.integers(0, 60),
    ),
    min_size=1,
    max_size=12,
)


@given(
    st.tuples(METRICS, METRICS),
    st.integers(1, 20),
    st.integers(0, 30),
    st.none() | st.builds(Behavior, RULES, RULES),
    LOOKS,
)
def test_replicas_stay_within_the_spec_and_an_error_never_lowers_them(
    metrics: tuple[ExternalMetric, ExternalMetric],
    least: int,
    span: int,
    behavior: Behavior | None,
    looks: list[tuple[float, list[int], list[int], int]],
) -> None:
    spec = HpaSpec(metrics, least + span, least, behavior)
    state, now, replicas = State(), NOW, least
    for seconds, first, second, ready in looks:
        now += seconds
        readings = Readings(replicas, replicas, ready, (Reading(tuple(first)), Reading(tuple(second))))
        state, decision = decide(spec, state, readings, now)
        assert spec.min_replicas <= decision.replicas <= spec.max_replicas
        if not first or not second:
            assert decision.replicas >= replicas
        replicas = decision.replicas
