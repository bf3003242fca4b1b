"""Installing, upgrading and removing on the real API server: with Helm, and with kubectl from the plain manifests."""

import asyncio
import base64
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane.control_plane import ControlPlane
from tests.deploy.helm import CERT_MANAGER, CHART, CHECKOUT, CUSTOM_KINDS, Ended, Helm

pytestmark = pytest.mark.asyncio(loop_scope="session")

API_SERVICE = ("apiregistration.k8s.io/v1", "APIService", "v1beta1.external.metrics.k8s.io")
RELEASE, NAMESPACE = "scaling", "scaling-tests"
FULLNAME = f"{RELEASE}-triton-autoscaler"
PODS = "app.kubernetes.io/name=triton-autoscaler"
SECONDS = 60.0
EVERYTHING: Mapping[str, Any] = {
    **CERT_MANAGER,
    "config": {"targets": {"kubernetes": {"namespaces": ["default"]}}},
    "networkPolicy": {
        "plainFrom": [{"namespaceSelector": {}}],
        "apiServer": {"cidrs": ["10.0.0.0/8", "fd00::/8"]},
        "triton": {"namespaces": ["default"], "inferenceFrom": [{"namespaceSelector": {}}]},
        "extraEgress": [{"ports": [{"port": 53, "protocol": "UDP"}]}],
    },
    "podDisruptionBudget": {"minAvailable": "50%"},
    "hostNetwork": {"enabled": True},
    "serviceAccount": {"annotations": {"example.com/role": "reader"}},
    "customLabels": {"team": "ml"},
    "customAnnotations": {"example.com/owner": "ml"},
    "podLabels": {"sidecar": "none"},
    "podAnnotations": {"example.com/scrape": "true"},
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"kubernetes.io/arch": "arm64"},
    "tolerations": [{"key": "cpu-only", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "env": [{"name": "TZ", "value": "UTC"}],
    "extraVolumes": [{"name": "rules", "configMap": {"name": "rules"}}],
    "extraVolumeMounts": [{"name": "rules", "mountPath": "/rules"}],
    "extraArguments": ["--rules=/rules"],
}


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["as shipped", "every value set"])
async def test_what_the_chart_renders_has_no_unknown_field(
    helm: Helm, control_plane: ControlPlane, values: Mapping[str, Any]
) -> None:
    """By the API server's own strict validation; kinds of operators that do not run here are left out."""
    await control_plane.create_namespace(NAMESPACE)
    rendered = helm.template(values, "--namespace", NAMESPACE)
    file = control_plane.folder / "rendered.yaml"
    file.write_text(yaml.safe_dump_all([each for each in rendered if each["kind"] not in CUSTOM_KINDS]))
    told = await kubectl(
        control_plane, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file
    )
    assert told.code == 0, told.error


async def test_helm_installs_upgrades_and_removes_the_apiservice_first(
    helm: Helm, control_plane: ControlPlane
) -> None:
    """In a namespace with the restricted Pod Security Standard, whose pods kube-apiserver admits."""
    await control_plane.create_namespace(NAMESPACE)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await control_plane.api.patch("v1", "Namespace", NAMESPACE, {"metadata": {"labels": labels}})
    await _helm(helm, control_plane, "install", RELEASE, CHART)
    await _until_admitted(control_plane, NAMESPACE, 2)
    replicas_cas = base64.b64encode(control_plane.certificates.cluster_ca.read_bytes()).decode()
    await control_plane.api.patch(*API_SERVICE, {"spec": {"caBundle": replicas_cas}})
    await _helm(helm, control_plane, "upgrade", RELEASE, CHART, "--set", "replicas=3")
    kept = await control_plane.api.get(*API_SERVICE)
    assert kept["spec"]["caBundle"] == replicas_cas, "an upgrade took out the replicas' CAs"
    await _until_admitted(control_plane, NAMESPACE, 3)
    async with _Removals(control_plane, NAMESPACE, FULLNAME) as removals:
        await _helm(helm, control_plane, "uninstall", RELEASE)
        assert (await removals.in_order())[0] == "APIService"
    await deleted(control_plane, NAMESPACE)


async def test_the_plain_manifests_are_applied_and_removed_as_they_say(control_plane: ControlPlane) -> None:
    install, api_service = "deploy/install.yaml", "deploy/apiservice.yaml"
    await deleted(control_plane, "triton-ops")  # what other tests left of it
    for step in (("apply", "-f", install), ("create", "-f", api_service)):
        told = await kubectl(control_plane, *step)
        assert told.code == 0, told.error
        assert "arning" not in told.error, told.error
    await _until_admitted(control_plane, "triton-ops", 2)
    removed: list[tuple[str, ...]] = [
        ("delete", "-f", api_service),
        ("delete", "--wait=false", "-f", install),
    ]
    for words in removed:
        told = await kubectl(control_plane, *words)
        assert told.code == 0, told.error
    await deleted(control_plane, "triton-ops")


