"""What the chart renders, and what it refuses, without a cluster."""

from typing import Any

import pytest

from autoscaler.config import TlsFiles, parse_config
from scripts.render_manifests import rendered
from tests.controlplane.kube_client import Object
from tests.deploy.build_tools import ensure_helm
from tests.deploy.helm import CERT_MANAGER, CHART, MONITORS, NAMESPACE, RELEASE, Helm, kinds, of_kind

TWO_NAMESPACES = {"config": {"targets": {"kubernetes": {"namespaces": ["inference", "batch"]}}}}


def test_the_chart_is_clean_by_helms_own_lint(helm: Helm) -> None:
    linted = helm.run("lint", "--strict", CHART)
    assert linted.code == 0, linted.output + linted.error


def test_the_plain_manifests_are_what_the_chart_and_the_rules_render() -> None:
    """`make manifests` writes them anew."""
    for file, text in rendered(ensure_helm()).items():
        assert file.read_text() == text, f"{file} is not what is rendered: make manifests"


def test_a_pod_may_do_nothing_but_run(helm: Helm) -> None:
    """Each container of the Deployment and of `helm test`: not root, no capability, nothing writable."""
    objects = helm.template()
    pods = [of_kind(objects, "Deployment")["spec"]["template"]["spec"], of_kind(objects, "Pod")["spec"]]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) == {"memory"}, "a CPU limit would delay answers"


def test_two_replicas_are_spread_and_one_may_be_disrupted(helm: Helm) -> None:
    objects = helm.template()
    deployment = of_kind(objects, "Deployment")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    labels = deployment["selector"]["matchLabels"]
    [spread] = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["labelSelector"]["matchLabels"]) == (
        "kubernetes.io/hostname",
        labels,
    )
    budget = of_kind(objects, "PodDisruptionBudget")["spec"]
    assert (budget["maxUnavailable"], budget["selector"]["matchLabels"]) == (1, labels)
    assert of_kind(objects, "Service")["spec"]["selector"] == labels
    assert not labels.items() <= of_kind(objects, "Pod")["metadata"]["labels"].items(), (
        "the Service would send the API server to the test's pod"
    )


def test_the_configuration_is_one_that_the_daemon_takes(helm: Helm) -> None:
    objects = helm.template({**TWO_NAMESPACES, "listenPort": 7443}, "--namespace", "elsewhere")
    config = parse_config(of_kind(objects, "ConfigMap")["data"]["config.yaml"])
    assert config.targets.kubernetes is not None
    assert config.targets.kubernetes.namespaces == ("inference", "batch")
    assert (config.server.port, config.server.service.namespace) == (7443, "elsewhere")
    api_service = of_kind(objects, "APIService")["spec"]["service"]
    assert api_service == {"namespace": "elsewhere", "name": RELEASE, "port": 443}
    assert config.server.service.name == of_kind(objects, "Service")["metadata"]["name"] == RELEASE


def test_named_namespaces_need_no_right_in_others(helm: Helm) -> None:
    objects = helm.template(TWO_NAMESPACES)
    bound = {
        each["metadata"]["namespace"]: each["roleRef"]["name"]
        for each in objects
        if each["kind"] == "RoleBinding"
    }
    assert bound == {
        "inference": f"{RELEASE}-targets",
        "batch": f"{RELEASE}-targets",
        "kube-system": "extension-apiserver-authentication-reader",
    }
    assert of_kind(objects, "ClusterRoleBinding")["roleRef"]["name"] == f"{RELEASE}-apiservice"


def test_static_targets_need_no_right_to_read_pods(helm: Helm) -> None:
    static = [{"pod": "triton-0", "metrics_url": "http://10.0.0.5:8002/metrics"}]
    objects = helm.template({"config": {"targets": {"kubernetes": None, "static": static}}})
    assert of_kind(objects, "ClusterRole")["metadata"]["name"] == f"{RELEASE}-apiservice"
    parse_config(of_kind(objects, "ConfigMap")["data"]["config.yaml"])
    assert len(of_kind(objects, "NetworkPolicy")["spec"]["egress"]) == 1, "the API server alone"


