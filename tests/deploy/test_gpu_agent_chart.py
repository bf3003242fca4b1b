"""triton-gpu-agent as the chart renders it, and as the real API server takes it."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from telemetry.gpu_agent.cli import main
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.deploy.helm import CHART, CHECKOUT, CUSTOM_KINDS, NAMESPACE, Helm, of_kind
from tests.deploy.test_install import deleted, kubectl
from tests.local_process import eventually

NAME = "triton-gpu-agent"
LOOKED_FOR_BY = ("docs/operations.md", "deploy/gpu-agent.yaml", "deploy/chart/templates/NOTES.txt")
"""Where a person is told how to look for a dcgm-exporter, when Helm does not."""
in_the_session = pytest.mark.asyncio(loop_scope="session")


def agent(**values: Any) -> Object:
    return {"gpuAgent": {"enabled": True, **values}}


EVERYTHING: Mapping[str, Any] = {
    **agent(
        namespace="gpus",
        mig=True,
        runtimeClassName="",
        seLinuxOptions={"type": "spc_t"},
        intervalSeconds=10,
        plainPort=9400,
        podMonitor={"enabled": True},
        priorityClassName="system-node-critical",
        nodeSelector={"gpu": "yes"},
        affinity={"nodeAffinity": {}},
        podLabels={"sidecar": "none"},
        podAnnotations={"example.com/scrape": "true"},
        extraVolumes=[{"name": "driver", "hostPath": {"path": "/home/kubernetes/bin/nvidia"}}],
        extraVolumeMounts=[{"name": "driver", "mountPath": "/usr/local/nvidia", "readOnly": True}],
        env=[{"name": "LD_LIBRARY_PATH", "value": "/usr/local/nvidia/lib64"}],
        maxUnavailable=1,
    ),
    "networkPolicy": {"plainFrom": [{"namespaceSelector": {}}]},
    "imagePullSecrets": [{"name": "registry"}],
    "customLabels": {"team": "ml"},
    "customAnnotations": {"example.com/owner": "ml"},
}


def test_without_being_asked_for_nothing_of_it_is_there(helm: Helm) -> None:
    assert not [each for each in helm.template() if NAME in each["metadata"]["name"]]


def test_root_is_all_that_its_pod_has_and_only_for_the_kubelets_socket(helm: Helm) -> None:
    pod = _pod(helm, agent())
    assert pod["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["volumes"] == [
        {
            "name": "pod-resources",
            "hostPath": {"path": "/var/lib/kubelet/pod-resources", "type": "Directory"},
        }
    ]
    assert [mount["readOnly"] for mount in container["volumeMounts"]] == [True]
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    granted = [each for each in helm.template(agent()) if "Role" in each["kind"] and NAME in json.dumps(each)]
    assert granted == [], "it asks no API server"


def test_for_mig_it_has_the_one_capability_that_nvidias_runtime_asks_for(helm: Helm) -> None:
    """NVIDIA/nvidia-container-toolkit: who asks for NVIDIA_MIG_MONITOR_DEVICES without CAP_SYS_ADMIN is not started."""
    [container] = _pod(helm, agent(mig=True))["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_ADMIN"]}
    assert {"name": "NVIDIA_MIG_MONITOR_DEVICES", "value": "all"} in container["env"]
    [plain] = _pod(helm, agent())["containers"]
    assert "NVIDIA_MIG_MONITOR_DEVICES" not in json.dumps(plain)


def test_without_owners_it_is_not_root_and_mounts_nothing(helm: Helm) -> None:
    pod = _pod(helm, agent(owners=False))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    [container] = pod["containers"]
    assert "--no-owners" in container["args"]
    assert not pod.get("volumes")
    assert not container.get("volumeMounts")


@pytest.mark.parametrize("values", [agent(), agent(owners=False, intervalSeconds=2.5)])
def test_its_arguments_are_ones_that_the_program_takes(helm: Helm, values: Object) -> None:
    [container] = _pod(helm, values)["containers"]
    assert container["command"] == [f"/opt/triton-ops/bin/{NAME}"]
    command, *words = container["args"]
    taken = main.commands[command].make_context(command, words).params  # raises what the program would say
    assert taken["interval"] == values["gpuAgent"].get("intervalSeconds", 5.0)
    [port] = container["ports"]
    assert port == {"name": "http", "containerPort": taken["port"]}
    assert [container[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")] == [
        "http"
    ] * 2
    folders = [Path(mount["mountPath"]) for mount in container.get("volumeMounts", [])]
    assert folders == ([] if taken["no_owners"] else [taken["pod_resources"].parent])


def test_it_runs_on_gpu_nodes_by_their_runtime_with_the_nodes_name(helm: Helm) -> None:
    pod = _pod(helm, agent())
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["runtimeClassName"] == "nvidia"
    environment = {each["name"]: each for each in pod["containers"][0]["env"]}
    assert environment["NODE_NAME"]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert environment["NVIDIA_VISIBLE_DEVICES"]["value"] == "all"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"]["value"] == "utility"


def test_prometheus_keeps_the_owners_labels(helm: Helm) -> None:
    """Else it would call them exported_namespace, exported_pod and exported_container."""
    objects = helm.template(agent(podMonitor={"enabled": True}, namespace="gpus"))
    monitor = of_kind(objects, "PodMonitor", NAME)
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["honorLabels"], endpoint["port"], endpoint["path"]) == (True, "http", "/metrics")
    labels = of_kind(objects, "DaemonSet", NAME)["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["gpus"]}


def test_its_network_policy_lets_monitoring_in_and_nothing_out(helm: Helm) -> None:
    monitoring = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    objects = helm.template({**agent(), "networkPolicy": {"plainFrom": monitoring}})
    spec = of_kind(objects, "NetworkPolicy", NAME)["spec"]
    assert spec["ingress"] == [{"ports": [{"port": "http"}], "from": monitoring}]
    assert spec["egress"] == []
    assert spec["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"enable": True}, ["/gpuAgent", "enable"]),
        ({"intervalSeconds": 0}, ["/gpuAgent/intervalSeconds"]),
        ({"plainPort": 80}, ["/gpuAgent/plainPort"]),
        ({"namespace": "Gpus"}, ["/gpuAgent/namespace"]),
        ({"kubeletFolder": "var/lib/kubelet"}, ["/gpuAgent/kubeletFolder"]),
    ],
)
def test_the_schema_refuses_a_wrong_value_and_says_where(helm: Helm, values: Object, told: list[str]) -> None:
    error = helm.refusal({"gpuAgent": values})
    assert all(part in error for part in told), error


@in_the_session
@pytest.mark.parametrize("values", [agent(), EVERYTHING], ids=["as shipped", "every value set"])
async def test_what_the_chart_renders_has_no_unknown_field(
    helm: Helm, control_plane: ControlPlane, values: Mapping[str, Any]
) -> None:
    for namespace in (NAMESPACE, "gpus"):
        await control_plane.create_namespace(namespace)
    rendered = helm.template(values)
    file = control_plane.folder / "rendered.yaml"
    file.write_text(yaml.safe_dump_all([each for each in rendered if each["kind"] not in CUSTOM_KINDS]))
    told = await kubectl(
        control_plane, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file
    )
    assert told.code == 0, told.error


@in_the_session
@pytest.mark.parametrize(
    ("values", "standard", "admitted"),
    [
        (agent(), "privileged", True),
        (agent(), "baseline", False),
        (agent(owners=False), "restricted", True),
    ],
)
async def test_which_pod_security_standard_admits_its_pod(
    helm: Helm, control_plane: ControlPlane, values: Object, standard: str, admitted: bool
) -> None:
    """As docs/security.md says it; by the API server's own admission."""
    namespace = f"gpu-agent-{standard}"
    await control_plane.create_namespace(namespace)
    labels = {"pod-security.kubernetes.io/enforce": standard}
    await control_plane.api.patch("v1", "Namespace", namespace, {"metadata": {"labels": labels}})
    spec = {**_pod(helm, values), "serviceAccountName": "default", "runtimeClassName": None}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": spec,
    }
    file = control_plane.folder / "pod.yaml"
    file.write_text(yaml.safe_dump(pod))
    told = await kubectl(control_plane, "create", "--dry-run=server", "-f", file)
    assert (told.code == 0) == admitted, told.error
    assert admitted or "hostPath" in told.error