async def test_another_adapters_slot_is_never_taken(helm: Helm, control_plane: ControlPlane) -> None:
    """Helm and `kubectl create` fail, changing nothing, and say whose it is; beside it, without the API, the chart installs."""
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.install_external_metrics(1, namespace="keda", service="keda-metrics-apiserver")
    release = {"meta.helm.sh/release-name": "keda", "meta.helm.sh/release-namespace": "keda"}
    await control_plane.api.patch(*API_SERVICE, {"metadata": {"annotations": release}})
    before = (await control_plane.api.get(*API_SERVICE))["spec"]
    try:
        refused = await _run_helm(helm, control_plane, "install", RELEASE, CHART)
        owner = "belongs to Service keda/keda-metrics-apiserver (Helm release keda)"
        assert refused.code != 0
        assert owner in refused.error
        assert "--set apiService.create=false" in refused.error
        created = await kubectl(control_plane, "create", "-f", "deploy/apiservice.yaml")
        assert (created.code, "already exists" in created.error) == (1, True), created
        shown = await kubectl(control_plane, "get", "apiservice", API_SERVICE[2])
        assert "keda/keda-metrics-apiserver" in shown.output
        assert await control_plane.api.list("apps/v1", "Deployment", NAMESPACE) == []
        await _helm(helm, control_plane, "install", RELEASE, CHART, "--set", "apiService.create=false")
        await _helm(helm, control_plane, "uninstall", RELEASE)
        assert (await control_plane.api.get(*API_SERVICE))["spec"] == before
    finally:
        await control_plane.remove_external_metrics()


class _Removals:
    """An async context manager that sees the release's objects go. Their order is etcd's own: the revision of each deletion."""

    KINDS = (
        API_SERVICE[:2],
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    )

    def __init__(self, control_plane: ControlPlane, namespace: str, name: str) -> None:
        self._api = control_plane.api
        self._namespace = namespace
        self._name = name

    async def __aenter__(self) -> "_Removals":
        self._seen = [asyncio.Event() for _ in self.KINDS]
        self._tasks = [
            asyncio.create_task(self._revision(*kind, seen))
            for kind, seen in zip(self.KINDS, self._seen, strict=True)
        ]
        await asyncio.wait_for(asyncio.gather(*(seen.wait() for seen in self._seen)), SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()

    async def in_order(self) -> list[str]:
        revisions = await asyncio.wait_for(asyncio.gather(*self._tasks), SECONDS)
        return [kind for _, (_, kind) in sorted(zip(revisions, self.KINDS, strict=True))]

    async def _revision(self, api_version: str, kind: str, seen: asyncio.Event) -> int:
        names = {"APIService": API_SERVICE[2], "RoleBinding": f"{self._name}-auth-reader"}
        namespace = {"APIService": None, "RoleBinding": "kube-system"}.get(kind, self._namespace)
        fields = f"metadata.name={names.get(kind, self._name)}"
        async with aclosing(self._api.watch(api_version, kind, namespace, fields=fields)) as changes:
            async for event, found in changes:
                seen.set()
                if event == "DELETED":
                    return int(found["metadata"]["resourceVersion"])
        raise AssertionError("a watch goes on for ever")


async def _until_admitted(control_plane: ControlPlane, namespace: str, replicas: int) -> None:
    """The ReplicaSet has its pods: what admission refuses is never created, and the Deployment says why."""
    deadline = asyncio.get_running_loop().time() + SECONDS
    while True:
        pods = await control_plane.api.list("v1", "Pod", namespace, selector=PODS)
        if len(pods) == replicas:
            return
        [deployment] = await control_plane.api.list("apps/v1", "Deployment", namespace)
        assert asyncio.get_running_loop().time() < deadline, deployment["status"]
        await asyncio.sleep(0.1)


async def deleted(control_plane: ControlPlane, namespace: str) -> None:
    """Deletes the namespace and returns once it is gone; what holds it, if it stays."""
    await control_plane.api.delete("v1", "Namespace", namespace)
    deadline = asyncio.get_running_loop().time() + SECONDS
    while left := await control_plane.api.list("v1", "Namespace", fields=f"metadata.name={namespace}"):
        assert asyncio.get_running_loop().time() < deadline, left[0]["status"]
        await asyncio.sleep(0.2)


async def _helm(helm: Helm, control_plane: ControlPlane, *arguments: str | Path) -> None:
    ended = await _run_helm(helm, control_plane, *arguments)
    assert ended.code == 0, ended.error


async def _run_helm(helm: Helm, control_plane: ControlPlane, *arguments: str | Path) -> Ended:
    where = ("--namespace", NAMESPACE, "--kubeconfig", control_plane.kubeconfig)
    return await asyncio.to_thread(helm.run, *arguments, *where)


async def kubectl(control_plane: ControlPlane, *arguments: str | Path) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(str(control_plane.kubectl), "--kubeconfig", str(control_plane.kubeconfig), *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
    )
    output, error = await asyncio.wait_for(process.communicate(), SECONDS)
    return Ended(process.returncode or 0, output.decode(), error.decode())
