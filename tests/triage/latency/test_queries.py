"""A measure and a target as PromQL. That real servers take it is in tests/prometheus."""

import re
from typing import Any

import pytest

from triage.latency.measures import Alternative
from triage.latency.queries import (
    Names,
    SeriesTarget,
    Unscoped,
    build_query,
    escape_regex,
    quote,
    result_labels,
)

PODS = {"namespace": "{namespace}", "pod": "{pods}"}
TARGET = SeriesTarget("ns", ("a-0", "b.0"), "triton", nodes=("n",))


WORKLOAD = SeriesTarget(workload="w")


def way(kind: str, **more: Any) -> Alternative:
    return Alternative.model_validate({"family": "f", "kind": kind, "scope": PODS, **more})


IN = '{namespace="ns",pod=~"a-0|b\\\\.0"}'


@pytest.mark.parametrize(
    ("alternative", "query"),
    [
        (way("rate", scale=0.001), f"sum by (pod) (rate(f{IN}[60s])) * 0.001"),
        (way("mean", pool="mean"), f"avg by (pod) (avg_over_time(f{IN}[60s]))"),
        (way("peak"), f"sum by (pod) (max_over_time(f{IN}[60s]))"),
        (way("last", pool="max"), f"max by (pod) (f{IN})"),
        (
            way("quantile", quantile="0.99", pool="max"),
            f'max by (pod) (f{IN[:-1]},quantile="0.99"}} >= 0)',
        ),
        (
            way("histogram", quantile="0.5", scale=1000),
            f"histogram_quantile(0.5, sum by (pod, le) (rate(f{IN}[60s]))) * 1000",
        ),
        (
            way("rate", over={"family": "g", "where": {"kind": "!x"}}),
            f'sum by (pod) (rate(f{IN}[60s])) / sum by (pod) (rate(g{IN[:-1]},kind!~"x"}}[60s]))',
        ),
        (
            way("rate", where={"code": "504"}, zero=True),
            f'(sum by (pod) (rate(f{IN[:-1]},code="504"}}[60s])) or sum by (pod) (rate(f{IN}[60s])) * 0)',
        ),
        (
            way("rate", plus=["g"]),
            f'sum by (pod) (rate(f{IN}[60s]) or label_replace(rate(g{IN}[60s]), "family", "g", "", ""))',
        ),
        (
            way("rate", top={"most": 3, "by": ["pod"]}),
            f"(sum by (pod) (rate(f{IN}[60s])) and topk by (pod) "
            f"(3, max_over_time((sum by (pod) (rate(f{IN}[60s])))[7200s:60s] @ end())))",
        ),
        (
            way("rate", scope={"node": "{nodes}"}, but=PODS, labels={"pod": "exported_pod"}),
            '(sum by (exported_pod) (rate(f{node="n"}[60s])) unless on (namespace, exported_pod) '
            f"last_over_time(f{IN.replace('pod=', 'exported_pod=')}[60s]))",
        ),
        (
            way("present"),
            f"sum by (pod) (present_over_time(f{IN}[60s]))",
        ),
        (  # samples that mean nothing are left out one by one
            way("mean", pool="mean", below=1e14),
            f"avg by (pod) (avg_over_time((f{IN} < 1e+14)[60s:15s]))",
        ),
        (
            way("last", pool="max", bits={"heat": 6}, below=1e14),
            f'max by (pod) (label_replace(floor((f{IN} < 1e+14) / 64) % 2, "reason", "heat", "", ""))',
        ),
        (
            way("last", scope={}, held={"family": "owner", "by": ["uuid"], "scope": PODS}),
            f"(sum by (pod) (f{{}}) and on (uuid) last_over_time(owner{IN}[7200s] @ end()))",
        ),
        (
            way("last", labels={"pod": ["exported_pod", "pod"]}, scope={}),
            "sum by (exported_pod, pod) (f{})",
        ),
        (
            way("rate", labels={"pod": "exported_pod"}),
            f"sum by (exported_pod) (rate(f{IN.replace('pod=', 'exported_pod=')}[60s]))",
        ),
    ],
)
def test_each_kind_is_read_in_its_own_way(alternative: Alternative, query: str) -> None:
    assert build_query(alternative, ["pod"], TARGET, 60.0) == query


