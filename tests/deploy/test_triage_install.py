"""Installing triton-triage on the real API server, and what its examples say to Alertmanager's own tool."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane.control_plane import ControlPlane
from tests.deploy.helm import CHECKOUT, CUSTOM_KINDS, NAMESPACE, Helm
from tests.deploy.test_install import deleted, kubectl
from tests.deploy.test_triage_chart import NAMESPACES, PROMETHEUS, SLACK, triage
from tests.deploy.triage_daemon import TRITONS
from tests.local_process import eventually
from tests.prometheus.build_tools import AlertmanagerTools

in_the_session = pytest.mark.asyncio(loop_scope="session")

SECONDS = 60.0
ALERTMANAGER = CHECKOUT / "deploy" / "examples" / "alertmanager.yaml"
EVERYTHING: Mapping[str, Any] = {
    **triage(
        {
            "prometheus": PROMETHEUS,
            "slack": SLACK,
            "record": {"keep": "168h", "most": 500},
            "follow_up": "5m",
        },
        secrets={"webhookTls": {"name": "tls", "clientCa": True}, "prometheusToken": {"name": "tenant"}},
        serviceAccount={"annotations": {"example.com/role": "reader"}},
        persistence={"storageClass": "fast", "size": "20Gi"},
        networkPolicy={
            "alertsFrom": [{"namespaceSelector": {}}],
            "prometheus": {"to": [{"namespaceSelector": {}}]},
            "slack": {"ports": [3128], "to": [{"ipBlock": {"cidr": "10.2.0.7/32"}}]},
            "extraEgress": [{"ports": [{"port": 3128}]}],
        },
        nodeSelector={"kubernetes.io/arch": "arm64"},
        tolerations=[{"key": "cpu-only", "operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        podLabels={"sidecar": "none"},
        podAnnotations={"example.com/scrape": "true"},
        extraArguments=["--rules=/rules"],
        extraVolumes=[{"name": "rules", "configMap": {"name": "rules"}}],
        extraVolumeMounts=[{"name": "rules", "mountPath": "/rules"}],
        env=[{"name": "TZ", "value": "UTC"}],
    ),
    "networkPolicy": {
        "plainFrom": [{"namespaceSelector": {}}],
        "apiServer": {"cidrs": ["10.0.0.0/8"]},
        "triton": {"namespaces": ["inference"], "inferenceFrom": [{"namespaceSelector": {}}]},
    },
    "imagePullSecrets": [{"name": "registry"}],
    "priorityClassName": "system-cluster-critical",
    "customLabels": {"team": "ml"},
    "customAnnotations": {"example.com/owner": "ml"},
}


@in_the_session
@pytest.mark.parametrize("values", [triage(), EVERYTHING], ids=["as shipped", "every value set"])
async def test_what_the_chart_renders_has_no_unknown_field(
    helm: Helm, control_plane: ControlPlane, values: Mapping[str, Any]
) -> None:
    """By the API server's own strict validation; kinds of operators that do not run here are left out."""
    own = "triage-tests"
    for namespace in (own, *NAMESPACES):
        await control_plane.create_namespace(namespace)
    rendered = helm.template({**values, "fullnameOverride": own}, "--include-crds", "--namespace", own)
    assert "CustomResourceDefinition" in {each["kind"] for each in rendered}
    file = control_plane.folder / "rendered.yaml"
    file.write_text(yaml.safe_dump_all([each for each in rendered if each["kind"] not in CUSTOM_KINDS]))
    told = await kubectl(
        control_plane, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", file
    )
    assert told.code == 0, told.error


@in_the_session
async def test_the_plain_manifests_are_applied_and_removed_as_they_say(control_plane: ControlPlane) -> None:
    """In a namespace with the restricted Pod Security Standard, whose pod kube-apiserver admits."""
    for namespace in (NAMESPACE, TRITONS):
        await control_plane.create_namespace(namespace)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await control_plane.api.patch("v1", "Namespace", NAMESPACE, {"metadata": {"labels": labels}})
    for file in ("deploy/triagereports.yaml", "deploy/triage.yaml"):
        told = await kubectl(control_plane, "apply", "--validate=strict", "-f", file)
        assert told.code == 0, told.error
    assert "arning" not in told.error, told.error

    async def is_admitted() -> bool:
        """What admission refuses is never created."""
        selector = "app.kubernetes.io/name=triton-triage"
        return len(await control_plane.api.list("v1", "Pod", NAMESPACE, selector=selector)) == 1

    await eventually(is_admitted, seconds=SECONDS)
    told = await kubectl(control_plane, "delete", "--wait=false", "-f", "deploy/triage.yaml")
    assert told.code == 0, told.error
    kept = await kubectl(control_plane, "get", "triagereports", "-n", NAMESPACE)
    assert kept.code == 0, "the records went with the program"
    for namespace in (NAMESPACE, TRITONS):
        await deleted(control_plane, namespace)


def test_the_example_is_one_that_alertmanager_takes(alertmanager_tools: AlertmanagerTools) -> None:
    checked = _amtool(alertmanager_tools, "check-config", ALERTMANAGER)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["triage=p99", "namespace=inference"], "triton-triage,on-call"),
        (["triage=load-failure"], "triton-triage,on-call"),
        (['triage=""'], "on-call"),
        (["alertname=Watchdog"], "on-call"),
    ],
)
def test_an_alert_goes_to_triage_by_its_label_and_still_where_it_went_before(
    alertmanager_tools: AlertmanagerTools, labels: list[str], receivers: str
) -> None:
    routed = _amtool(alertmanager_tools, "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels)
    assert routed.stdout.strip() == receivers, routed.stderr


def _amtool(tools: AlertmanagerTools, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tools.amtool, *words], capture_output=True, text=True, check=False)
