"""Ticks: what fails leaves the last reading and is told, and a Prometheus in trouble is asked less often."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from telemetry.gateways.kind import load_gateways
from telemetry.gateways.queries import (
    MAX_SERIES,
    GatewayNames,
    TwoTargets,
    read_numbers,
    read_series,
    read_twice,
)
from telemetry.gateways.reading import Told, make_reading
from telemetry.gateways.source import IN_PART, NOT_ASKED, WENT_BACK, GatewaySettings, GatewaySource
from telemetry.gateways.window import Target
from telemetry.prometheus import PrometheusError, PrometheusSource
from telemetry.prometheus_matrix import Matrix, RawSeries, parse_matrix
from telemetry.prometheus_queries import TickReport
from telemetry.prometheus_vector import Vector
from telemetry.rules_dir import rules_dir

TRITON = Target("inference", "triton", "triton")
NAMES = GatewayNames(load_gateways(rules_dir() / "gateways")["istio"], (TRITON,))
NOW = 1_750_000_000.0
TIMES = [NOW - back for back in range(90, -1, -15)]
PROXY = {"job": "envoy-stats", "instance": "a", "component": "proxy"}
SERVED = {**PROXY, "destination_service": "triton.inference.svc.cluster.local", "response_code": "200"}


_PRESENT = 'istio_build{component="proxy"}'
_REQUESTS = 'istio_requests_total{destination_service=~"triton[.]inference[.]svc[.].+",reporter="source"}'
EXPECTED = (
    f"group by (job, instance) (up{{}} and on (job, instance) last_over_time({_PRESENT}[105000ms]))",
    f"group by (job, instance) (last_over_time({_PRESENT}[1h] offset 105000ms))",
    f"group by (job, instance, destination_service) (last_over_time({_REQUESTS}[1h])) and on (job, instance) up{{}}",
)

STILL_KEPT = r'group by (job, instance) (up{job=~"envoy\\-stats",instance=~"10\\.0\\.0\\.2:15090"})'


class Canned(PrometheusSource):
    """Answers the queries of a tick, and fails the test at any other."""

    def __init__(self) -> None:
        super().__init__("http://nowhere")
        self.asked: list[str] = []
        self.fails: PrometheusError | None = None
        self.warnings: tuple[str, ...] = ()
        self.proxies = 1
        self.lost: Sequence[dict[str, str]] = ()
        """What the query for the last hour answers."""
        self.kept: Sequence[dict[str, str]] = ()
        """The targets that a lost one is still among."""
        self.back = 0.0
        """By how many seconds its clock was set back; its samples of then are as they were."""

    async def vector(self, promql: str, at: float | None, read: Callable[[Vector], Any], **more: Any) -> Any:
        self._note(promql)
        if promql == "vector(time())":
            assert at is None
            return read(Vector(NOW + 2 - self.back, [{}], [NOW + 2 - self.back], (), 1))
        told: Sequence[dict[str, str]] = ()
        if promql == STILL_KEPT:
            told = self.kept
        else:
            assert promql in EXPECTED, promql
            told = self.lost if promql == EXPECTED[2] else ()
        return read(Vector(None, list(told), [1.0] * len(told), self.warnings, 1))

    async def matrix(self, promql: str, at: float, read: Callable[[Matrix], Any], **more: Any) -> Any:
        self._note(promql)
        assert at == NOW + 1 - self.back  # its present less delay
        family = promql.partition("{")[0]
        times = [time - self.back for time in TIMES]
        series: list[RawSeries] = []
        if family == "istio_build":
            each = tuple((time, 1.0) for time in times)
            series = [RawSeries({**PROXY, "pod": str(n)}, each) for n in range(self.proxies)]
        elif family == "istio_requests_total":
            series = [RawSeries(SERVED, tuple((time, 2 * time if not self.back else 7.0) for time in times))]
        else:
            assert family == "istio_request_duration_milliseconds_bucket", promql
        return read(Matrix(tuple(series), (), 1))

    def _note(self, promql: str) -> None:
        self.asked.append(promql)
        if self.fails is not None:
            raise self.fails


def gateways(source: Canned, reports: list[TickReport] | None = None) -> GatewaySource:
    told: list[TickReport] = [] if reports is None else reports
    return GatewaySource(NAMES, {30.0}, GatewaySettings(), source, lambda: 500.0, told.append)


def rate(source: GatewaySource) -> float:
    assert source.reading is not None
    return source.reading.windows[30.0][TRITON].rate


def test_a_series_that_two_targets_are_named_by_is_neither_s() -> None:
    """Of `triton` and `triton-b` by {service}.* the first would have been given the other's requests."""
    kind = NAMES.kind.model_copy(update={"targets": ({"destination_service": "{service}.*"},)})
    names = GatewayNames(kind, (TRITON, Target("inference", "triton-b", "triton-b")))
    one = RawSeries({**SERVED, "destination_service": "triton.inference.svc"}, ((NOW, 1.0),))
    both = RawSeries({**SERVED, "destination_service": "triton-b.inference.svc"}, ((NOW, 1.0),))
    assert [each.target for each in read_series(names, kind.requests, Matrix((one,), (), 1))] == [TRITON]
    with pytest.raises(
        TwoTargets, match="inference/triton and of inference/triton-b too, by destination_service"
    ):
        read_series(names, kind.requests, Matrix((one, both), (), 1))


