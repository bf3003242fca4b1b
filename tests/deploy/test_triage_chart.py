"""What the chart renders of triton-triage, and what it refuses, without a cluster."""

from typing import Any

import pytest
import yaml

from tests.controlplane.kube_client import Object
from tests.deploy.helm import CHECKOUT, MONITORS, NAMESPACE, Helm, kinds, of_kind
from triage.oncall.config import OncallConfig, read_oncall_config
from triage.oncall.rights import rights

NAME = "triton-triage"
NAMESPACES = ("inference", "batch")
TRITONS = {"namespaces": list(NAMESPACES)}
PROMETHEUS = {"url": "http://prometheus.monitoring.svc:9090"}
SLACK = {"channel": "C0123456789", "mentions": {"critical": ["<!subteam^S0123456789>"]}}
Granted = tuple[str, str, str, str]
"""Verb, group, resource and namespace, as `Right` has them."""


def triage(config: Object | None = None, **values: Any) -> Object:
    """Values with triage in two namespaces."""
    return {"triage": {"enabled": True, "config": {"tritons": TRITONS, **(config or {})}, **values}}


def test_without_being_asked_for_nothing_of_it_is_there(helm: Helm) -> None:
    assert not [each for each in helm.template() if NAME in each["metadata"]["name"]]


@pytest.mark.parametrize("record", [NAMESPACE, None, "elsewhere"])
def test_the_rights_given_are_those_that_the_program_needs(helm: Helm, record: str | None) -> None:
    """None missing, none more; in each namespace by a Role there, and nodes alone in the cluster."""
    config = {} if record == NAMESPACE else {"record": {"namespace": record}}
    wanted = {
        (right.verb, right.group, right.resource, right.namespace) for right in rights(NAMESPACES, record)
    }
    assert _granted(helm.template(triage(config))) == wanted


def test_without_the_right_on_nodes_it_has_none_in_the_cluster(helm: Helm) -> None:
    objects = helm.template(triage(readNodes=False))
    assert not [
        each
        for each in objects
        if each["kind"].startswith("ClusterRole") and NAME in each["metadata"]["name"]
    ]
    all_rights = {
        (each.verb, each.group, each.resource, each.namespace) for each in rights(NAMESPACES, NAMESPACE)
    }
    assert all_rights - _granted(objects) == {("get", "", "nodes", "")}


def test_each_key_of_the_configuration_is_in_the_example() -> None:
    shown = read_oncall_config(CHECKOUT / "deploy" / "examples" / "triage.yaml")
    assert not _left_out(shown)


def test_the_configuration_is_one_that_the_program_takes(helm: Helm) -> None:
    """Each file that it names is mounted there, and each token is one key of a Secret."""
    secrets = {
        "webhookTls": {"name": "alerts-tls", "clientCa": True},
        "prometheusToken": {"name": "tenant", "key": "bearer"},
    }
    config = {
        "prometheus": PROMETHEUS,
        "slack": SLACK,
        "record": {"most_bundle_bytes": 5 << 30},
        "at_once": 4,
    }
    objects = helm.template(triage(config, secrets=secrets, webhookPort=9443))
    parsed = _parsed(objects)
    assert (parsed.tritons.namespaces, parsed.record.namespace) == (NAMESPACES, NAMESPACE)
    assert (parsed.at_once, parsed.record.most_bundle_bytes, parsed.webhook.port) == (4, 5 << 30, 9443)
    files = _files(_pod(objects))
    assert parsed.webhook.tls is not None
    assert parsed.prometheus is not None
    assert parsed.slack is not None
    assert files == {
        parsed.webhook.token_file: ("triton-triage-webhook", "token"),
        parsed.webhook.tls.certificate: ("alerts-tls", "tls.crt"),
        parsed.webhook.tls.key: ("alerts-tls", "tls.key"),
        parsed.webhook.tls.client_ca: ("alerts-tls", "ca.crt"),
        parsed.prometheus.token_file: ("tenant", "bearer"),
        parsed.slack.token_file: ("triton-triage-slack", "token"),
    }
    assert not {"Secret"} & kinds(objects), "the chart makes no Secret"


def test_where_nothing_is_set_no_secret_is_mounted_that_need_not_be_there(helm: Helm) -> None:
    objects = helm.template(triage())
    parsed = _parsed(objects)
    assert (parsed.prometheus, parsed.slack) == (None, None)
    assert set(_files(_pod(objects))) == {parsed.webhook.token_file}


def test_a_pod_may_do_nothing_but_run_and_write_its_volume(helm: Helm) -> None:
    pod = _pod(helm.template(triage()))
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == [str(_parsed(helm.template(triage())).data)]
    assert set(container["resources"]["limits"]) == {"memory"}, "a CPU limit would delay verdicts"


