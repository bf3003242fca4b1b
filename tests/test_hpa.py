"""The HPA's algorithm against the numbers of the controller's own tests (k8s.io/kubernetes v1.36.3,
`podautoscaler`).

Each row's name is the upstream test's. Where upstream drives a case with CPU, an external total proposes the
same count; where upstream calls an inner function, the row is played through `decide` with readings that lead
there."""

import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.hpa import (
    Decision,
    Reading,
    Readings,
    decide,
)
from telemetry.hpa_behavior import Recommendation, ScaleEvent, State, Step, StepKind
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

MAX_INT64 = 2**63 - 1
MAX_INT32 = 2**31 - 1
NOW = 100_000.0
UNLIMITED = Behavior(
    scale_up=ScalingRules((ScalingPolicy(PolicyType.PODS, MAX_INT32, 15),)),
    scale_down=ScalingRules((ScalingPolicy(PolicyType.PERCENT, 100, 15),)),
)
FORGETFUL = State(recommendations=())


class Calculated(NamedTuple):
    """A case of replica_calculator_test.go: what one metric alone proposes."""

    name: str
    replicas: int
    values_milli: tuple[int, ...]
    expected: int
    value: int | None = None
    average_value: int | None = None
    ready: int | None = None
    tolerance_up: float = 0.1


