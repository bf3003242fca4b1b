"""Workloads that Argo Rollouts and Flagger roll out, as objects of a real API server after the sources of both. Their controllers
are not here, so what they would do is not shown; the questions, and the commands that are kubectl's own, are real."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from telemetry.kube_client import KubernetesClient
from telemetry.pod_lookup import find_pods
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import ApiRefused, Object
from tests.controlplane.test_rollouts import RIGHTS, Cluster, Plain, identity, kubectl, settled, workload
from tests.local_process import eventually
from triage.cluster_views import Canary, NoCanary, PodPlacements, Rollouts
from triage.evidence import Facts, Missing
from triage.owner import resume_command, stop_command
from triage.probes.cluster import cluster_questions
from triage.seal import Seal

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "progressive"
KINDS = (("argoproj.io", "v1alpha1", "Rollout", "rollouts"), ("flagger.app", "v1beta1", "Canary", "canaries"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    before = await asked_of(control_plane, "deploy/any")
    assert isinstance(before, Missing | NoCanary)  # Flagger's kind is not there yet
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply([definition(*kind) for kind in KINDS])
    for group, version, kind, plural in KINDS:
        await control_plane.until_served(f"{plural}.{group}")
        await eventually(partial(listed, control_plane, f"{group}/{version}", kind), seconds=20)
    rights = RIGHTS | {("argoproj.io", "rollouts"): ["get"], ("flagger.app", "canaries"): ["list"]}
    await control_plane.api.apply(identity("progressive", rights, NAMESPACE))
    kubeconfig = await control_plane.service_account_kubeconfig(NAMESPACE, "progressive")
    async with KubernetesClient(kubeconfig=str(kubeconfig)) as reader:
        yield Cluster(control_plane, reader)
    for group, _, _, plural in KINDS:
        await control_plane.api.delete(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{group}"
        )
    await control_plane.delete_namespace(NAMESPACE)


async def test_flaggers_canary_is_found_suspended_and_resumed(cluster: Cluster) -> None:
    made = [
        workload("Deployment", "web", namespace=NAMESPACE),
        workload("Deployment", "web-primary", 2, NAMESPACE),
    ]
    canary = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
        "status": {"phase": "Progressing"},
    }
    await cluster.plane.api.apply([*made, canary])
    await settled(cluster, "web-primary", 1, NAMESPACE)
    found = await asked(cluster, "deploy/web", "canary")
    assert found == Canary("web", "Progressing", False, "deployment/web-primary", 2, 2)
    rollouts = await asked(cluster, "deploy/web", "rollouts")
    assert isinstance(rollouts, Rollouts)
    await kubectl(cluster, stop_command(rollouts, found, NAMESPACE).removeprefix("kubectl"), NAMESPACE)
    held = await asked(cluster, "deploy/web", "canary")
    assert isinstance(held, Canary)
    assert held.suspended
    await kubectl(cluster, resume_command(rollouts, held, NAMESPACE).removeprefix("kubectl"), NAMESPACE)
    assert await asked(cluster, "deploy/web", "canary") == found


async def test_an_argo_rollouts_pods_and_revisions_are_found_by_its_name(cluster: Cluster) -> None:
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "llm", "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "llm"}},
            "strategy": {"canary": {"maxUnavailable": 1}},
        },
        "status": {"stableRS": "6b9f", "currentPodHash": "6b9f"},
    }
    [kept] = await cluster.plane.api.apply(rollout)
    owner = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": "llm",
        "uid": kept["metadata"]["uid"],
        "controller": True,
    }
    labels = {"app": "llm", "rollouts-pod-template-hash": "6b9f"}
    template = workload("Deployment", "llm")["spec"]["template"]
    template["metadata"]["labels"] = labels
    await cluster.plane.api.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": "llm-6b9f",
                "namespace": NAMESPACE,
                "labels": labels,
                "annotations": {"rollout.argoproj.io/revision": "7"},
                "ownerReferences": [owner],
            },
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }
    )

    async def placed() -> bool:
        found = await asked(cluster, "rollout/llm", "placements")
        return isinstance(found, PodPlacements) and [pod.revision for pod in found.pods] == ["6b9f"]

    await eventually(placed, seconds=20)
    found = await asked(cluster, "rollout/llm", "rollouts")
    assert isinstance(found, Rollouts)
    assert (found.workload, found.strategy, found.max_unavailable, found.stable) == (
        "rollout/llm",
        "Canary",
        1,
        "6b9f",
    )
    assert [(each.number, each.hash) for each in found.revisions] == [(7, "6b9f")]
    (pod,) = await find_pods(cluster.reader, NAMESPACE, "rollouts.argoproj.io/llm")
    by_pod = await asked(cluster, f"pod/{pod.metadata.name}", "rollouts")
    assert by_pod == found


async def listed(plane: ControlPlane, api_version: str, kind: str) -> bool:
    """An established kind's storage may still be made ready."""
    try:
        return await plane.api.list(api_version, kind, NAMESPACE) == []
    except ApiRefused:
        return False


async def asked(cluster: Cluster, target: str, probe: str) -> Facts | Missing:
    questions = cluster_questions(cluster.reader, NAMESPACE, target)
    (question,) = [each for each in questions if each.probe == probe]
    return (await question.ask(Seal(Plain()))).facts


async def asked_of(plane: ControlPlane, target: str) -> Facts | Missing:
    async with KubernetesClient(kubeconfig=str(plane.kubeconfig)) as administrator:
        questions = cluster_questions(administrator, NAMESPACE, target)
        (question,) = [each for each in questions if each.probe == "canary"]
        return (await question.ask(Seal(Plain()))).facts


def definition(group: str, version: str, kind: str, plural: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
