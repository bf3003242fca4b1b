"""The section `gateway`: names that users may change, and mistakes told at their place."""

from pathlib import Path

import pytest

from autoscaler.config import Config, parse_config
from autoscaler.gateway_section import GatewaySection
from telemetry.gateways.kind import load_gateways
from telemetry.gateways.window import Target
from telemetry.located_yaml import InvalidFileError
from telemetry.rules_dir import rules_dir
from tests.deploy.example_config import example_block

KINDS = load_gateways(rules_dir() / "gateways")
BASE = "targets: {kubernetes: {}}\nprometheus: {url: 'http://p:9090', matchers: 'cluster=\"eu1\"'}\n"


def parse(text: str) -> Config:
    return parse_config(BASE + text, "c.yaml", KINDS)


def test_what_ships() -> None:
    assert sorted(KINDS) == ["envoy", "ingress-nginx", "istio"]


def test_a_kind_and_a_workload_are_enough() -> None:
    config = parse("gateway:\n  kind: istio\n  workloads: [{namespace: inference, workload: triton}]\n")
    assert config.gateway is not None
    names = config.gateway.names(KINDS["istio"], "")
    assert (names.kind, names.targets) == (KINDS["istio"], (Target("inference", "triton", "triton"),))


def test_the_example_is_right_and_shows_every_key() -> None:
    config = parse(example_block("gateway"))
    assert config.gateway is not None
    assert config.gateway.model_fields_set == set(GatewaySection.model_fields)


def test_every_name_may_be_another() -> None:
    config = parse(
        "gateway:\n  kind: envoy\n  workloads: [{namespace: inference, workload: triton, service: t/1}]\n"
        "  families: {requests: my_requests_total, buckets: my_ms_bucket, presence: my_up, knows: my_known, active: my_active}\n"
        '  matchers: \'reporter="source",env=~"prod.*"\'\n  instances: \'job="edge"\'\n'
        "  target: {upstream: '{namespace}_{service}'}\n  code: status_code\n  milliseconds: 1000\n"
        "  instance_labels: [cluster, pod]\n  replica_labels: [prometheus]\n"
    )
    assert config.gateway is not None
    names = config.gateway.names(KINDS["envoy"], 'cluster="eu1"')
    kind = names.kind
    assert (kind.requests, kind.buckets, kind.presence, kind.knows, kind.active) == (
        "my_requests_total",
        "my_ms_bucket",
        "my_up",
        "my_known",
        "my_active",
    )
    assert (kind.matchers, kind.instances, kind.code, kind.milliseconds, kind.targets) == (
        'reporter="source",env=~"prod.*"',
        'job="edge"',
        "status_code",
        1000,
        ({"upstream": "{namespace}_{service}"},),
    )
    assert (names.instance_labels, names.replica_labels, names.matchers) == (
        ("cluster", "pod"),
        ("prometheus",),
        'cluster="eu1"',
    )


WORKLOADS = "  workloads: [{namespace: a, workload: b}]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "gateway:\n  kind: isto\n" + WORKLOADS,
            "c.yaml:4:3: kind: rules/gateways has no such kind; there are envoy, ingress-nginx, istio",
        ),
        ("gateway:\n  kind: istio\n", "c.yaml:3:1: 'workloads' is missing here"),
        ("gateway:\n  kind: istio\n  workloads: []\n", "c.yaml:5:3: workloads: "),
        (
            "gateway:\n  kind: istio\n  workloads: [{namespace: a, workload: b}, {namespace: a, workload: b}]\n",
            "workload a/b is given twice",
        ),
        (
            "gateway:\n  kind: envoy\n  workloads: [{namespace: a, workload: x, service: s}, {namespace: b, workload: s}]\n",
            "c.yaml:3:1: gateway: the gateway calls both a/x and b/s 's' and cannot tell their requests apart",
        ),
        (
            'gateway:\n  kind: envoy\n  workloads: [{namespace: a, workload: x, service: "s\\n"}]\n',
            "c.yaml:5:43: service: ",
        ),
        ("gateway:\n  kind: istio\n" + WORKLOADS + "  matchers: reporter=source\n", "c.yaml:6:3: matchers: "),
        (
            "gateway:\n  kind: istio\n" + WORKLOADS + "  target: {svc: triton}\n",
            "c.yaml:6:3: target: no label names the target",
        ),
        (
            "gateway:\n  kind: istio\n" + WORKLOADS + "  target: {svc: '{service}('}\n",
            "is no regular expression",
        ),
        (
            "gateway:\n  kind: istio\n" + WORKLOADS + "  target: {svc: '(?=t){service}'}\n",
            "is no regular expression of Prometheus: invalid perl operator: (?=",
        ),
        (
            "gateway:\n  kind: istio\n" + WORKLOADS + "  families: {request: x}\n",
            "c.yaml:6:14: unknown key 'request'; did you mean 'requests'?",
        ),
    ],
)
def test_each_mistake_is_told_at_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidFileError) as refused:
        parse(text)
    assert said in str(refused.value), str(refused.value)


def test_the_same_service_of_two_namespaces_is_told_apart_where_the_gateway_says_the_namespace() -> None:
    both = "  workloads: [{namespace: a, workload: x, service: s}, {namespace: b, workload: s}]\n"
    assert parse("gateway:\n  kind: istio\n" + both).gateway is not None


def test_a_gateway_needs_a_prometheus() -> None:
    with pytest.raises(InvalidFileError, match="gateway needs the section prometheus"):
        parse_config("targets: {kubernetes: {}}\ngateway:\n  kind: istio\n" + WORKLOADS, "c.yaml", KINDS)


def test_a_kind_in_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "edge.yaml").write_text((rules_dir() / "gateways" / "envoy.yaml").read_text())
    with pytest.raises(InvalidFileError, match=r"kind 'envoy' belongs in envoy\.yaml"):
        load_gateways(tmp_path)
