"""What triage reads of pods, read from a real API server and kwok's kubelet, with the rights of a service account."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
import pytest_asyncio

from telemetry.container_log import LogOutcome, read_log
from telemetry.kube_client import KubernetesClient
from telemetry.kubernetes_api import KubernetesError
from telemetry.pod_events import read_events
from telemetry.pod_lookup import find_pods
from telemetry.pod_reader import read_pod
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kube_client import Object
from tests.controlplane.kubelet import crash_loop
from tests.local_process import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "pod-evidence"
READER = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: triage, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: triage, namespace: {NAMESPACE}}}
rules:
  - {{apiGroups: [""], resources: [pods, pods/log, events], verbs: [get, list]}}
  - {{apiGroups: [apps], resources: [deployments, replicasets, statefulsets, daemonsets], verbs: [get, list]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: triage, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: triage}}
subjects: [{{kind: ServiceAccount, name: triage, namespace: {NAMESPACE}}}]
"""


class Cluster(NamedTuple):
    plane: ControlPlane
    reader: KubernetesClient


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(READER)
    kubeconfig = await control_plane.service_account_kubeconfig(NAMESPACE, "triage")
    async with KubernetesClient(kubeconfig=str(kubeconfig)) as reader:
        yield Cluster(control_plane, reader)
    await control_plane.delete_namespace(NAMESPACE)


async def test_each_workloads_pods_are_its_own(cluster: Cluster) -> None:
    """A bare pod has the labels too."""
    everyone = {"app": "llm", "tier": "serving"}
    await cluster.plane.api.apply(
        [
            workload("Deployment", "llm", replicas=2, labels=everyone),
            workload("StatefulSet", "sharded", serviceName="sharded", labels={"app": "sharded"}),
            workload("DaemonSet", "cache", labels={"app": "cache"}),
            pod("bare", labels=everyone),
        ]
    )

    async def all_there() -> bool:
        return len(await cluster.plane.api.list("v1", "Pod", NAMESPACE, selector="app")) == 5

    await eventually(all_there, seconds=20)
    of_deployment = await names(cluster, "deploy/llm")
    (replicaset,) = {name.rpartition("-")[0] for name in of_deployment}
    assert (len(of_deployment), await names(cluster, f"rs/{replicaset}")) == (2, of_deployment)
    assert sorted(await names(cluster, "app in (llm),tier!=test")) == sorted(["bare", *of_deployment])
    assert await names(cluster, "pod/bare") == ["bare"]
    assert await names(cluster, "sts/sharded") == ["sharded-0"]
    assert [name.rpartition("-")[0] for name in await names(cluster, "ds/cache")] == ["cache"]


async def test_what_is_not_there_is_404_and_what_is_not_allowed_403(cluster: Cluster) -> None:
    for target in ("pod/none", "deploy/none"):
        with pytest.raises(KubernetesError, match='"none" not found') as got:
            await find_pods(cluster.reader, NAMESPACE, target)
        assert got.value.status == 404
    with pytest.raises(KubernetesError, match="cannot get pods/log") as got:
        await read_log(cluster.reader, "kube-system", "none", "triton")
    assert got.value.status == 403
    with pytest.raises(KubernetesError, match="unable to parse requirement") as got:
        await find_pods(cluster.reader, NAMESPACE, "app=(")
    assert got.value.status == 400


async def test_a_crash_loop_is_read_with_its_events(cluster: Cluster) -> None:
    (made,) = await cluster.plane.api.apply(pod("crashing"))
    killed = crash_loop("triton", exit_code=137, reason="OOMKilled", restart_count=4)
    await cluster.plane.kubelet.report(NAMESPACE, "crashing", killed)
    details = await read_pod(cluster.reader, NAMESPACE, "crashing")
    triton = details.container("triton")
    assert triton is not None
    assert triton.state is not None
    assert triton.last_state is not None
    assert (details.uid, details.phase, details.node) == (made["metadata"]["uid"], "Running", "node-0")
    assert (triton.state.reason, triton.last_state.reason, triton.last_state.exit_code) == (
        "CrashLoopBackOff",
        "OOMKilled",
        137,
    )
    assert (triton.restart_count, triton.ready, triton.limits, triton.env_names) == (
        4,
        False,
        {"memory": "8Gi"},
        ("TOKEN",),
    )
    assert [c.message for c in details.conditions if c.type == "Ready"] == [
        "containers with unready status: [triton]"
    ]
    assert [volume.kind for volume in details.volumes] == ["emptyDir", "projected"]

    now = datetime.now(UTC).replace(microsecond=0)
    event = cluster.plane.kubelet.event
    await event(
        NAMESPACE, "crashing", "BackOff", "Back-off", count=9, first=now - timedelta(minutes=5), last=now
    )
    await event(NAMESPACE, "crashing", "Pulled", "Pulled", type="Normal", last=now - timedelta(minutes=6))
    await cluster.plane.api.apply(newer_event(details.uid, now - timedelta(minutes=1)))
    assert [
        (event.reason, event.count, event.first_at, event.last_at)
        for event in await read_events(cluster.reader, NAMESPACE, details.uid)
    ] == [
        ("Pulled", 1, now - timedelta(minutes=6), now - timedelta(minutes=6)),
        ("FailedScheduling", 3, now - timedelta(minutes=2), now - timedelta(minutes=1)),
        ("BackOff", 9, now - timedelta(minutes=5), now),
    ]