def test_one_pod_has_the_volume_and_its_predecessor_is_gone(helm: Helm) -> None:
    objects = helm.template(triage())
    deployment = of_kind(objects, "Deployment", NAME)["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert _data(_pod(objects)) == {"persistentVolumeClaim": {"claimName": NAME}}
    claim = of_kind(objects, "PersistentVolumeClaim")
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Gi"}}}
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(
    ("persistence", "volume"),
    [
        ({"existingClaim": "ours"}, {"persistentVolumeClaim": {"claimName": "ours"}}),
        ({"enabled": False}, {"emptyDir": {"sizeLimit": "8Gi"}}),
    ],
)
def test_the_volume_may_be_another(helm: Helm, persistence: Object, volume: Object) -> None:
    objects = helm.template(triage(persistence=persistence))
    assert _data(_pod(objects)) == volume
    assert "PersistentVolumeClaim" not in kinds(objects)


def test_a_changed_configuration_makes_a_new_pod_and_nothing_else_does(helm: Helm) -> None:
    one, same, other = (
        of_kind(helm.template(values), "Deployment", NAME)["spec"]["template"]["metadata"]["annotations"]
        for values in (triage(), triage(resources={}), triage({"at_once": 3}))
    )
    assert one == same != other


def test_services_and_monitors_find_their_own_pod_and_no_other(helm: Helm) -> None:
    objects = helm.template({**triage(), **MONITORS})
    labels = of_kind(objects, "Deployment", NAME)["spec"]["selector"]["matchLabels"]
    autoscaler = of_kind(objects, "Deployment", "triton-autoscaler")["spec"]["template"]["metadata"]["labels"]
    assert not labels.items() <= autoscaler.items()
    service = of_kind(objects, "Service", NAME)
    assert service["spec"]["selector"] == labels
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == {"alerts": 9095, "http": 8080}
    for kind, endpoints in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        spec = of_kind(objects, kind, NAME)["spec"]
        assert spec["selector"]["matchLabels"] == labels
        assert labels.items() <= service["metadata"]["labels"].items()
        [endpoint] = spec[endpoints]
        assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
        assert of_kind(objects, kind, "triton-autoscaler")["spec"]["selector"]["matchLabels"] != labels


def test_the_network_policy_names_each_port_and_peer(helm: Helm) -> None:
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    proxy = {"ipBlock": {"cidr": "10.2.0.7/32"}}
    own = {
        "alertsFrom": [monitoring],
        "prometheus": {"to": [monitoring]},
        "slack": {"ports": [3128], "to": [proxy]},
        "dns": {"to": [proxy]},
    }
    values = triage({"prometheus": PROMETHEUS, "slack": SLACK}, networkPolicy=own)
    shared = {"plainFrom": [monitoring], "apiServer": {"cidrs": ["10.1.0.0/28"]}}
    spec = of_kind(helm.template({**values, "networkPolicy": shared}), "NetworkPolicy", NAME)["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [
        {"ports": [{"port": "alerts"}], "from": [monitoring]},
        {"ports": [{"port": "http"}], "from": [monitoring]},
    ]
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(NAMESPACES)}
    tritons = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "triton"}},
        "namespaceSelector": {"matchExpressions": [names]},
    }
    assert spec["egress"] == [
        {"ports": [{"port": 443}, {"port": 6443}], "to": [{"ipBlock": {"cidr": "10.1.0.0/28"}}]},
        {"ports": [{"port": 8002}, {"port": 8000}], "to": [tritons]},
        {"ports": [{"port": 9090}], "to": [monitoring]},
        {"ports": [{"port": 3128}], "to": [proxy]},
        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}], "to": [proxy]},
    ]


def test_where_neither_prometheus_nor_slack_is_asked_nothing_else_is_open(helm: Helm) -> None:
    spec = of_kind(helm.template(triage()), "NetworkPolicy", NAME)["spec"]
    assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [
        [443, 6443],
        [8002, 8000],
    ]


def test_tritons_own_policy_lets_triage_in_where_it_looks(helm: Helm) -> None:
    shut = {"namespaces": ["inference", "other"], "inferenceFrom": [{"namespaceSelector": {}}]}
    objects = helm.template({**triage(), "networkPolicy": {"triton": shut}})
    policies = {
        each["metadata"]["namespace"]: each["spec"]["ingress"][0]["from"]
        for each in objects
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "triton-autoscaler-triton"
    }
    peers = {
        namespace: [peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in those]
        for namespace, those in policies.items()
    }
    assert peers == {"inference": ["triton-autoscaler", NAME], "other": ["triton-autoscaler"]}