@in_the_session
@pytest.mark.parametrize(
    "labels",
    [
        {"app.kubernetes.io/name": "dcgm-exporter"},
        {"app": "nvidia-dcgm-exporter"},
        {"app.kubernetes.io/name": "gke-managed-dcgm-exporter"},
    ],
)
async def test_beside_a_dcgm_exporter_it_stays_off_and_says_so(
    helm: Helm, control_plane: ControlPlane, labels: Mapping[str, str]
) -> None:
    await control_plane.create_namespace("monitoring")
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(_daemon_set("exporter", labels))
    try:
        off = await _dry_run(helm, control_plane)
        assert "kind: DaemonSet" not in off.partition("NOTES:")[0]
        assert "triton-gpu-agent is off: monitoring/exporter is a dcgm-exporter" in off
        for told in LOOKED_FOR_BY:
            [look] = re.findall(r"kubectl (get daemonsets .+) \| grep (\S+)", (CHECKOUT / told).read_text())
            listed = await kubectl(control_plane, *look[0].split())
            assert [line for line in listed.output.splitlines() if look[1] in line], told
        both = await _dry_run(helm, control_plane, "--set", "gpuAgent.besideDcgmExporter=true")
        assert "kind: DaemonSet" in both
    finally:
        await control_plane.api.delete("apps/v1", "DaemonSet", "exporter", "monitoring")
    on = await _dry_run(helm, control_plane)
    assert "kind: DaemonSet" in on
    assert "triton-gpu-agent runs on nodes with these labels: nvidia.com/gpu.present=true" in on