def test_a_pattern_means_what_it_means_to_prometheus() -> None:
    """Python knows no such class of characters."""
    kind = NAMES.kind.model_copy(update={"targets": ({"destination_service": r"\pL*{service}"},)})
    one = RawSeries({**SERVED, "destination_service": "xtriton"}, ((NOW, 1.0),))
    (found,) = read_series(GatewayNames(kind, (TRITON,)), kind.requests, Matrix((one,), (), 1))
    assert found.target == TRITON


async def test_two_targets_of_one_series_are_told_and_end_no_loop() -> None:
    source, reports = Canned(), list[TickReport]()
    found = gateways(source, reports)
    found.names = GatewayNames(NAMES.kind, (TRITON, Target("inference", "again", "triton")))
    await found.tick()
    assert found.reading is None
    assert found.failure is not None
    assert "inference/triton and of inference/again" in found.failure
    assert [report.outcome for report in reports] == ["two_targets"]


async def test_a_tick_reads_everything_at_one_time() -> None:
    source = Canned()
    found = gateways(source)
    assert (found.reading, found.failure) == (None, NOT_ASKED)
    await found.tick()
    assert rate(found) == pytest.approx(2.0)
    assert found.failure is None
    assert found.reading is not None
    oldest = found.reading.windows[30.0][TRITON].oldest
    assert oldest is not None
    assert oldest.newest + found.reading.ahead == pytest.approx(498.0)
    assert [query.partition("{")[0].split("(")[0] for query in source.asked[:2]] == ["vector", "istio_build"]
    [requests] = [query for query in source.asked if query.startswith("istio_requests_total")]
    assert requests == f"{_REQUESTS}[105000ms]"
    assert len(source.asked) == 7


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("unreachable", "Prometheus does not answer: connection refused or unreachable"),
        ("timeout", "Prometheus does not answer: timed out"),
        ("forbidden", "Prometheus does not answer: these credentials may not read it"),
    ],
)
async def test_a_failure_is_told_and_leaves_the_last_reading(reason: Any, said: str) -> None:
    source, reports = Canned(), list[TickReport]()
    found = gateways(source, reports)
    await found.tick()
    source.fails = PrometheusError(reason, "detail", "remedy")
    await found.tick()
    assert rate(found) == pytest.approx(2.0)
    assert found.failure == said
    assert [report.outcome for report in reports] == ["ok", reason]


async def test_a_clock_that_was_set_back_shows_a_past_that_is_not_taken_for_the_present() -> None:
    """Prometheus refuses samples older than those it has, and for as long answers with those of the hour before: a quiet one."""
    source = Canned()
    found = gateways(source)
    await found.tick()
    source.back = 3600.0
    await found.tick()
    assert rate(found) == pytest.approx(2.0), "the reading from before, which grows too old"
    assert found.failure == WENT_BACK
    source.back = 10.0
    await found.tick()
    assert found.failure is None, "another server that is a little behind"


async def test_a_gateway_that_is_not_scraped_for_more_than_the_hour_is_lost_until_it_is_no_target() -> None:
    """It may serve all the while: without it the rate would fall, and pods with it."""
    source = Canned()
    found = gateways(source)
    away = {"job": "envoy-stats", "instance": "10.0.0.2:15090"}
    source.lost = [{**away, "destination_service": SERVED["destination_service"]}]
    source.kept = [away]

    async def lost() -> bool:
        await found.tick()
        assert found.reading is not None
        return found.reading.lost.get(TRITON) == ("envoy-stats", "10.0.0.2:15090")

    assert await lost()
    source.lost = []
    assert await lost()
    assert await lost()
    assert source.asked.count(STILL_KEPT) == 2
    source.kept = []
    assert not await lost()
    assert not await lost()
    assert source.asked.count(STILL_KEPT) == 3