def test_a_label_that_prometheus_lacks_narrows_nothing_and_is_not_asked_for() -> None:
    names = Names({"namespace": "", "pod": "instance", "node": ""})
    query = build_query(way("last"), ["pod", "node"], SeriesTarget("ns", ("a",)), 60.0, names)
    assert query == 'sum by (instance) (f{instance="a"})'
    assert result_labels(way("last"), ["pod", "node"], names) == {"pod": ("instance",)}


def test_pods_that_are_not_known_are_those_of_the_workload() -> None:
    assert build_query(way("last"), [], SeriesTarget("", (), "w"), 60.0) == 'sum by () (f{pod=~"w-.+"})'


def test_pods_of_its_own_are_named_as_kubernetes_names_them_and_nobody_elses_are() -> None:
    (own,) = re.findall(r'x=~"(.+)"', build_query(way("last", scope={"x": "{own}"}), [], WORKLOAD, 60.0))
    for pod in ("w-7c5d8b9f6d-x2v9k", "w-x2v9k", "w-12"):
        assert re.fullmatch(own, pod)
    for pod in ("w-batch-7c5d8b9f6d-x2v9k", "w-batch-x2v9k", "w-canary-0", "w", "ww-0"):
        assert not re.fullmatch(own, pod)


def test_who_is_left_out_is_known_or_nothing_is_asked() -> None:
    with pytest.raises(Unscoped, match="which pods are its own"):
        build_query(way("rate", but={"pod": "{own}"}), [], SeriesTarget("ns"), 60.0)


def test_the_largest_are_those_of_the_range_that_is_asked_for() -> None:
    query = build_query(way("rate", scope={}, top={"most": 9}), [], TARGET, 30.0, span=600.0)
    assert (
        query
        == "(sum by () (rate(f{}[30s])) and topk (9, max_over_time((sum by () (rate(f{}[30s])))[600s:30s] @ end())))"
    )
    said = build_query(
        Alternative(family="f", kind="expression", expr="f[$window] $span"), [], TARGET, 30.0, span=9.0
    )
    assert said == "f[30s] 9s"


@pytest.mark.parametrize("place", ["nodes", "workload", "hpa", "services", "own"])
def test_what_only_the_target_can_tell_is_not_guessed(place: str) -> None:
    with pytest.raises(Unscoped):
        build_query(way("last", scope={"x": f"{{{place}}}"}), [], SeriesTarget("ns"), 60.0)
    known = SeriesTarget("ns", ("n",), nodes=("n",), workload="n", hpa="n", services=("n",))
    assert build_query(way("last", scope={"x": f"{{{place}}}"}), [], known, 60.0) == 'sum by () (f{x="n"})'


def test_a_status_is_told_by_class_also_where_its_label_has_our_name() -> None:
    other = build_query(way("rate", scope={}, labels={"code": "status"}), ["code"], TARGET, 60.0)
    assert '"code", "${1}xx", "status", "([2-5])(..)?"' in other
    own = build_query(way("rate", scope={}), ["code"], TARGET, 60.0)
    assert '"code", "${1}xx", "was", "([2-5])(..)?"' in own


@pytest.mark.parametrize(
    ("value", "regex", "quoted"),
    [
        ("plain-name_0", "plain-name_0", '"plain-name_0"'),
        ("a.b|c", "a\\.b\\|c", '"a.b|c"'),
        ('q"\\', 'q"\\\\', '"q\\"\\\\"'),
        ("!not", "[!]not", '"!not"'),
        ("two\nlines", "two\nlines", '"two\\nlines"'),
    ],
)
def test_signs_that_mean_something_are_escaped(value: str, regex: str, quoted: str) -> None:
    assert escape_regex(value) == regex
    assert quote(value) == quoted
