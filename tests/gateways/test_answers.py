"""What a gateway's signal says of a reading: values, zero, and why there is none."""

from dataclasses import replace
from math import inf

import pytest

from autoscaler.answer import NoData, Reason, Value
from autoscaler.gateway_evaluate import GatewayView, evaluate_gateway
from autoscaler.selector import parse_selector
from autoscaler.signal import Signal, load_signals
from telemetry.gateways.kind import load_gateways
from telemetry.gateways.queries import GatewayNames
from telemetry.gateways.reading import GatewayReading
from telemetry.gateways.source import NOT_ASKED
from telemetry.gateways.window import InstanceWindow, Share, Standing, Target, TargetWindow
from telemetry.rules_dir import rules_dir

ROWS = load_signals(rules_dir() / "signals")
RATE = ROWS["triton_gateway_request_rate"]
P95 = ROWS["triton_gateway_request_duration_p95_ms"]
TRITON = Target("inference", "triton", "triton-svc")
NAMES = GatewayNames(load_gateways(rules_dir() / "gateways")["istio"], (TRITON,))
NOW = 1000.0
SEEN = InstanceWindow(("istio", "10.0.0.1:15090"), ("",), Standing.ANSWERED, 10.0, 40.0, 30.0, 40.0)
BUCKETS = {10.0: 0.0, 100.0: 1.8, 1000.0: 2.0, inf: 2.0}
BUSY = TargetWindow([Share(SEEN, 2.0, {"200": 1.9, "503": 0.1})], True, [BUCKETS])
FLAT = TargetWindow([Share(SEEN, 0.0, {"200": 0.0})], True, [dict.fromkeys(BUCKETS, 0.0)])
ABSENT = TargetWindow([Share(SEEN, 0.0, {})], seen=False)
READING = GatewayReading(NOW - 45.0, {30.0: True}, {30.0: {TRITON: BUSY}}, frozenset(), {})
"""Its newest scrape was 5 s ago."""
VIEW = GatewayView(NAMES, READING, None, max_age=60.0)


def answer(
    view: GatewayView | None, selector: str = "workload=triton", signal: Signal = RATE
) -> Value | NoData:
    return evaluate_gateway(signal, view, "inference", parse_selector(selector), NOW)


def shown(window: TargetWindow, **others: object) -> GatewayView:
    return replace(VIEW, reading=replace(READING, windows={30.0: {TRITON: window}}, **others))  # type: ignore[arg-type]


def standing(*found: Standing, ahead: float = NOW - 45.0, seconds: float = 30.0) -> GatewayView:
    windows = [replace(SEEN, standing=each, seconds=seconds) for each in found]
    shares = [replace(BUSY.shares[0], window=window) for window in windows]
    return shown(TargetWindow(shares, seen=True), ahead=ahead)


def test_a_rate_is_a_value_without_any_pod() -> None:
    assert answer(VIEW) == Value(2.0, 5.0, 30, labels={"source": "prometheus", "gateway": "istio"})


def test_flat_series_on_a_scraped_gateway_are_idle() -> None:
    for signal in (RATE, P95):
        told = answer(shown(FLAT), signal=signal)
        assert isinstance(told, Value)
        assert (told.value, told.idle) == (0.0, True)


def test_no_series_of_a_workload_that_a_gateway_lists_is_idle_and_of_another_one_no_data() -> None:
    """A gateway that was restarted shows no series until the first request; a mistyped name shows none for ever."""
    listed = answer(shown(ABSENT, listed=frozenset([TRITON])))
    unknown = answer(shown(ABSENT))
    assert isinstance(listed, Value)
    assert (listed.value, listed.idle) == (0.0, True)
    assert isinstance(unknown, NoData)
    assert (unknown.reason, "is that what it calls the workload?" in unknown.message) == (
        Reason.NO_SERIES,
        True,
    )


def test_what_a_departed_gateway_did_is_no_value_where_none_that_is_there_shows_the_workload() -> None:
    """A rollout of the gateway in which it gets another name for the workload: what the old ones did slides out, towards zero."""
    gone = replace(BUSY.shares[0], window=replace(SEEN, standing=Standing.DEPARTED))
    told = answer(shown(TargetWindow([gone, *ABSENT.shares], seen=False)))
    assert isinstance(told, NoData)
    assert told.reason is Reason.NO_SERIES