def test_the_network_policy_names_each_port_and_peer(helm: Helm) -> None:
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    policy = {"plainFrom": [monitoring], "apiServer": {"cidrs": ["10.1.0.0/28"]}}
    spec = of_kind(helm.template({**TWO_NAMESPACES, "networkPolicy": policy}), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    api_server = [{"ipBlock": {"cidr": "10.1.0.0/28"}}]
    assert spec["ingress"] == [
        {"ports": [{"port": "https"}], "from": api_server},
        {"ports": [{"port": "http"}], "from": [monitoring]},
    ]
    namespaces = {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": ["inference", "batch"],
    }
    tritons = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "triton"}},
        "namespaceSelector": {"matchExpressions": [namespaces]},
    }
    assert spec["egress"] == [
        {"ports": [{"port": 443}, {"port": 6443}], "to": api_server},
        {"ports": [{"port": 8002}, {"port": 8000}], "to": [tritons]},
    ]


def test_a_prometheus_that_is_the_source_is_reached_and_no_other_port_of_anybody(helm: Helm) -> None:
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    source = {"source": "prometheus", "prometheus": {"url": "http://prometheus.monitoring.svc:9090"}}
    policy = {"prometheus": {"ports": [9091], "to": [monitoring]}}
    without = of_kind(helm.template(), "NetworkPolicy", RELEASE)["spec"]["egress"]
    egress = of_kind(helm.template({"config": source, "networkPolicy": policy}), "NetworkPolicy", RELEASE)[
        "spec"
    ]["egress"]
    names = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert [each for each in egress if each not in without] == [
        {"ports": [{"port": 9091}], "to": [monitoring]},
        {"ports": names},
    ]


