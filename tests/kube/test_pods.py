"""Pods, as the API server prints them, become targets."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from telemetry.gpu_resources import Resources
from telemetry.kube_client import KubernetesClient
from telemetry.listwatch import EventType
from telemetry.pods import Container, Pod, PodSpec, PodTargets, target_of
from telemetry.target import Phase, PodKey, Target, Targets, Workload
from tests.kube.api_server import answer, api_server, kubeconfig, page, stream
from tests.kube.canned_api import CannedApi


def pod(
    *,
    name: str = "triton-0",
    uid: str = "u0",
    namespace: str = "prod",
    ip: str | None = "10.1.2.3",
    phase: str = "Running",
    state: dict[str, Any] | None = None,
    restarts: int = 0,
    ready: bool = True,
    annotations: dict[str, str] | None = None,
    containers: list[dict[str, Any]] | None = None,
    **metadata: Any,
) -> Pod:
    """A pod with a container `triton` that runs, but for what is said otherwise."""
    containers = containers or [{"name": "triton", "image": "tritonserver"}]
    raw = {
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "annotations": annotations or {}}
        | metadata,
        "spec": {"nodeName": "gpu-1", "containers": containers},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [
                {
                    "name": "triton",
                    "state": {"running": {"startedAt": "2026-11-22T16:00:00Z"}} if state is None else state,
                    "restartCount": restarts,
                }
            ],
        }
        | ({"podIP": ip} if ip else {}),
    }
    return msgspec.json.decode(msgspec.json.encode(raw), type=Pod)


STARTING = {"waiting": {"reason": "ContainerCreating"}}
CRASHED = {"waiting": {"reason": "CrashLoopBackOff"}}


def test_a_plain_pod_is_scraped_at_tritons_own_ports() -> None:
    assert target_of(pod(labels={"app": "triton"})) == Target(
        key=PodKey("prod", "triton-0", "u0"),
        metrics_url="http://10.1.2.3:8002/metrics",
        http_url="http://10.1.2.3:8000",
        phase=Phase.RUNNING,
        ready=True,
        node="gpu-1",
        labels={"app": "triton"},
        gpus=0,
    )


@pytest.mark.parametrize(
    ("containers", "claims", "gpus"),
    [
        ([{"nvidia.com/gpu": "2", "cpu": "4"}], None, 2),
        ([{"nvidia.com/mig-1g.10gb": "1"}, {"nvidia.com/gpu.shared": "1"}, {}], None, 2),
        ([{"cpu": "4"}], None, 0),
        ([{"cpu": "4"}], [{"name": "gpu"}], None),
    ],
)
def test_a_target_says_how_many_gpus_its_pod_is_given(
    containers: list[dict[str, str]], claims: list[dict[str, str]] | None, gpus: int | None
) -> None:
    """By limits; a resource claim may be for a GPU, and then nobody here knows."""
    raw = [{"name": f"c{n}", "resources": {"limits": limits}} for n, limits in enumerate(containers)]
    told = pod(containers=raw)
    spec = msgspec.structs.replace(told.spec, resource_claims=claims)
    assert target_of(msgspec.structs.replace(told, spec=spec)).gpus == gpus


def test_the_gpus_of_a_sidecar_are_its_pods_and_those_of_an_init_container_were() -> None:
    """A Triton may be the sidecar."""
    asks = Resources(limits={"nvidia.com/gpu": "1"})
    inits = [Container("triton", asks, restart_policy="Always"), Container("converts", asks)]
    told = pod()
    spec = msgspec.structs.replace(told.spec, init_containers=inits)
    assert target_of(msgspec.structs.replace(told, spec=spec)).gpus == 1
    raw = {"initContainers": [{"name": "triton", "restartPolicy": "Always"}]}
    read = msgspec.convert(raw, PodSpec)
    assert [each.restart_policy for each in read.init_containers or ()] == ["Always"]


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert target_of(pod(ip="fd00::7")).metrics_url == "http://[fd00::7]:8002/metrics"


PORTS = [
    {"name": "proxy", "ports": [{"containerPort": 15090, "name": "stats"}]},
    {
        "name": "triton",
        "ports": [{"containerPort": 9002, "name": "metrics"}, {"containerPort": 9000, "name": "http"}],
    },
]


@pytest.mark.parametrize(
    ("annotations", "containers", "metrics_port", "http_port"),
    [
        ({}, None, 8002, 8000),
        ({}, PORTS, 9002, 9000),
        ({"prometheus.io/port": "7002"}, PORTS, 7002, 9000),
        ({"triton-ops.io/metrics-port": "6002", "prometheus.io/port": "7002"}, PORTS, 6002, 9000),
        ({"triton-ops.io/http-port": "6000"}, PORTS, 9002, 6000),
    ],
)
def test_an_annotation_goes_before_a_ports_name_and_that_before_the_default(
    annotations: dict[str, str], containers: list[dict[str, Any]] | None, metrics_port: int, http_port: int
) -> None:
    target = target_of(pod(annotations=annotations, containers=containers))
    assert (target.metrics_url, target.http_url, target.problem) == (
        f"http://10.1.2.3:{metrics_port}/metrics",
        f"http://10.1.2.3:{http_port}",
        "",
    )


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "80a", "metrics", "８００２", "9" * 5000])
def test_a_malformed_annotation_is_named_and_the_next_rule_holds(text: str) -> None:
    target = target_of(pod(annotations={"triton-ops.io/metrics-port": text}))
    assert target.metrics_url == "http://10.1.2.3:8002/metrics"
    assert (
        target.problem == f"annotation triton-ops.io/metrics-port: {text[:40]!r} is not a port (1 to 65535)"
    )


@pytest.mark.parametrize(
    ("what", "given", "phase"),
    [
        ("scheduled, no address yet", pod(ip=None, phase="Pending", state=STARTING), Phase.STARTING),
        ("address, image still pulled", pod(phase="Pending", state=STARTING), Phase.STARTING),
        ("state not told yet", pod(phase="Pending", state={}), Phase.STARTING),
        ("running and loading models", pod(ready=False), Phase.RUNNING),
        ("crashed, waits to be restarted", pod(state=CRASHED, restarts=3), Phase.STOPPED),
        ("just ended", pod(state={"terminated": {"exitCode": 1}}), Phase.STOPPED),
        ("restarted", pod(restarts=3), Phase.RUNNING),
        ("evicted", pod(phase="Failed", ip=None, state={}), Phase.STOPPED),
        ("completed", pod(phase="Succeeded", state={"terminated": {"exitCode": 0}}), Phase.STOPPED),
        ("deleted, still draining", pod(deletionTimestamp="2026-11-22T16:00:00Z"), Phase.TERMINATING),
        ("deleted after a crash", pod(state=CRASHED, restarts=1, deletionTimestamp="x"), Phase.TERMINATING),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_phase_says_whether_something_can_be_in_flight(what: str, given: Pod, phase: Phase) -> None:
    assert target_of(given).phase is phase, what


def test_what_will_never_run_again_is_told_from_what_is_started_anew() -> None:
    given = [pod(phase="Failed", state={}), pod(phase="Succeeded", state={}), pod(state=CRASHED), pod()]
    assert [target_of(each).finished for each in given] == [True, True, False, False]


def test_a_sidecar_that_runs_does_not_make_triton_run() -> None:
    raw = msgspec.to_builtins(pod(containers=PORTS, state=STARTING, phase="Pending"))
    raw["status"]["containerStatuses"].insert(0, {"name": "proxy", "state": {"running": {}}})
    assert target_of(msgspec.convert(raw, Pod)).phase is Phase.STARTING


def test_a_pod_without_any_status_is_starting() -> None:
    bare = msgspec.json.decode(b'{"metadata": {"name": "p", "namespace": "n", "uid": "u"}}', type=Pod)
    assert target_of(bare).phase is Phase.STARTING


def sources(*namespaces: str) -> tuple[PodTargets, Targets]:
    targets = Targets()
    return PodTargets(CannedApi({}), targets, namespaces=namespaces), targets


def test_the_view_is_complete_once_every_namespace_was_listed() -> None:
    pods, targets = sources("prod", "lab")
    pods.replace("prod", [pod()])
    assert (len(targets.by_key), targets.complete, pods.synced) == (1, False, False)
    pods.replace("lab", [])
    assert (len(targets.by_key), targets.complete, pods.synced) == (1, True, True)


def test_a_list_of_one_namespace_leaves_the_others_alone() -> None:
    pods, targets = sources("prod", "lab")
    pods.replace("prod", [pod()])
    pods.replace("lab", [pod(namespace="lab", uid="u1")])
    pods.replace("lab", [])
    assert [key.namespace for key in targets.by_key] == ["prod"]


def test_a_pod_made_anew_under_its_old_name_is_another() -> None:
    pods, targets = sources()
    pods.replace("", [pod(uid="old")])
    pods.apply(EventType.ADDED, pod(uid="new", state=STARTING))
    assert [key.uid for key in targets.by_key] == ["old", "new"]
    pods.apply(EventType.DELETED, pod(uid="old"))
    assert [(key.uid, t.born_in_sight) for key, t in targets.by_key.items()] == [("new", True)]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    ("first_seen", "born_in_sight"),
    [
        (pod(state=STARTING, phase="Pending", ip=None), True),
        (pod(), False),
        (pod(state=CRASHED, restarts=1), False),
    ],
)
def test_a_pod_is_born_in_sight_if_its_container_had_not_run_when_it_was_first_seen(
    listed: bool, first_seen: Pod, born_in_sight: bool
) -> None:
    pods, targets = sources()
    pods.replace("", [first_seen] if listed else [])
    if not listed:
        pods.apply(EventType.ADDED, first_seen)
    pods.apply(EventType.MODIFIED, pod(ready=False))
    pods.apply(EventType.MODIFIED, pod())
    assert [(t.phase, t.born_in_sight) for t in targets.by_key.values()] == [(Phase.RUNNING, born_in_sight)]


def test_a_target_does_not_wait_for_its_workloads_name() -> None:
    owner = {
        "kind": "ReplicaSet",
        "name": "llm-5d4f",
        "uid": "rs",
        "apiVersion": "apps/v1",
        "controller": True,
    }
    pods, targets = sources()
    pods.replace("", [pod(ownerReferences=[owner], labels={"pod-template-hash": "5d4f"})])
    [target] = targets.by_key.values()
    assert (target.workload, target.workload_guessed) == (Workload("Deployment", "llm"), True)


async def test_pods_are_followed_from_the_list_through_the_watch_to_their_workload(tmp_path: Path) -> None:
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "llm-5d4f",
        "uid": "r",
        "controller": True,
    }
    starting = msgspec.to_builtins(pod(state=STARTING, phase="Pending", ip=None, ownerReferences=[owner]))
    running = msgspec.to_builtins(pod(ownerReferences=[owner], resourceVersion="8"))
    above = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm", "uid": "d", "controller": True}
    path = "/api/v1/namespaces/prod/pods"
    query = "allowWatchBookmarks=true&labelSelector=app=triton&resourceVersion"
    targets = Targets()
    async with (
        api_server() as server,
        KubernetesClient(kubeconfig=kubeconfig(tmp_path, server.url)) as client,
    ):
        server.expect(f"{path}?labelSelector=app=triton&limit=500", page(starting, version=7))
        looked_up = answer({"metadata": {"name": "llm-5d4f", "uid": "r", "ownerReferences": [above]}})
        server.expect_any("/apis/apps/v1/namespaces/prod/replicasets/llm-5d4f", looked_up)
        modified = {"type": "MODIFIED", "object": running}
        server.expect(f"{path}?{query}=7&watch=true", stream(modified, then_hang=True))
        pods = PodTargets(client, targets, namespaces=["prod"], selector="app=triton")
        task = asyncio.create_task(pods.run())
        async with asyncio.timeout(10):
            # ASYNC110: the view is read by whoever needs it, and tells nobody when it changes.
            while not any(t.metrics_url and not t.workload_guessed for t in targets.by_key.values()):  # noqa: ASYNC110
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    [target] = targets.by_key.values()
    assert (target.workload, target.born_in_sight) == (Workload("Deployment", "llm"), True)
    assert (targets.complete, pods.problems) == (True, ())
    assert pods.last_contact is not None


def test_how_often_tritons_container_began_anew_is_told() -> None:
    assert target_of(pod(restarts=3)).restarts == 3
