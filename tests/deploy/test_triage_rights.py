"""triton-triage as its service account, against the real API server: with the shipped rights it lacks none, without any one of
them it says which, and there is no other that it has."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from telemetry.kube_client import KubernetesClient
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.deploy.helm import CHECKOUT, NAMESPACE
from tests.deploy.test_install import deleted
from tests.deploy.triage_daemon import MANIFESTS, RIGHTS, TRITONS, TriageDaemon, grant
from tests.local_process import eventually
from tests.prometheus.alertmanager import AlertmanagerServer
from tests.prometheus.build_tools import AlertmanagerTools
from triage.oncall.rights import Right, missing_rights, rights

pytestmark = pytest.mark.asyncio(loop_scope="session")

WANTED = list(rights([TRITONS], NAMESPACE))
SECONDS = 30.0
AUTHORIZATION = "authorization.k8s.io/v1"
REPORTS = ("triton-ops.io/v1alpha1", "TriageReport")
OURS = f"triton-ops.io/namespace={TRITONS}"
OWN_IDENTITY = {
    ("create", "authorization.k8s.io", "selfsubjectaccessreviews"),
    ("create", "authorization.k8s.io", "selfsubjectrulesreviews"),
    ("create", "authentication.k8s.io", "selfsubjectreviews"),
}
"""What Kubernetes' own role system:basic-user lets everybody ask about themselves."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kubeconfig(control_plane: ControlPlane) -> AsyncIterator[Path]:
    yield await grant(control_plane)
    for report in await control_plane.api.list(*REPORTS, NAMESPACE, selector=OURS):
        await control_plane.api.delete(*REPORTS, report["metadata"]["name"], NAMESPACE)
    for manifest in MANIFESTS:
        if manifest["kind"] in RIGHTS:
            metadata = manifest["metadata"]
            where = (metadata["name"], metadata.get("namespace"))
            await control_plane.api.delete(manifest["apiVersion"], manifest["kind"], *where)
    await deleted(control_plane, TRITONS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def daemon(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TriageDaemon]:
    async with TriageDaemon(tmp_path_factory.mktemp("triage"), kubeconfig) as started:
        yield started


async def test_with_the_shipped_rights_it_says_that_none_is_missing(daemon: TriageDaemon) -> None:
    await eventually(lambda: _said(daemon, "rights_complete"), seconds=SECONDS)
    assert [line["count"] for line in daemon.told("rights_complete")] == [len(WANTED)]
    assert not daemon.told("right_missing")
    assert "[+]rights ok\n" in await daemon.text("/readyz?verbose")


async def test_what_the_example_alertmanager_sends_becomes_a_triagereport(
    daemon: TriageDaemon, control_plane: ControlPlane, alertmanager_tools: AlertmanagerTools, tmp_path: Path
) -> None:
    """Only the address and the token's place are others. An alert without the label stays where it was."""
    configuration = yaml.safe_load((CHECKOUT / "deploy" / "examples" / "alertmanager.yaml").read_text())
    [hook] = configuration["receivers"][0]["webhook_configs"]
    hook["url"], hook["http_config"]["authorization"]["credentials_file"] = daemon.url, str(daemon.token_file)
    labels = {"alertname": "TritonSlow", "namespace": TRITONS, "workload": "resnet", "severity": "critical"}
    async with AlertmanagerServer(
        alertmanager_tools, tmp_path / "alertmanager", configuration
    ) as alertmanager:
        await alertmanager.send(
            [{"labels": {**labels, "triage": "p99"}}, {"labels": {**labels, "workload": "other"}}]
        )
        found: list[Object] = []

        async def is_kept() -> bool:
            found[:] = await control_plane.api.list(*REPORTS, NAMESPACE, selector=OURS)
            return bool(found)

        await eventually(is_kept, seconds=SECONDS)
    assert [each["spec"]["workload"] for each in found] == [f"{TRITONS}/deployment/resnet"]
    assert 'triton_triage_notifications_total{code="200"} 1.0' in await daemon.text("/metrics")


@pytest.mark.parametrize("right", WANTED, ids=lambda right: str(right).replace(" ", "-"))
async def test_without_one_right_exactly_that_one_is_missing(
    control_plane: ControlPlane, kubeconfig: Path, right: Right
) -> None:
    async with KubernetesClient(kubeconfig=str(kubeconfig)) as api:

        async def lacks(*expected: Right) -> bool:
            return list(await missing_rights(api, WANTED)) == list(expected)

        await _take(control_plane, right)
        try:
            await eventually(lambda: lacks(right), seconds=SECONDS)
        finally:
            await control_plane.api.apply(_roles())
        await eventually(lacks, seconds=SECONDS)


async def test_a_service_that_starts_without_a_right_says_which_and_what_for(
    control_plane: ControlPlane, kubeconfig: Path, tmp_path: Path
) -> None:
    [logs] = [each for each in WANTED if each.resource == "pods/log"]
    await _take(control_plane, logs)
    try:
        async with TriageDaemon(tmp_path, kubeconfig) as without:
            await eventually(lambda: _said(without, "right_missing"), seconds=SECONDS)
            [line] = without.told("right_missing")
            told = "get pods/log in namespace inference"
            assert (line["right"], line["without_it"], line["needed"]) == (told, logs.why, False)
            assert f"[+]rights ok: missing: {told}\n" in await without.text("/readyz?verbose")
    finally:
        await control_plane.api.apply(_roles())


async def test_where_nobody_may_ask_for_rights_none_is_called_complete(
    control_plane: ControlPlane, kubeconfig: Path, tmp_path: Path
) -> None:
    """A hardened cluster may take Kubernetes' own binding away, by which everybody asks about themselves."""
    asking = ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "system:basic-user")
    subjects = (await control_plane.api.get(*asking))["subjects"]
    await control_plane.api.patch(*asking, {"subjects": []})
    try:
        async with TriageDaemon(tmp_path, kubeconfig) as unknowing:
            await eventually(lambda: _said(unknowing, "rights_unknown"), seconds=SECONDS)
            assert "[+]rights ok: not known yet\n" in await unknowing.text("/readyz?verbose")
    finally:
        await control_plane.api.patch(*asking, {"subjects": subjects})