async def test_a_log_is_read_whole_or_by_both_its_ends(cluster: Cluster) -> None:
    await cluster.plane.api.apply(pod("talking"))
    file = await cluster.plane.kubelet.log_file(NAMESPACE, "talking", "triton")
    lines = [f"line {number} {'é' * (20_000 if number == 50 else 10)}\n" for number in range(100)]
    began = datetime(2026, 11, 22, 12, tzinfo=UTC)
    file.write_bytes(cri_lines("".join(lines), at=began))

    log = await read_log(cluster.reader, NAMESPACE, "talking", "triton")
    assert (log.outcome, log.head, log.tail, log.gap) == (LogOutcome.READ, "".join(lines), "", False)
    assert log.begins_at == began
    log = await read_log(cluster.reader, NAMESPACE, "talking", "triton", limit_bytes=1000, tail_lines=5)
    assert (log.gap, log.tail) == (True, "".join(lines[-5:]))
    assert "".join(lines).startswith(log.head)
    assert 0 < len(log.head.encode()) < 1000
    overlapping = await read_log(
        cluster.reader, NAMESPACE, "talking", "triton", limit_bytes=45_000, tail_lines=40
    )
    assert (overlapping.head, overlapping.gap) == ("".join(lines), False)


async def test_the_run_before_is_read_and_its_absence_named(cluster: Cluster) -> None:
    await cluster.plane.api.apply(pod("restarted"))
    file = await cluster.plane.kubelet.log_file(NAMESPACE, "restarted", "triton", previous=True)
    log = await read_log(cluster.reader, NAMESPACE, "restarted", "triton", previous=True)
    assert (log.outcome, log.words[:36]) == (LogOutcome.GONE, "failed to try resolving symlinks in ")
    file.write_bytes(cri_lines("died\n"))
    log = await read_log(cluster.reader, NAMESPACE, "restarted", "triton", previous=True)
    assert (log.outcome, log.head) == (LogOutcome.READ, "died\n")


async def test_lines_since_a_time_alone_are_read_with_the_runtimes_times(cluster: Cluster) -> None:
    await cluster.plane.api.apply(pod("since"))
    file = await cluster.plane.kubelet.log_file(NAMESPACE, "since", "triton")
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    file.write_bytes(cri_lines("before\nat noon\nlater\n", noon - timedelta(seconds=30), apart_seconds=30.0))
    for since, lines in (
        (noon, ["2026-11-22T12:00:00.000000001Z at noon", "2026-11-22T12:00:30.000000002Z later"]),
        (noon + timedelta(seconds=31), []),
    ):
        log = await read_log(cluster.reader, NAMESPACE, "since", "triton", since=since, times=True)
        assert (log.outcome, log.head.splitlines(), log.gap) == (LogOutcome.READ, lines, False)


async def test_a_pod_without_a_node_has_an_empty_log(cluster: Cluster) -> None:
    unscheduled = pod("unscheduled")
    del unscheduled["spec"]["nodeName"]
    await cluster.plane.api.apply(unscheduled)
    log = await read_log(cluster.reader, NAMESPACE, "unscheduled", "triton")
    assert (log.outcome, log.head) == (LogOutcome.READ, "")
    assert (await read_pod(cluster.reader, NAMESPACE, "unscheduled")).node == ""


async def names(cluster: Cluster, target: str) -> list[str]:
    return [found.metadata.name for found in await find_pods(cluster.reader, NAMESPACE, target)]


def pod_spec() -> Object:
    return {
        "nodeName": "node-0",
        "tolerations": [{"operator": "Exists"}],  # no controller takes the taint off a new node
        "containers": [
            {
                "name": "triton",
                "image": "triton",
                "env": [{"name": "TOKEN", "value": "s3cret"}],
                "resources": {"limits": {"memory": "8Gi"}},
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }


def pod(name: str, **metadata: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": pod_spec(),
    }


def workload(kind: str, name: str, *, labels: dict[str, str], **spec: object) -> Object:
    """Selects by a label and by an expression."""
    selector = {
        "matchLabels": labels,
        "matchExpressions": [{"key": "app", "operator": "In", "values": [name, "other"]}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": selector,
            "template": {"metadata": {"labels": labels}, "spec": pod_spec()},
            **spec,
        },
    }


def newer_event(uid: str, last: datetime) -> Object:
    """As the scheduler records that something goes on happening."""
    micro = "%Y-%m-%dT%H:%M:%S.%fZ"
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "crashing.scheduling", "namespace": NAMESPACE},
        "regarding": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": NAMESPACE,
            "name": "crashing",
            "uid": uid,
        },
        "reason": "FailedScheduling",
        "note": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        "type": "Warning",
        "action": "Scheduling",
        "eventTime": (last - timedelta(minutes=1)).strftime(micro),
        "series": {"count": 3, "lastObservedTime": last.strftime(micro)},
        "reportingController": "default-scheduler",
        "reportingInstance": "default-scheduler-0",
    }