CALCULATED = [
    Calculated("ScaleUpCMExternal", 1, (8600,), 2, value=4400),
    Calculated("ScaleUpCMExternalIgnoresUnreadyPods", 3, (8600,), 2, value=4400, ready=1),
    Calculated("ScaleUpPerPodCMExternal", 3, (8600,), 4, average_value=2150),
    Calculated("ScaleDownCMExternal", 5, (8600,), 3, value=14334),
    Calculated("ScaleDownPerPodCMExternal", 5, (8600,), 3, average_value=2867),
    Calculated("ToleranceCMExternal", 3, (8600,), 3, value=8888),
    Calculated("TolerancePerPodCMExternal", 3, (8600,), 3, average_value=2900),
    Calculated("ConfigurableToleranceCMExternal", 3, (8900,), 4, value=8800, tolerance_up=0.01),
    Calculated("ConfigurableTolerancePerPodCMExternal", 3, (8600,), 4, average_value=2800, tolerance_up=0.01),
    Calculated("ExternalMetricUsageOverflow", 3, (MAX_INT64 // 2 + 1,) * 2, 3, value=MAX_INT64),
    Calculated("ExternalPerPodMetricReplicaOverflow", 1, (MAX_INT64,), MAX_INT32, average_value=1),
    Calculated("ExternalPerPodMetricUsageOverflow", 1, (MAX_INT64,), 1, average_value=MAX_INT64),
]


@pytest.mark.parametrize("case", CALCULATED, ids=lambda case: case.name)
def test_one_metric_proposes_what_the_controllers_calculator_does(case: Calculated) -> None:
    metric = ExternalMetric("qps", case.value, case.average_value)
    up = ScalingRules(UNLIMITED.scale_up.policies, tolerance=case.tolerance_up)
    spec = HpaSpec((metric,), MAX_INT32, 1, Behavior(up, UNLIMITED.scale_down))
    ready = case.replicas if case.ready is None else case.ready
    readings = Readings(case.replicas, case.replicas, ready, (Reading(case.values_milli),))
    assert decide(spec, FORGETFUL, readings, NOW)[1].replicas == case.expected


class Reconciled(NamedTuple):
    """A case of horizontal_test.go: one whole look at a fleet of ready pods."""

    name: str
    replicas: int
    metrics: tuple[tuple[ExternalMetric, Reading], ...]
    expected: int
    least: int = 2
    most: int = 6
    state: State = FORGETFUL


CHEESE = (ExternalMetric("CheddarCheese", value_milli=1), Reading(error="no such metric"))


def value(target: int, measured: int = 8600) -> tuple[ExternalMetric, Reading]:
    return ExternalMetric("qps", value_milli=target), Reading((measured,))


def average(target: int, measured: int = 8600) -> tuple[ExternalMetric, Reading]:
    return ExternalMetric("qps", average_value_milli=target), Reading((measured,))


def before(*recommendations: tuple[int, float]) -> State:
    """Recommendations as (replicas, minutes ago)."""
    return State(recommendations=tuple(Recommendation(n, NOW - 60 * ago) for n, ago in recommendations))


RECONCILED = [
    Reconciled("ScaleUpCMExternal", 3, (value(6666),), 4),
    Reconciled("ScaleUpPerPodCMExternal", 3, (average(2222),), 4),
    Reconciled("ScaleDownCMExternal", 5, (value(14400),), 3),
    Reconciled("ScaleDownPerPodCMExternal", 5, (average(3000),), 3),
    Reconciled("ScaleDownToZeroCMExternal", 5, (value(14400, 0),), 0, least=0),
    Reconciled("ToleranceCMExternal", 4, (value(8666),), 4),
    Reconciled("TolerancePerPodCMExternal", 4, (average(2200),), 4),
    Reconciled("ScaleUpOneMetricInvalid", 3, (average(2222), CHEESE), 4),
    Reconciled("NoScaleDownOneMetricInvalid", 5, (average(3000), CHEESE), 5),
    Reconciled("NoScaleDownOneMetricEmpty", 5, (average(3000), (CHEESE[0], Reading())), 5),
    Reconciled("ScaleUpBothMetricsEmpty", 3, ((CHEESE[0], Reading()), CHEESE), 3),
    Reconciled("StabilizeDownscale", 4, (average(1000, 2000),), 4, 1, 5, before((10, 10), (4, 1))),
    Reconciled("ScaleDownStabilizeInitialSize", 5, (average(3000),), 5, state=State()),
    Reconciled("ZeroReplicas", 0, (average(1000),), 0, 3, 5),
    Reconciled("TooFewReplicas", 2, (average(1000),), 3, 3, 5),
    Reconciled("TooManyReplicas", 10, (average(1000),), 5, 3, 5),
    Reconciled("MaxReplicas", 3, (average(1000, 90_000),), 5, 2, 5),
    Reconciled("UpscaleCap", 3, (average(1000, 90_000),), 6, 1, 100),
    Reconciled("UpscaleCapGreaterThanMaxReplicas", 3, (average(1000, 90_000),), 5, 1, 5),
    Reconciled("MinReplicas", 3, (average(1000, 10),), 2, 2, 5),
    Reconciled("MinReplicasDesiredZero", 3, (average(1000, 0),), 2, 2, 5),
]


@pytest.mark.parametrize("case", RECONCILED, ids=lambda case: case.name)
def test_one_look_ends_as_the_controllers_reconciliation_does(case: Reconciled) -> None:
    spec = HpaSpec(tuple(metric for metric, _ in case.metrics), case.most, case.least)
    readings = Readings(case.replicas, case.replicas, case.replicas, tuple(r for _, r in case.metrics))
    assert decide(spec, case.state, readings, NOW)[1].replicas == case.expected


def rules(pods: int, pods_period: int, percent: int, percent_period: int) -> tuple[ScalingPolicy, ...]:
    found = []
    if pods:
        found.append(ScalingPolicy(PolicyType.PODS, pods, pods_period))
    if percent:
        found.append(ScalingPolicy(PolicyType.PERCENT, percent, percent_period))
    return tuple(found)


def spread(changes: tuple[int, ...], seconds: int) -> tuple[ScaleEvent, ...]:
    """As upstream's generateEventsUniformDistribution: each in the centre of its segment, whole seconds."""
    segment = seconds / max(1, len(changes))
    ages = [int(seconds - segment * (i + 1) + segment / 2) for i in range(len(changes))]
    return tuple(ScaleEvent(change, NOW - age) for change, age in zip(changes, ages, strict=True))


class Ruled(NamedTuple):
    """A case of TestScalingWithRules; reasons are the words of the HPA's ScalingLimited condition."""

    name: str
    current: int
    wanted: int
    expected: int
    reason: str
    least: int = 1
    most: int = 1000
    up: tuple[int, int, int, int] | None = None
    down: tuple[int, int, int, int] | None = None
    ups: tuple[int, ...] = ()
    downs: tuple[int, ...] = ()


IN, UP, DOWN, MANY, FEW = (
    "DesiredWithinRange",
    "ScaleUpLimit",
    "ScaleDownLimit",
    "TooManyReplicas",
    "TooFewReplicas",
)
THREE, FOUR = (1, 5, 9), (8, 12, 9, 11)
RULED = [
    Ruled("prenormalized desired replicas within range", 5, 7, 7, IN, 3, 8),
    Ruled("prenormalized desired replicas < minReplicas", 3, 1, 2, FEW, 2, 8),
    Ruled("prenormalized desired replicas within range when minReplicas is 0", 1, 0, 0, IN, 0, 10),
    Ruled("desired replica count is more than the maximum replica count", 100, 1000, 150, MANY, 100, 150),
    Ruled("scaleUpLimit < maxReplicas with user policies", 3, 1000, 4, UP, 1, 2000, up=(0, 0, 1, 60)),
    Ruled("scaleDownLimit > minReplicas", 1000, 3, 980, DOWN, 3, 2000, down=(20, 60, 0, 0)),
    Ruled("scaleUp with default behavior", 10, 50, 20, UP),
    Ruled("scaleUp with pods policy larger than percent", 10, 500, 110, UP, up=(100, 60, 100, 60)),
    Ruled("scaleUp with percent policy larger than pods", 10, 500, 20, UP, up=(2, 60, 100, 60)),
    Ruled("scaleUp with large pod policy", 10, 50, 50, IN, up=(100, 60, 0, 0)),
    Ruled("scaleUp with large percent policy", 10, 50, 50, IN, up=(10000, 60, 0, 0)),
    Ruled("scaleUp with pod policy limitation", 10, 50, 40, UP, up=(30, 60, 0, 0)),
    Ruled("scaleUp with percent policy limitation", 10, 50, 30, UP, up=(0, 0, 200, 60)),
    Ruled("scaleDown with percent policy larger than pod", 100, 2, 80, DOWN, down=(20, 60, 1, 60)),
    Ruled("scaleDown with pod policy larger than percent", 100, 2, 98, DOWN, down=(2, 60, 1, 60)),
    Ruled("scaleDown with MinReplicas, large pod policy", 10, 0, 1, FEW, down=(100, 60, 0, 0)),
    Ruled("scaleDown with MinReplicas, large percent policy", 10, 2, 5, FEW, 5, down=(0, 0, 100, 60)),
    Ruled("scaleDown with pod policy limitation", 10, 2, 5, DOWN, down=(5, 60, 0, 0)),
    Ruled("scaleDown with percent policy limitation", 10, 5, 5, IN, down=(0, 0, 50, 60)),
    Ruled("scaleUp, large pod policy and events", 100, 500, 200, MANY, 1, 200, (300, 60, 0, 0), ups=THREE),
    Ruled("scaleUp, large percent policy, events", 100, 500, 200, MANY, 1, 200, (0, 0, 10000, 60), ups=THREE),
    Ruled("scaleUp with a lot of recent scale up events", 100, 500, 100, UP, up=(5, 120, 0, 0), ups=THREE),
    Ruled("scaleUp with pod policy, previous events", 100, 500, 235, UP, up=(150, 120, 0, 0), ups=THREE),
    Ruled("scaleUp with percent policy, previous events", 100, 500, 255, UP, up=(0, 0, 200, 120), ups=THREE),
    Ruled("scaleUp, events both ways", 6, 24, 16, UP, up=(0, 0, 300, 300), ups=(4,), downs=(2,)),
    Ruled("scaleDown with default policy and events", 10, 5, 5, IN, downs=THREE),
    Ruled("scaleDown, min nil, large pod policy, events", 100, 0, 1, FEW, down=(115, 120, 0, 0), downs=THREE),
    Ruled("scaleDown, min 5, large pod policy", 100, 0, 5, FEW, 5, down=(130, 120, 0, 0), downs=THREE),
    Ruled("scaleDown, min 5, large percent policy", 100, 2, 5, FEW, 5, down=(0, 0, 100, 120), downs=THREE),
    Ruled("scaleDown, pod policy limitation, events", 100, 2, 100, DOWN, down=(5, 120, 0, 0), downs=THREE),
    Ruled("scaleDown, percent policy, events", 100, 0, 56, DOWN, down=(0, 0, 50, 120), downs=(2, 4, 6)),
    Ruled("scaleDown, events both ways", 10, 1, 6, DOWN, down=(0, 0, 50, 180), ups=(2,), downs=(4,)),
    Ruled("scaleDown prevented by events", 100, 0, 100, DOWN, down=(0, 0, 10, 120), downs=(10, 10, 10)),
    Ruled("scaleDown with events still allowed", 10, 5, 5, IN, down=(0, 0, 1000, 120), downs=(10, 10, 10)),
    Ruled("events for one behavior for up", 100, 200, 200, IN, up=(1000, 60, 0, 0), ups=FOUR),
    Ruled("events for two policies, up", 100, 200, 200, IN, up=(1000, 120, 100, 60), ups=FOUR),
    Ruled("outdated events, two policies, up", 100, 200, 200, IN, up=(1000, 30, 100, 60), ups=FOUR),
    Ruled("events for one behavior for down", 100, 5, 5, IN, down=(1000, 60, 0, 0), downs=FOUR),
    Ruled("events for two policies, down", 100, 5, 5, IN, down=(1000, 120, 100, 60), downs=FOUR),
    Ruled("outdated events, two policies, down", 100, 5, 5, IN, down=(1000, 30, 100, 60), downs=FOUR),
]


@pytest.mark.parametrize("case", RULED, ids=lambda case: case.name)
def test_policies_allow_what_the_controllers_do(case: Ruled) -> None:
    behavior = Behavior(
        scale_up=ScalingRules(rules(*case.up)) if case.up else DEFAULT_SCALE_UP,
        scale_down=ScalingRules(rules(*case.down))
        if case.down
        else ScalingRules(DEFAULT_SCALE_DOWN.policies),
    )
    state = State((), spread(case.ups, 120), spread(case.downs, 120))
    decision = wanting(case.wanted, case.current, HpaSpec((), case.most, case.least, behavior), state)[1]
    assert (decision.replicas, reason(decision)) == (case.expected, case.reason)


def wanting(wanted: int, current: int, spec: HpaSpec, state: State) -> tuple[State, Decision]:
    """A look at a metric that proposes `wanted`, with no tolerance around it."""
    metric = ExternalMetric("qps", average_value_milli=1000)
    spec = HpaSpec((metric,), spec.max_replicas, spec.min_replicas, spec.behavior)
    return decide(spec, state, Readings(current, current, current, (Reading((1000 * wanted,)),)), NOW)


def reason(decision: Decision) -> str:
    last = decision.steps[-1]
    if last.kind is StepKind.LIMITED:
        return UP if re.search("scaleUp|scale-up", last.why) else DOWN
    if last.kind is StepKind.CLAMPED:
        return MANY if last.why == "maxReplicas" else FEW
    return IN


class Stabilised(NamedTuple):
    """A case of TestNormalizeDesiredReplicas or ...WithBehavior: recommendations as (replicas, minutes ago),
    windows in seconds."""

    name: str
    earlier: tuple[tuple[int, float], ...]
    wanted: int
    expected: int
    current: int = 100
    windows: tuple[int, int] | None = None
    recorded: tuple[int, ...] | None = None


LOW, OLD = ((4, 2), (5, 1)), ((10, 10), (9, 9))
MIXED = ((10, 10), (4, 1), (5, 2), (9, 9))
STABILISED = [
    Stabilised("empty log", (), 5, 5, 5),
    Stabilised("stabilize", LOW, 3, 5, 3),
    Stabilised("no stabilize", ((1, 2), (2, 1)), 3, 3, 3),
    Stabilised("no stabilize - old recommendations", OLD, 3, 3, 3, recorded=(10, 3)),
    Stabilised("stabilize - old recommendations", MIXED, 3, 5, 3, recorded=(10, 4, 5, 3)),
    Stabilised("empty recommendations for scaling down", (), 5, 5, 100, (0, 0), (5,)),
    Stabilised("simple scale down stabilization", LOW, 3, 5, 100, (0, 180), (4, 5, 3)),
    Stabilised("simple scale up stabilization", LOW, 7, 4, 1, (300, 0), (4, 5, 7)),
    Stabilised("no scale down stabilization", ((1, 2), (2, 1)), 3, 3, 100, (300, 0), (1, 2, 3)),
    Stabilised("no scale up stabilization", LOW, 3, 3, 1, (0, 300), (4, 5, 3)),
    Stabilised("no scale down stabilization, reuse", OLD, 3, 3, 100, (0, 0), (10, 3)),
    Stabilised("no scale up stabilization, reuse", OLD, 100, 100, 1, (0, 0), (10, 100)),
    Stabilised("scale down stabilization, reuse", MIXED, 3, 5, 100, (0, 180), (10, 4, 5, 3)),
    Stabilised("scale up, reuse", ((10, 100), (6, 1), (5, 2), (9, 3)), 100, 5, 1, (300, 0), (100, 6, 5, 9)),
    Stabilised("do not scale up when rec goes down", ((2, 100), (3, 3)), 1, 2, 2, (300, 300)),
    Stabilised("do not scale down when rec goes up", ((2, 100), (1, 3)), 3, 2, 2, (300, 300)),
]


@pytest.mark.parametrize("case", STABILISED, ids=lambda case: case.name)
def test_recent_recommendations_hold_as_long_as_the_controllers_do(case: Stabilised) -> None:
    behavior = None
    if case.windows is not None:
        up, down = case.windows
        behavior = Behavior(
            ScalingRules(UNLIMITED.scale_up.policies, up), ScalingRules(UNLIMITED.scale_down.policies, down)
        )
    spec = HpaSpec((), MAX_INT32, 1, behavior)
    state, decision = wanting(case.wanted, case.current, spec, before(*case.earlier))
    assert decision.replicas == case.expected
    if case.recorded is not None:
        assert tuple(r.replicas for r in state.recommendations or ()) == case.recorded


def test_a_person_can_read_why() -> None:
    spec = HpaSpec((ExternalMetric("queue_ms", average_value_milli=1000), CHEESE[0]), max_replicas=50)
    readings = Readings(3, 3, 3, (Reading((20_000,)), CHEESE[1]))
    assert decide(spec, State(), readings, NOW)[1] == Decision(
        6,
        3,
        (
            Step(StepKind.PROPOSED, "queue_ms: 20000m / 1000m per replica = 20", 20),
            Step(StepKind.INVALID, "CheddarCheese: no such metric"),
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
    spec = HpaSpec((), 100, 1, Behavior(up, UNLIMITED.scale_down))
    assert wanting(50, 10, spec, FORGETFUL)[1].replicas == 10
    assert wanting(5, 10, spec, FORGETFUL)[1].replicas == 5


@pytest.mark.parametrize(("select", "up", "down"), [(SelectPolicy.MIN, 2, 3), (SelectPolicy.MAX, 3, 2)])
def test_the_select_policy_takes_least_or_most_change(select: SelectPolicy, up: int, down: int) -> None:
    """Min: upstream's TestCalculateScaleUpLimitWithScalingRules and
    TestCalculateScaleDownLimitWithBehaviors."""
    both = ScalingRules(rules(2, 60, 50, 60), select_policy=select)
    spec = HpaSpec((), 100, 1, Behavior(both, both))
    assert wanting(50, 1, spec, FORGETFUL)[1].replicas == up
    assert wanting(1, 5, spec, FORGETFUL)[1].replicas == down


def test_a_fleet_comes_back_from_zero_only_if_the_hpa_itself_went_there() -> None:
    metric = ExternalMetric("total", average_value_milli=1000)
    spec = HpaSpec((metric,), 8, 0, scale_to_zero=True)
    state, decision = decide(spec, FORGETFUL, Readings(1, 1, 1, (Reading((0,)),)), NOW)
    assert (decision.replicas, state.scaled_to_zero) == (0, True)
    state, decision = decide(spec, state, Readings(0, 0, None, (Reading((2500,)),)), NOW + 15)
    assert (decision.replicas, state.scaled_to_zero) == (3, False)
    by_hand = decide(spec, FORGETFUL, Readings(0, 0, None, (Reading((2500,)),)), NOW)[1]
    assert (by_hand.replicas, by_hand.held) == (0, True)


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
