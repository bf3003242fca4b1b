"""Who sends the added requests: named where the gateway tells callers apart, and one stands out."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    gateway,
    incident,
    nothing_of,
    rules,
    served,
    settings,
    snapshot,
    steady,
    stepped,
)
from triage.latency.figures import figures
from triage.latency.measures import Alternative
from triage.latency.predicates.callers import callers_seen
from triage.latency.queries import SeriesTarget, build_query
from triage.render_html import render_html
from triage.report_of import report_of

GROWN: list[Part] = [
    served("m", rate=stepped(5, 10), queue=stepped(1, 900), infer=100.0),
    settings("m", instances=1),
    gateway("gateway_p99", stepped(120, 1200)),
]
"""From five requests a second to ten, which is all that one instance can do."""


def sends(source: str, before: float | None, during: float, namespace: str = "prod") -> Part:
    values = steady(before, 80) + steady(during, 40)
    return gateway("gateway_callers", values, source=source, source_namespace=namespace)


def traffic(before: float | None, during: float) -> Part:
    return gateway("gateway_requests", stepped(before, during), code="2xx")


@pytest.mark.parametrize(
    ("parts", "caller", "said"),
    [
        ([traffic(10, 50), sends("web", 9, 13), sends("batch", 1, 36)], "prod/batch",
         "of the +40 requests/s, 35 from prod/batch, 4 from prod/web"),
        ([traffic(10, 50), sends("web", 10, 10), sends("batch", None, 36)], "prod/batch",
         "of the +40 requests/s, 36 from prod/batch, 4 from others"),
        ([traffic(10, 50), sends("web", 5, 25), sends("app", 5, 25)], None,
         "of the +40 requests/s, in proportion to what each sent before: 20 from prod/app, 20 from prod/web"),
        ([traffic(10, 50), sends("istio-ingressgateway", 10, 50, "istio-system")], None,
         "of the +40 requests/s, 40 from istio-system/istio-ingressgateway"),
        ([traffic(10, 50), sends("unknown", 1, 41, "unknown"), sends("web", 9, 9)], None,
         "of the +40 requests/s, in proportion to what each sent before: 40 from callers outside of the mesh"),
        ([sends("web", 9, 9), sends("batch", 1, 36)], "prod/batch", "of the +35 requests/s, 35 from prod/batch"),
    ],
    ids=["one grew", "one came", "all alike", "one gateway", "unknown to the mesh", "no other count of requests"],
)  # fmt: skip
def test_the_caller_is_the_one_whose_part_of_what_was_added_stands_out(
    parts: list[Part], caller: str | None, said: str
) -> None:
    told = incident(*GROWN, *parts)
    assert figures(told).get("caller") == caller
    answer = callers_seen(told)
    assert (answer.value, answer.because, answer.evidence) == ("yes", said, ("gateway/gateway_callers",))


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([], "unknown", "no source tells the requests at the gateway by who sends them or by which route, the ten largest"),
        ([nothing_of("gateway/gateway_callers", "no_series")], "unknown", "ask again"),
        ([traffic(10, 10.2), sends("web", 10, 10.2)], "no", "no more requests come than before"),
        ([traffic(10, 50), sends("web", 1, 1)], "unknown", "the ten largest callers send no more than before"),
        ([traffic(None, 50), sends("web", None, 40), sends("batch", None, 10)], "unknown",
         "who sent requests before it began is not known"),
    ],
    ids=["not told", "no series", "no more", "somebody else", "not measured before"],
)  # fmt: skip
def test_who_sends_is_unknown_where_it_is_not_told(parts: list[Part], value: str, because: str) -> None:
    told = incident(*GROWN, *parts)
    answer = callers_seen(told)
    assert (answer.value, answer.because) == (value, because)
    assert "caller" not in figures(told)


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"host": "batch.example.com", "ingress": "batch"}, "host batch.example.com (ingress batch)"),
        ({"host": "batch.example.com"}, "host batch.example.com"),
        ({"ingress": "batch"}, "ingress batch"),
        ({"router": "batch@kubernetes"}, "router batch@kubernetes"),
        ({"source": "batch"}, "batch"),
        ({}, None),
    ],
)
def test_a_route_of_its_own_names_a_caller_too(labels: dict[str, str], name: str | None) -> None:
    parts = [gateway("gateway_callers", stepped(1, 36), **labels), sends("web", 9, 9)]
    assert figures(incident(*GROWN, *parts)).get("caller") == name


def test_the_report_shifts_or_caps_the_caller_where_it_is_known_and_else_does_not() -> None:
    known = snapshot(*GROWN, traffic(5, 10), sends("web", 4, 4), sends("batch", 1, 6), target="deploy/llm")
    report = report_of(known, rules())
    assert report.verdict.category == "overload"
    assert report.actions[1].do.startswith(
        "Shift or cap the traffic of prod/batch, which went from 1 requests/s to 6 requests/s"
    )
    assert "of the +5 requests/s, 5 from prod/batch" in report.why[-1].text
    unknown = report_of(snapshot(*GROWN, traffic(5, 10), target="deploy/llm"), rules())
    assert not any("CALLER" in action.do or "traffic of" in action.do for action in unknown.actions)
    assert "who sends the added requests" in {one.what for one in unknown.unseen}


def test_a_hostile_host_stays_text() -> None:
    hostile = gateway("gateway_callers", stepped(1, 6), host="<script>x</script>\x1b[2J`id`")
    report = report_of(snapshot(*GROWN, traffic(5, 10), sends("web", 4, 4), hostile), rules())
    assert "<script>" not in render_html(report)
    assert all("\x1b" not in fact.text for fact in report.why)


TARGET = SeriesTarget("serving", workload="triton")
RATE = 'rate(istio_requests_total{destination_workload_namespace="serving",destination_workload="triton",reporter'
BY = "sum by (source_workload_namespace, source_workload)"


def test_callers_are_asked_for_in_the_names_of_each_gateway() -> None:
    row = next(one for one in rules().sources["gateway"] if one.measure == "gateway_callers")
    client, server, nginx, traefik = (way for way in row.alternatives)

    def largest(read: str) -> str:
        return f"({read} and topk (10, max_over_time(({read})[7200s:60s] @ end())))"

    def asked(way: Alternative) -> str:
        return build_query(way, row.by, TARGET, 60.0)

    assert asked(client) == largest(f'{BY} ({RATE}="source"}}[60s]))')
    assert asked(server) == largest(f'{BY} ({RATE}=~"destination|waypoint"}}[60s]))')
    assert asked(nginx) == largest(
        'sum by (ingress, host) (rate(nginx_ingress_controller_requests{namespace="serving",service="triton"}[60s]))'
    )
    assert asked(traefik) == largest(
        'sum by (router) (rate(traefik_router_requests_total{service=~"(serving)-(.*-)?(triton)-.*@kubernetes.*"}[60s]))'
    )