def test_requests_that_wait_at_the_gateway_are_not_idle() -> None:
    told = answer(shown(FLAT, active={TRITON: 3.0}))
    assert isinstance(told, NoData)
    assert told.reason is Reason.STALLED


@pytest.mark.parametrize(
    ("view", "reason", "said"),
    [
        (None, Reason.NO_GATEWAY, "no gateway is configured: give the section gateway"),
        (
            replace(VIEW, reading=None, failure=NOT_ASKED),
            Reason.NOT_ANSWERING,
            "Prometheus was not asked yet",
        ),
        (
            standing(),
            Reason.NOT_ANSWERING,
            "no istio gateway is seen: Prometheus has no fresh sample of istio_build; is it scraped?",
        ),
        (standing(Standing.DEPARTED), Reason.NOT_ANSWERING, "no istio gateway is seen"),
        (
            replace(
                VIEW,
                reading=replace(READING, ahead=NOW - 101.0),
                failure="Prometheus does not answer: timed out",
            ),
            Reason.NOT_ANSWERING,
            "gateway istio/10.0.0.1:15090 is not seen (Prometheus does not answer: timed out)",
        ),
        (
            standing(Standing.SILENT, ahead=NOW - 101.0),
            Reason.NOT_ANSWERING,
            "is not seen (Prometheus has no fresh sample of it; see its 'up')",
        ),
        (
            replace(VIEW, reading=replace(READING, lost={TRITON: ("istio", "10.0.0.2:15090")})),
            Reason.NOT_ANSWERING,
            "gateway istio/10.0.0.2:15090 is not seen (Prometheus has no fresh sample of it; see its 'up')",
        ),
        (
            standing(Standing.ANSWERED, seconds=0.0),
            Reason.WARMING_UP,
            "gateway istio/10.0.0.1:15090 was scraped once so far",
        ),
        (
            shown(replace(BUSY, stranger=("istio", "10.0.0.9:15090"))),
            Reason.NO_SERIES,
            "istio/10.0.0.9:15090 counts requests for 'triton-svc' and shows no istio_build",
        ),
        (
            replace(VIEW, reading=replace(READING, twice={TRITON: ("istio", "10.0.0.1:15090")})),
            Reason.UNKNOWN_LABEL,
            "istio/10.0.0.1:15090 is scraped more than once and would count twice: let gateway.instance_labels",
        ),
        (
            replace(VIEW, reading=replace(READING, unkept=True)),
            Reason.FAMILY_ABSENT,
            "Prometheus has no 'up' of any istio gateway by job, instance: one that falls silent could not be told from one",
        ),
        (replace(VIEW, reading=replace(READING, covered={30.0: False})), Reason.WARMING_UP, "is not covered"),
    ],
)
def test_what_cannot_be_seen_is_no_data_and_never_zero(view: GatewayView, reason: Reason, said: str) -> None:
    for signal in (RATE, P95):
        told = answer(view, signal=signal)
        assert isinstance(told, NoData)
        assert (told.reason, said in told.message) == (reason, True), told.message


def test_a_failed_tick_leaves_the_last_reading_until_it_is_too_old() -> None:
    failed = replace(VIEW, failure="Prometheus does not answer: timed out")
    assert answer(failed) == answer(VIEW)


@pytest.mark.parametrize(
    ("selector", "reason", "said"),
    [
        ("workload=triton,model=m", Reason.UNKNOWN_LABEL, "label 'model' cannot be selected"),
        ("workload=triton,version=1", Reason.UNKNOWN_LABEL, "label 'version' cannot be selected"),
        ("workload=triton,team=a", Reason.UNKNOWN_LABEL, "select by workload alone"),
        ("", Reason.UNKNOWN_LABEL, "workload=NAME"),
        ("workload", Reason.UNKNOWN_LABEL, "workload=NAME"),
        ("workload!=triton", Reason.UNKNOWN_LABEL, "workload=NAME"),
        ("workload in (triton,other)", Reason.UNKNOWN_LABEL, "workload=NAME"),
        (
            "workload=other",
            Reason.NO_TARGETS,
            "workload 'other' of this namespace is not among gateway.workloads",
        ),
    ],
)
def test_only_one_configured_workload_can_be_selected(selector: str, reason: Reason, said: str) -> None:
    told = answer(VIEW, selector)
    assert isinstance(told, NoData)
    assert (told.reason, said in told.message) == (reason, True), told.message