def test_gpu_exporters_that_are_asked_directly_may_be_listed_and_reached_and_nothing_more(helm: Helm) -> None:
    exporters = [
        {"namespace": "gpu-operator", "selector": "app=nvidia-dcgm-exporter"},
        {"namespace": "gpu-operator", "selector": "app=other"},
    ]
    objects = helm.template({"config": {"gpu": {"exporters": exporters}}})
    without = of_kind(helm.template(), "NetworkPolicy", RELEASE)["spec"]["egress"]
    egress = of_kind(objects, "NetworkPolicy", RELEASE)["spec"]["egress"]
    named = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["gpu-operator"]}
    peers = {"namespaceSelector": {"matchExpressions": [named]}}
    assert [each for each in egress if each not in without] == [
        {"ports": [{"port": 9400}, {"port": 8080}], "to": [peers]}
    ]
    role = of_kind(objects, "Role", f"{RELEASE}-gpu-exporters")
    assert role["metadata"]["namespace"] == "gpu-operator"
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]
    binding = of_kind(objects, "RoleBinding", f"{RELEASE}-gpu-exporters")
    assert binding["metadata"]["namespace"] == "gpu-operator"
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    [subject] = binding["subjects"]
    account = of_kind(objects, "Deployment", RELEASE)["spec"]["template"]["spec"]["serviceAccountName"]
    assert subject == {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    parse_config(of_kind(objects, "ConfigMap")["data"]["config.yaml"])


def test_tritons_own_policy_lets_in_the_autoscaler_beside_the_clients(helm: Helm) -> None:
    gateway = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}
    triton = {"namespaces": ["inference"], "inferenceFrom": [gateway], "metricsFrom": [gateway]}
    objects = helm.template({"networkPolicy": {"triton": triton}})
    spec = of_kind(objects, "NetworkPolicy", f"{RELEASE}-triton")["spec"]
    labels = of_kind(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    autoscaler = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "triton-ops"}},
        "podSelector": {"matchLabels": labels},
    }
    assert spec["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "triton"}}
    assert spec["ingress"] == [
        {"ports": [{"port": 8002}, {"port": 8000}], "from": [autoscaler]},
        {"ports": [{"port": 8000}, {"port": 8001}], "from": [gateway]},
        {"ports": [{"port": 8002}], "from": [gateway]},
    ]


def test_monitors_scrape_the_plain_port_of_this_release_alone(helm: Helm) -> None:
    assert not kinds(helm.template()) & {"ServiceMonitor", "PodMonitor"}
    objects = helm.template(MONITORS)
    labels = of_kind(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    service = of_kind(objects, "Service")
    for kind, endpoints, selected in (
        ("ServiceMonitor", "endpoints", service["metadata"]["labels"]),
        ("PodMonitor", "podMetricsEndpoints", labels),
    ):
        spec = of_kind(objects, kind)["spec"]
        assert spec["selector"]["matchLabels"] == labels
        assert labels.items() <= selected.items()
        assert spec["namespaceSelector"] == {"matchNames": ["triton-ops"]}
        [endpoint] = spec[endpoints]
        assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
        assert endpoint["honorLabels"], "namespace and pod of the Triton, not of the autoscaler"
    assert "http" in {port["name"] for port in service["spec"]["ports"]}


def test_cert_managers_certificate_takes_the_place_of_the_own_ca(helm: Helm) -> None:
    """The right to write the APIService goes with it."""
    objects = helm.template(CERT_MANAGER)
    injected = of_kind(objects, "APIService")["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
    certificate = of_kind(objects, "Certificate", injected.removeprefix("triton-ops/"))["spec"]
    assert certificate["dnsNames"] == [f"{RELEASE}.triton-ops.svc"]
    pod = of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    assert {"secretName": certificate["secretName"]} in [volume.get("secret") for volume in pod["volumes"]]
    config = parse_config(of_kind(objects, "ConfigMap")["data"]["config.yaml"])
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert config.server.tls == TlsFiles(
        certificate=f"{mounts['tls']}/tls.crt", key=f"{mounts['tls']}/tls.key"
    )
    [rule] = of_kind(objects, "ClusterRole", f"{RELEASE}-apiservice")["rules"]
    assert rule["verbs"] == ["get"]


def test_a_digest_wins_over_a_tag(helm: Helm) -> None:
    assert _image(helm, {}) == "triton-ops:0.1.0"
    assert (
        _image(helm, {"image": {"repository": "registry/triton-ops", "tag": "1"}}) == "registry/triton-ops:1"
    )
    digest = f"sha256:{'a' * 64}"
    assert _image(helm, {"image": {"tag": "1", "digest": digest}}) == f"triton-ops@{digest}"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replicaCount": 3}, ["replicaCount", "not allowed"]),  # many charts call it so
        ({"replicas": "two"}, ["/replicas", "want integer"]),
        ({"listenPort": 443}, ["/listenPort", "1,024"]),
        ({"config": {"server": {"port": 1}}}, ["/config/server"]),
        ({"config": {"targets": {"kubernetes": {"namespace": "inference"}}}}, ["/config/targets/kubernetes", "namespace"]),
        ({"config": {"targets": {"kubernetes": {"namespaces": ["Inference"]}}}}, ["/namespaces/0", "Inference"]),
        ({"image": {"digest": "sha256:abc"}}, ["/image/digest", "pattern"]),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, ["/podDisruptionBudget/maxUnavailable"]),
        ({"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1"]}}}, ["/cidrs/0", "10.0.0.1"]),
        ({"prometheus": {"podMonitor": {"enable": True}}}, ["/prometheus/podMonitor", "enable"]),
    ],
)  # fmt: skip
def test_the_schema_refuses_a_wrong_value_and_says_where(helm: Helm, values: Object, told: list[str]) -> None:
    error = helm.refusal(values)
    assert all(part in error for part in told), error


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"networkPolicy": {"triton": {"namespaces": ["inference"]}}},
            "inferenceFrom is empty: a policy that selects Triton's pods cuts off whom no policy allows",
        ),
        (
            {"config": {"targets": {"kubernetes": {"selector": "app in (triton, vllm)"}}}},
            "networkPolicy.triton.podSelector, or set networkPolicy.enabled=false",
        ),
        (
            {
                "config": {
                    "targets": {"static": [{"pod": "a", "metrics_url": "http://10.0.0.5:8002/metrics"}]}
                }
            },
            "config.targets has both kubernetes and static",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_remedy(helm: Helm, values: Object, told: str) -> None:
    assert told in helm.refusal(values)


def test_notes_say_when_nobody_looked_for_another_adapter(helm: Helm) -> None:
    """A client-side dry run has no cluster to ask."""
    notes = helm.run("install", RELEASE, CHART, "--namespace", "triton-ops", "--dry-run=client")
    assert notes.code == 0, notes.error
    assert "nobody looked whether another adapter has the external metrics API" in notes.output
    assert f"helm test {RELEASE} -n triton-ops" in notes.output


def _image(helm: Helm, values: dict[str, Any]) -> str:
    image: str = of_kind(helm.template(values), "Deployment")["spec"]["template"]["spec"]["containers"][0][
        "image"
    ]
    return image