async def test_an_answer_in_part_is_not_taken() -> None:
    source = Canned()
    found = gateways(source)
    source.warnings = ("a store did not answer",)
    await found.tick()
    assert (found.reading, found.failure) == (None, IN_PART)


async def test_too_many_gateways_are_told_with_what_to_narrow() -> None:
    source = Canned()
    found = gateways(source)
    source.proxies = MAX_SERIES + 1
    await found.tick()
    assert found.reading is None
    assert (
        found.failure
        == "Prometheus has more than 50000 series of istio_build for it: narrow gateway.instances"
    )


async def test_a_prometheus_in_trouble_is_asked_less_often() -> None:
    source = Canned()
    found = gateways(source)
    source.fails = PrometheusError("unreachable", "detail", "remedy")
    waits = []
    for _ in range(5):
        await found.tick()
        waits.append(found._circuit.wait(0.0))
    assert waits == [15.0, 15.0, 30.0, 60.0, 60.0]
    assert len(source.asked) == 5, "a tick ends with its first failure"


def test_requests_that_wait_are_summed_over_gateways_and_ways_of_naming_a_target() -> None:
    told = Told(
        NOW,
        0.0,
        {},
        frozenset(),
        frozenset(),
        frozenset(),
        [],
        [(TRITON, 2.0), (TRITON, 0.0)],
        frozenset(),
        [],
    )
    assert make_reading(told, [TRITON], [30.0], 31.0).active == {TRITON: 2.0}


def test_a_gauge_that_is_no_number_is_missing() -> None:
    labels = {"destination_service": "triton.inference.svc.cluster.local"}
    rows = Vector(NOW, [labels] * 2, [math.nan, 3.0], (), 1)
    assert read_numbers(NAMES, rows) == [(TRITON, 3.0)]


def presence(shift: float = 0.0, scrapes: Sequence[float] = TIMES, **labels: str) -> RawSeries:
    return RawSeries({**PROXY, **labels}, tuple((at + shift, 1.0) for at in scrapes))


@pytest.mark.parametrize(
    ("series", "twice"),
    [
        ([presence(), presence(7.0, prometheus="p1")], True),
        ([presence(), presence(7.0, replica="p1")], False),
        ([presence(), presence(7.0, cluster="eu2")], True),
        ([presence(), presence(tag="1.2")], False),
        ([presence(0, TIMES[:3], tag="1.1"), presence(0, TIMES[3:], tag="1.2")], False),
    ],
    ids=[
        "two servers that no label tells apart",
        "two that one does",
        "two clusters",
        "two series of one page",
        "an upgrade",
    ],
)
def test_a_gateway_that_counts_twice_is_seen_by_its_scrapes(series: list[RawSeries], twice: bool) -> None:
    assert bool(read_twice(NAMES, Matrix(tuple(series), (), 1))) == twice


def test_the_controllers_own_labels_name_no_workload() -> None:
    """A workload that has the namespace and the name of the controller's metrics Service is not everybody's backend."""
    kind = load_gateways(rules_dir() / "gateways")["ingress-nginx"]
    names = GatewayNames(kind, (Target("ingress-nginx", "metrics", "metrics"),))
    scraped = {
        "job": "i",
        "instance": "a",
        "namespace": "ingress-nginx",
        "service": "metrics",
        "status": "200",
    }
    of_others = RawSeries(
        {**scraped, "exported_namespace": "inference", "exported_service": "triton"}, ((1.0, 2.0),)
    )
    own = RawSeries(scraped, ((1.0, 2.0),))
    found = read_series(names, kind.requests, Matrix((of_others, own), (), 1))
    assert [(one.target.workload, one.code) for one in found] == [("metrics", "200")]


def test_a_matrix_is_read_without_what_is_no_number_and_without_native_histograms() -> None:
    body = {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {
                    "metric": {"__name__": "a", "x": "1"},
                    "values": [[1.5, "2"], [16.5, "NaN"], [31.5, "+Inf"]],
                },
                {"metric": {"__name__": "b"}, "histograms": [[1.5, {"count": "1"}]]},
            ],
        },
        "warnings": ["w"],
    }
    told = parse_matrix(json.dumps(body).encode())
    assert told.series == (RawSeries({"__name__": "a", "x": "1"}, ((1.5, 2.0),)),)
    assert told.warnings == ("w",)


def test_a_vector_is_no_matrix() -> None:
    with pytest.raises(ValueError, match="expected a matrix, got 'vector'"):
        parse_matrix(b'{"status":"success","data":{"resultType":"vector","result":[]}}')