def test_another_namespace_has_no_such_workload() -> None:
    told = evaluate_gateway(RATE, VIEW, "default", parse_selector("workload=triton"), NOW)
    assert isinstance(told, NoData)
    assert told.reason is Reason.NO_TARGETS


def test_a_quantile_is_of_the_pooled_histogram_with_its_bounds() -> None:
    """95 of 100 lie halfway from 90 at 100 ms to 100 at 1000 ms."""
    told = answer(VIEW, signal=P95)
    assert isinstance(told, Value)
    assert told.value == pytest.approx(550.0)
    assert (told.labels["lower_bound"], told.labels["upper_bound"]) == ("100.000", "1000.000")


def test_a_quantile_of_gateways_with_other_buckets_is_of_all_their_requests() -> None:
    other = replace(SEEN, instance=("istio", "10.0.0.2:15090"))
    shares = [*BUSY.shares, Share(other, 2.0, {"200": 2.0})]
    two = TargetWindow(shares, True, [BUCKETS, {50.0: 2.0, inf: 2.0}])
    told = answer(shown(two), signal=P95)
    assert isinstance(told, Value)
    assert told.value == pytest.approx(100.0)  # 3.8 of 4


def test_a_quantile_without_durations_is_no_data() -> None:
    without = replace(BUSY, histograms=())
    absent = answer(shown(without, without_buckets=frozenset([TRITON])), signal=P95)
    refused = answer(shown(without), signal=P95)
    assert isinstance(absent, NoData)
    assert isinstance(refused, NoData)
    assert (absent.reason, "native ones are not read" in absent.message) == (Reason.FAMILY_ABSENT, True)
    assert refused.reason is Reason.NO_SUCCESS


@pytest.mark.parametrize("buckets", [{100.0: 1.8, 1000.0: 2.0}, {inf: 2.0}])
def test_a_quantile_is_never_of_those_gateways_alone_that_keep_all_buckets(
    buckets: dict[float, float],
) -> None:
    """Who drops buckets to save series would get the other gateways' quantile, or hear that the gateway refuses all requests. One
    without a request takes nothing away."""
    for histograms in ([BUCKETS, buckets], [buckets]):
        told = answer(shown(replace(BUSY, histograms=histograms)), signal=P95)
        assert isinstance(told, NoData)
        assert (told.reason, "keep every bucket" in told.message) == (Reason.FAMILY_ABSENT, True)
    flat = answer(shown(replace(BUSY, histograms=[BUCKETS, dict.fromkeys(buckets, 0.0)])), signal=P95)
    assert isinstance(flat, Value)


def test_the_trace_tells_each_gateway() -> None:
    told = evaluate_gateway(RATE, VIEW, "inference", parse_selector("workload=triton"), NOW, explain=True)
    assert told.trace == [
        {
            "gateway": "istio/10.0.0.1:15090",
            "prometheus": None,
            "standing": "answered",
            "counted": True,
            "behind_seconds": 0.0,
            "window_seconds": 30.0,
            "requests_per_second": 2.0,
            "by_code": {"200": 1.9, "503": 0.1},
            "contribution": 2.0,
        }
    ]


def test_the_contributions_of_a_trace_make_the_value() -> None:
    """One that answers, a silent one that counts as the first, and a young one of whose requests a part is assumed."""
    shares = [
        BUSY.shares[0],
        Share(replace(SEEN, standing=Standing.SILENT), 1.0, {"200": 1.0}),
        Share(replace(SEEN, young=True, begin=35.0), 3.0, {"200": 0.5}),
    ]
    view, selector = shown(replace(BUSY, shares=shares)), parse_selector("workload=triton")
    told = evaluate_gateway(RATE, view, "inference", selector, NOW, explain=True)
    assert isinstance(told, Value)
    mean = (2.0 + 3.0) / 2
    assert [row["contribution"] for row in told.trace] == [2.0, mean, 3.0]
    assert told.value == sum(row["contribution"] for row in told.trace)
    assert [row["requests_per_second"] for row in told.trace] == [2.0, 1.0, 0.5]
