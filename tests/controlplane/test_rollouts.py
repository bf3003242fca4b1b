"""What triage reads of changes, read from a real API server whose own controllers rolled out, rolled back and scaled."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from telemetry.kube_client import KubernetesClient
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.local_process import eventually
from triage.cluster_views import ClusterEvents, HpaView, Nodes, NoHpa, PodPlacements, Rollouts
from triage.evidence import Facts, Missing
from triage.owner import freeze_command, undo_command
from triage.probes.cluster import cluster_questions
from triage.seal import Seal

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "rollouts"
RIGHTS = {
    ("", "pods"): ["get", "list"],
    ("", "events"): ["list"],
    ("apps", "deployments"): ["get"],
    ("apps", "statefulsets"): ["get"],
    ("apps", "daemonsets"): ["get"],
    ("apps", "replicasets"): ["get", "list"],
    ("apps", "controllerrevisions"): ["list"],
    ("autoscaling", "horizontalpodautoscalers"): ["list"],
}
PROBES = ["cluster_events", "placements", "rollouts", "canary", "hpa", "nodes"]


class Plain:
    masked = 0

    def line(self, line: str, /) -> str:
        return line

    def value(self, value: Any, /) -> Any:
        return value


class Cluster(NamedTuple):
    plane: ControlPlane
    reader: KubernetesClient


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(identity("triage", RIGHTS))
    kubeconfig = await control_plane.service_account_kubeconfig(NAMESPACE, "triage")
    async with KubernetesClient(kubeconfig=str(kubeconfig)) as reader:
        yield Cluster(control_plane, reader)
    await control_plane.delete_namespace(NAMESPACE)


async def test_a_rollback_is_the_latest_rollout_though_its_replica_set_is_the_oldest(
    cluster: Cluster,
) -> None:
    began = datetime.now(UTC).replace(microsecond=0).timestamp()
    await cluster.plane.api.apply(workload("Deployment", "llm", replicas=2))
    await settled(cluster, "llm", 1)
    await set_image(cluster, "llm", "triton:2")
    await settled(cluster, "llm", 2)
    await set_image(cluster, "llm", "triton:3")
    await settled(cluster, "llm", 3)
    await asyncio.sleep(1.1)  # the API server's times are whole seconds
    undone = datetime.now(UTC).replace(microsecond=0).timestamp()
    before = await asked(cluster.reader, "deploy/llm", "rollouts")
    assert isinstance(before, Rollouts)
    assert undo_command(before, NAMESPACE).endswith("rollout undo deployment/llm --to-revision=2")
    await kubectl(cluster, "rollout undo deployment/llm --to-revision=1")
    await settled(cluster, "llm", 4)

    found = await asked(cluster.reader, "deploy/llm", "rollouts")
    placed = await asked(cluster.reader, "deploy/llm", "placements")
    assert isinstance(found, Rollouts)
    assert isinstance(placed, PodPlacements)
    assert [(each.number, each.earlier_numbers, each.changes) for each in found.revisions] == [
        (2, (), ("image of triton: triton:1 -> triton:2",)),
        (3, (), ("image of triton: triton:2 -> triton:3",)),
        (4, (1,), ("image of triton: triton:3 -> triton:1",)),
    ]
    *others, back = found.revisions
    assert all(each.rolled_out_at == each.created_at for each in others)
    assert began <= back.created_at < undone
    assert back.rolled_out_at is not None
    assert undone <= back.rolled_out_at <= undone + 10
    assert (
        found.workload,
        found.managed_by,
        found.replicas,
        found.updated,
        found.available,
        found.paused,
    ) == (
        "deployment/llm",
        "",
        2,
        2,
        2,
        False,
    )
    assert {
        (pod.revision, pod.node, pod.ready, pod.phase) for pod in placed.pods if not pod.terminating_since
    } == {(back.hash, "node-0", True, "Running")}


async def test_events_of_a_rollout_are_of_its_own_workload(cluster: Cluster) -> None:
    await cluster.plane.api.apply([workload("Deployment", "mine"), workload("Deployment", "mine-too")])
    await settled(cluster, "mine", 1)
    await settled(cluster, "mine-too", 1)

    async def recorded() -> bool:
        return isinstance(await asked(cluster.reader, "deploy/mine", "cluster_events"), ClusterEvents)

    await eventually(recorded, seconds=10)
    found = await asked(cluster.reader, "deploy/mine", "cluster_events")
    assert isinstance(found, ClusterEvents)
    assert ("deployment/mine", "ScalingReplicaSet") in {
        (event.object, event.reason) for event in found.events
    }
    assert [event for event in found.events if "mine-too" in event.object] == []


async def test_the_autoscaler_is_the_one_of_the_workload(cluster: Cluster) -> None:
    await cluster.plane.api.apply(
        [workload("Deployment", "scaled"), workload("Deployment", "fixed"), hpa("scaled")]
    )

    async def judged() -> bool:
        view = await asked(cluster.reader, "deploy/scaled", "hpa")
        return isinstance(view, HpaView) and any(each.status == "False" for each in view.conditions)

    await eventually(judged, seconds=20)
    view = await asked(cluster.reader, "deploy/scaled", "hpa")
    assert isinstance(view, HpaView)
    assert (view.name, view.min_replicas, view.max_replicas, view.metrics) == (
        "scaled",
        1,
        3,
        ("external triton_queue_ms: unknown of 10 a pod",),
    )
    assert ("ScalingActive", "False") in {(each.type, each.status) for each in view.conditions}
    assert all(each.since for each in view.conditions)
    assert await asked(cluster.reader, "deploy/fixed", "hpa") == NoHpa()
    await cluster.plane.api.delete("autoscaling/v2", "HorizontalPodAutoscaler", "scaled", NAMESPACE)


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
async def test_controller_revisions_are_a_history_too(cluster: Cluster, kind: str) -> None:
    name = kind.lower()
    await cluster.plane.api.apply(workload(kind, name))

    async def rolled_out(image: str) -> Rollouts:
        async def all_new() -> bool:
            pods = await cluster.plane.api.list("v1", "Pod", NAMESPACE, selector=f"app={name}")
            return {(pod["spec"]["containers"][0]["image"], pod["status"]["phase"]) for pod in pods} == {
                (image, "Running")
            }

        await eventually(all_new, seconds=20)
        found = await asked(cluster.reader, f"{name}/{name}", "rollouts")
        assert isinstance(found, Rollouts)
        return found

    await rolled_out("triton:1")
    await asyncio.sleep(1.1)  # the API server's times are whole seconds
    await set_image(cluster, name, "triton:2", kind)
    found = await rolled_out("triton:2")
    assert [(each.number, each.replicas, each.changes) for each in found.revisions] == [
        (1, 0, ()),
        (2, 1, ("image of triton: triton:1 -> triton:2",)),
    ]
    await asyncio.sleep(1.1)
    await kubectl(cluster, undo_command(found, NAMESPACE).removeprefix("kubectl"))
    back = (await rolled_out("triton:1")).revisions[-1]
    assert (back.number, back.replicas, back.changes) == (3, 1, ("image of triton: triton:2 -> triton:1",))
    assert back.rolled_out_at is not None
    assert back.rolled_out_at > back.created_at

    await kubectl(cluster, freeze_command(found, NAMESPACE).removeprefix("kubectl"))
    strategy = (await cluster.plane.api.get("apps/v1", kind, name, NAMESPACE))["spec"]["updateStrategy"]
    assert strategy["type"] == ("OnDelete" if kind == "DaemonSet" else "RollingUpdate")
    assert strategy.get("rollingUpdate", {}).get("partition", 0) == (0 if kind == "DaemonSet" else 100_000)
    held = await asked(cluster.reader, f"{name}/{name}", "rollouts")
    assert isinstance(held, Rollouts)
    assert (held.strategy, held.partition) == (
        ("OnDelete", 0) if kind == "DaemonSet" else ("RollingUpdate", 100_000)
    )


async def test_nodes_need_a_right_of_the_cluster(cluster: Cluster) -> None:
    await cluster.plane.api.apply(workload("Deployment", "placed"))
    await settled(cluster, "placed", 1)
    refused = await asked(cluster.reader, "app=placed", "nodes")
    assert isinstance(refused, Missing)
    assert (refused.reason, refused.remedy) == (
        "forbidden",
        'add to the ClusterRole: apiGroups: [""], resources: [nodes], verbs: [get]',
    )
    async with KubernetesClient(kubeconfig=str(cluster.plane.kubeconfig)) as administrator:
        found = await asked(administrator, "app=placed", "nodes")
    assert isinstance(found, Nodes)
    assert [(node.name, node.ready, node.pressures, node.unschedulable) for node in found.nodes] == [
        ("node-0", True, (), False)
    ]


@pytest.mark.parametrize(
    ("left_out", "silent", "right"),
    [
        (("", "pods"), ["placements", "nodes"], 'apiGroups: [""], resources: [pods], verbs: [list]'),
        (
            ("apps", "deployments"),
            ["rollouts", "placements"],
            'apiGroups: ["apps"], resources: [deployments], verbs: [get]',
        ),
        (
            ("apps", "replicasets"),
            ["rollouts"],
            'apiGroups: ["apps"], resources: [replicasets], verbs: [list]',
        ),
        (
            ("autoscaling", "horizontalpodautoscalers"),
            ["hpa"],
            'apiGroups: ["autoscaling"], resources: [horizontalpodautoscalers], verbs: [list]',
        ),
        (("", "events"), ["cluster_events"], 'apiGroups: [""], resources: [events], verbs: [list]'),
    ],
)
async def test_a_right_that_is_missing_is_named_and_costs_only_what_needs_it(
    cluster: Cluster, left_out: tuple[str, str], silent: list[str], right: str
) -> None:
    await cluster.plane.api.apply(workload("Deployment", "guarded"))
    await settled(cluster, "guarded", 1)
    account = f"without-{left_out[1]}"
    await cluster.plane.api.apply(identity(account, {key: RIGHTS[key] for key in RIGHTS if key != left_out}))
    kubeconfig = await cluster.plane.service_account_kubeconfig(NAMESPACE, account)
    async with KubernetesClient(kubeconfig=str(kubeconfig)) as reader:
        answers = {probe: await asked(reader, "deploy/guarded", probe) for probe in PROBES}
    for probe in silent:
        missing = answers[probe]
        assert isinstance(missing, Missing)
        assert missing.reason == "forbidden"
        assert missing.remedy == f"add to the Role: {right}"
    told = {
        probe
        for probe, answer in answers.items()
        if isinstance(answer, Missing) and answer.reason == "forbidden"
    }
    assert told - {"nodes"} == set(silent) - {"nodes"}


async def asked(reader: KubernetesClient, target: str, probe: str) -> Facts | Missing:
    questions = cluster_questions(reader, NAMESPACE, target)
    assert [question.id for question in questions] == PROBES
    (question,) = [each for each in questions if each.probe == probe]
    return (await question.ask(Seal(Plain()))).facts


async def settled(cluster: Cluster, name: str, revision: int, namespace: str = NAMESPACE) -> None:
    async def done() -> bool:
        found = await cluster.plane.api.get("apps/v1", "Deployment", name, namespace)
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        number = found["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision")
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        return seen and number == str(revision) and counts == [wanted] * 3

    await eventually(done, seconds=30)


async def set_image(cluster: Cluster, name: str, image: str, kind: str = "Deployment") -> None:
    made = workload(kind, name)
    made["spec"]["template"]["spec"]["containers"][0]["image"] = image
    patch = {"spec": {"template": made["spec"]["template"]}}
    await cluster.plane.api.patch("apps/v1", kind, name, patch, NAMESPACE)


async def kubectl(cluster: Cluster, words: str, namespace: str = NAMESPACE) -> None:
    command = (
        f"{cluster.plane.kubectl} --kubeconfig={cluster.plane.kubeconfig} --namespace={namespace} {words}"
    )
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


def workload(kind: str, name: str, replicas: int = 1, namespace: str = NAMESPACE) -> Object:
    pod: Object = {
        "nodeName": "node-0",
        "tolerations": [{"operator": "Exists"}],  # no controller takes the taint off a new node
        "containers": [
            {"name": "triton", "image": "triton:1", "env": [{"name": "TOKEN", "value": "s3cret"}]}
        ],
        "terminationGracePeriodSeconds": 0,
    }
    spec: Object = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }
    if kind != "DaemonSet":
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def hpa(name: str) -> Object:
    """Of a metric that nobody serves."""
    external = {
        "metric": {"name": "triton_queue_ms"},
        "target": {"type": "AverageValue", "averageValue": "10"},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [{"type": "External", "external": external}],
        },
    }


def identity(
    name: str,
    rights: dict[tuple[str, str], Sequence[str]] | dict[tuple[str, str], list[str]],
    namespace: str = NAMESPACE,
) -> list[Object]:
    metadata = {"name": name, "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for (group, resource), verbs in rights.items()
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
    ]