@in_the_session
@pytest.mark.parametrize("label", ["nvidia.com/gpu.deploy.client", "nvidia.com/gpu.deploy.device-plugin"])
@pytest.mark.parametrize("paused", ["paused-for-driver-upgrade", "paused-for-mig-change"])
async def test_it_leaves_a_node_while_the_gpu_operator_changes_its_driver_or_mig(
    helm: Helm, control_plane: ControlPlane, label: str, paused: str
) -> None:
    """The operator evicts no DaemonSet but those that go by these labels (NVIDIA/gpu-operator#2570): who stays holds the driver,
    which then cannot be unloaded. A node without the labels has its agent all the same."""
    api, node = control_plane.api, "gpu-node"
    namespace = await control_plane.create_namespace("gpu-agent-affinity")
    daemon_set = of_kind(helm.template(agent(namespace=namespace, runtimeClassName="")), "DaemonSet", NAME)
    daemon_set["spec"]["template"]["spec"] |= {
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 0,  # no kubelet is there to end it
    }
    metadata = {"name": node, "labels": {"nvidia.com/gpu.present": "true"}}

    async def becomes(count: int) -> str:
        async def reached() -> bool:
            return len(await api.list("v1", "Pod", namespace)) == count

        await eventually(reached, seconds=30)
        return next((pod["metadata"]["name"] for pod in await api.list("v1", "Pod", namespace)), "")

    await api.apply([{"apiVersion": "v1", "kind": "Node", "metadata": metadata}, daemon_set])
    try:
        await api.patch(
            "v1", "Node", node, {"spec": {"taints": None}}
        )  # which a new one has until it is ready
        pod = await becomes(1)
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}}
        binding |= {"target": {"kind": "Node", "name": node}}
        await api.call("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/binding", binding)
        for value, count in ((paused, 0), ("true", 1)):
            await api.patch("v1", "Node", node, {"metadata": {"labels": {label: value}}})
            await becomes(count)
    finally:
        await api.delete("apps/v1", "DaemonSet", NAME, namespace)
        await becomes(0)
        await api.delete("v1", "Node", node)


async def _dry_run(helm: Helm, control_plane: ControlPlane, *options: str) -> str:
    command: list[str | Path] = ["install", "scaling", CHART, "--namespace", NAMESPACE, "--dry-run=server"]
    command += ["--kubeconfig", control_plane.kubeconfig, "--set", "gpuAgent.enabled=true", *options]
    command += ["--set", "apiService.create=false"]
    told = await asyncio.to_thread(helm.run, *command)
    assert told.code == 0, told.error
    return told.output


def _daemon_set(name: str, labels: Mapping[str, str]) -> Object:
    selector = {"exporter": "yes"}
    container = {"name": "main", "image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.2-4.8.1-distroless"}
    template = {"metadata": {"labels": selector}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "monitoring", "labels": dict(labels)},
        "spec": {"selector": {"matchLabels": selector}, "template": template},
    }


def _pod(helm: Helm, values: Object) -> Object:
    pod: Object = of_kind(helm.template(values), "DaemonSet", NAME)["spec"]["template"]["spec"]
    return pod


@in_the_session
async def test_the_plain_manifest_is_applied_and_removed_as_it_says(control_plane: ControlPlane) -> None:
    for words in (("apply", "--validate=strict"), ("delete", "--wait=false")):
        told = await kubectl(control_plane, *words, "-f", "deploy/gpu-agent.yaml")
        assert told.code == 0, told.error
        assert "arning" not in told.error, told.error
    await deleted(control_plane, NAME)