@pytest.mark.parametrize(
    ("release", "name"),
    [("triton-autoscaler", NAME), ("scaling", "scaling-triton-triage")],
)
def test_it_is_called_like_the_autoscaler_beside_it(helm: Helm, release: str, name: str) -> None:
    objects = yaml.safe_load_all(
        helm.run("template", release, CHECKOUT / "deploy" / "chart", values=triage()).output
    )
    names = {each["metadata"]["name"] for each in objects if each and each["kind"] == "Deployment"}
    assert names == {name, name.replace("triage", "autoscaler")}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"triage": {"enabled": True}}, ["/triage/config/tritons/namespaces", "minItems"]),
        (triage({"webhook": {"port": 1}}), ["/triage/config/webhook"]),
        (triage({"slack": {"channel": "#oncall"}}), ["/triage/config/slack/channel", "#oncall"]),
        (triage({"slack": {**SLACK, "token_file": "/t"}}), ["/triage/config/slack", "token_file"]),
        (triage({"record": {"data": "/tmp"}}), ["/triage/config/record", "data"]),
        (triage(webhookPort=443), ["/triage/webhookPort", "1,024"]),
        (triage(replicas=2), ["/triage", "replicas"]),
        (triage(secrets={"slackToken": {"name": "a", "key": "../b"}}), ["/triage/secrets/slackToken/key", "pattern"]),
        (triage(persistence={"size": "8 GB"}), ["/triage/persistence/size", "pattern"]),
        (triage(secrets={"webhookToken": {"name": ""}}), ["triage.secrets: anybody could send alerts"]),
        (
            triage(secrets={"webhookToken": {"name": ""}, "webhookTls": {"name": "tls"}}),
            ["triage.secrets: anybody could send alerts", "clientCa"],
        ),
        (
            triage({"tritons": {**TRITONS, "selector": "app in (triton, vllm)"}}),
            ["triage.config.tritons.selector", "networkPolicy.triton.podSelector"],
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_place(helm: Helm, values: Object, told: list[str]) -> None:
    error = helm.refusal(values)
    assert all(part in error for part in told), error


def test_notes_name_each_secret_that_must_be_there(helm: Helm) -> None:
    values = triage({"slack": SLACK}, persistence={"enabled": False})
    notes = helm.run(
        "install", "t", CHECKOUT / "deploy" / "chart", "-n", NAMESPACE, "--dry-run=client", values=values
    )
    assert notes.code == 0, notes.error
    for told in (
        "http://t-triton-triage.triton-ops.svc:9095/alerts",
        "kubectl create secret generic triton-triage-webhook -n triton-ops --from-file=token=FILE",
        "kubectl create secret generic triton-triage-slack -n triton-ops --from-file=token=FILE",
        "kubectl get triagereports -n triton-ops",
        "bundles and the audit record go with the pod",
    ):
        assert told in notes.output


def _granted(objects: list[Object]) -> set[Granted]:
    """What the service account may do. Each binding is of a role in its own namespace, and of this account alone."""
    roles = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in objects
    }
    granted: set[Granted] = set()
    for binding in objects:
        account = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
        if account not in binding.get("subjects", []):
            continue
        assert binding["subjects"] == [account]
        namespace = binding["metadata"].get("namespace", "")
        role = roles[binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"]]
        for rule in role["rules"]:
            assert set(rule) == {"apiGroups", "resources", "verbs"}
            granted |= {
                (verb, group, resource, namespace)
                for verb in rule["verbs"]
                for group in rule["apiGroups"]
                for resource in rule["resources"]
            }
    return granted


def _parsed(objects: list[Object]) -> OncallConfig:
    return OncallConfig.model_validate(
        yaml.safe_load(of_kind(objects, "ConfigMap", NAME)["data"]["config.yaml"])
    )


def _pod(objects: list[Object]) -> Object:
    pod: Object = of_kind(objects, "Deployment", NAME)["spec"]["template"]["spec"]
    return pod


def _data(pod: Object) -> Object:
    [volume] = [each for each in pod["volumes"] if each["name"] == "data"]
    return {key: value for key, value in volume.items() if key != "name"}


def _files(pod: Object) -> dict[str | None, tuple[str, str]]:
    """Of each file that comes from a Secret: which, and which key of it."""
    places = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    return {
        f"{places[volume['name']]}/{item['path']}": (volume["secret"]["secretName"], item["key"])
        for volume in pod["volumes"]
        if "secret" in volume
        for item in volume["secret"]["items"]
    }


def _left_out(section: Any) -> list[str]:
    """Keys of the model that the file does not set, sections within sections too."""
    if not hasattr(section, "model_fields_set"):
        return []
    missing = sorted(set(type(section).model_fields) - section.model_fields_set)
    return missing + [
        f"{name}.{key}" for name in section.model_fields_set for key in _left_out(getattr(section, name))
    ]