@pytest.mark.parametrize("namespace", [TRITONS, NAMESPACE, "default", "kube-system"])
async def test_it_has_no_other_right_and_none_on_secrets(
    control_plane: ControlPlane, kubeconfig: Path, namespace: str
) -> None:
    """What the API server itself lists of this account; Secrets are asked for one by one, too."""
    expected = {
        (right.verb, right.group, right.resource) for right in WANTED if right.namespace in (namespace, "")
    }
    async with KubernetesClient(kubeconfig=str(kubeconfig)) as api:
        asked = {
            "apiVersion": AUTHORIZATION,
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        path = f"/apis/{AUTHORIZATION}/selfsubjectrulesreviews"
        status = json.loads(await api.post(path, json.dumps(asked).encode()))["status"]
        assert status["incomplete"] is False
        listed = {
            (verb, group, resource)
            for rule in status["resourceRules"]
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        assert listed - OWN_IDENTITY == expected
        verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
        secrets = [Right(verb, "", "secrets", namespace, "") for verb in verbs]
        assert list(await missing_rights(api, secrets)) == secrets


async def _said(daemon: TriageDaemon, event: str) -> bool:
    return bool(daemon.told(event))


def _roles() -> list[Object]:
    return [each for each in MANIFESTS if each["kind"] in ("Role", "ClusterRole")]


async def _take(control_plane: ControlPlane, right: Right) -> None:
    """Takes this one right from the service account."""
    for role in _roles():
        if role["metadata"].get("namespace", "") == right.namespace:
            await control_plane.api.apply(role | {"rules": _without(role["rules"], right)})


def _without(rules: list[Object], right: Right) -> list[Object]:
    """A rule grants each of its verbs on each of its resources: it is taken apart."""
    return [
        rule | {"resources": [resource], "verbs": [verb]}
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if (verb, rule["apiGroups"], resource) != (right.verb, [right.group], right.resource)
    ]
