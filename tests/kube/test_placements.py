"""Pods, nodes and autoscalers as the API server's JSON has them, read for where and since when."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from telemetry.hpa_status import Condition, HpaStatus, list_hpas
from telemetry.nodes import NodeState, read_nodes
from telemetry.object_events import ObjectEvent, list_events, merged
from telemetry.placements import PlacedPod, Placement, parse_cores, placement_of, read_placements
from telemetry.pods import Pod
from telemetry.target import Workload
from telemetry.workload_above import find_workload, is_made_by, named_workload
from tests.kube.canned_api import CannedApi


def at(minute: int) -> datetime:
    return datetime(2026, 11, 22, 12, minute, tzinfo=UTC)


def time(minute: int) -> str:
    return f"2026-11-22T12:{minute:02}:00Z"


RESTARTED: dict[str, Any] = {
    "metadata": {
        "name": "llm-a-1",
        "uid": "u1",
        "labels": {"app": "llm", "pod-template-hash": "a"},
        "creationTimestamp": time(0),
        "deletionTimestamp": time(31),
        "deletionGracePeriodSeconds": 60,
    },
    "spec": {
        "nodeName": "gpu-1",
        "containers": [
            {"name": "proxy", "image": "envoy", "resources": {"limits": {"cpu": "1"}}},
            {
                "name": "server",
                "image": "repo/llm:1",
                "ports": [{"containerPort": 8001}],
                "resources": {
                    "limits": {
                        "nvidia.com/gpu": "2",
                        "nvidia.com/mig-1g.5gb": "1",
                        "nvidia.com/gpumem": "3000",
                        "cpu": "1500m",
                    }
                },
            },
        ],
    },
    "status": {
        "phase": "Running",
        "startTime": time(1),
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": time(0)},
            {"type": "Ready", "status": "False", "lastTransitionTime": time(20)},
        ],
        "containerStatuses": [
            {"name": "proxy", "restartCount": 9, "state": {"running": {"startedAt": time(2)}}},
            {
                "name": "server",
                "restartCount": 1,
                "state": {"running": {"startedAt": time(21)}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": time(20)}},
            },
        ],
    },
}


def test_a_pod_is_told_by_its_triton_container() -> None:
    assert placement_of(msgspec.convert(RESTARTED, PlacedPod)) == Placement(
        pod="llm-a-1",
        uid="u1",
        node="gpu-1",
        phase="Running",
        reason="",
        template="a",
        created_at=at(0),
        started_at=at(21),
        terminating_since=at(30),
        ready=False,
        ready_since=at(20),
        unschedulable="",
        restarts=1,
        ended_by="OOMKilled",
        ended_at=at(20),
        gpus=3,
        cpu_limit=1.5,
        container="server",
    )


@pytest.mark.parametrize(
    ("spec", "gpus"),
    [
        ({"containers": [{"name": "triton", "resources": {"limits": {"cpu": "4"}}}]}, 0),
        # HAMi's megabytes and percent of the one GPU
        (
            {
                "containers": [
                    {
                        "name": "triton",
                        "resources": {
                            "limits": {
                                "nvidia.com/gpu": "1",
                                "nvidia.com/gpumem": "3000",
                                "nvidia.com/gpucores": "30",
                            }
                        },
                    }
                ]
            },
            1,
        ),
        # a sidecar, and what an init container had
        (
            {
                "containers": [{"name": "proxy"}],
                "initContainers": [
                    {
                        "name": "triton",
                        "restartPolicy": "Always",
                        "resources": {"limits": {"nvidia.com/gpu": "2"}},
                    },
                    {"name": "convert", "resources": {"limits": {"nvidia.com/gpu": "4"}}},
                ],
            },
            2,
        ),
        ({"containers": [{"name": "triton"}], "resourceClaims": [{"name": "gpu"}]}, None),
    ],
)
def test_a_pods_gpus_are_those_it_holds_while_it_runs(spec: dict[str, Any], gpus: int | None) -> None:
    """None: dynamic resource allocation may have given it some, and the pod does not say."""
    found = placement_of(msgspec.convert({"metadata": {"name": "a"}, "spec": spec}, PlacedPod))
    assert found.gpus == gpus


def test_a_pod_that_no_node_takes_says_why() -> None:
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    pending = {
        "metadata": {"name": "llm-a-2", "creationTimestamp": time(0)},
        "spec": {"containers": [{"name": "triton"}]},
        "status": {"phase": "Pending", "conditions": [waits]},
    }
    found = placement_of(msgspec.convert(pending, PlacedPod))
    assert (found.unschedulable, found.node, found.started_at, found.cpu_limit, found.ended_by) == (
        "Unschedulable: 0/3 nodes",
        "",
        None,
        None,
        "",
    )


@pytest.mark.parametrize(
    ("quantity", "cores"),
    [
        ("4", 4.0),
        ("500m", 0.5),
        ("0.1", 0.1),
        ("2k", 2000.0),
        ("", None),
        ("many", None),
        ("1e400", None),
        ("NaN", None),
    ],
)
def test_a_quantity_is_cores_or_nothing(quantity: str, cores: float | None) -> None:
    assert parse_cores(quantity) == cores


async def test_one_list_by_the_labels_that_all_pods_share_reads_them_all() -> None:
    """What it brings besides is left out, and so is a pod that took the name of one that is gone."""
    path = "/api/v1/namespaces/prod/pods"
    other = {**RESTARTED, "metadata": {**RESTARTED["metadata"], "name": "llm-a-9", "uid": "u9"}}

    class Api(CannedApi):
        async def get(self, path: str, query: Any = None) -> bytes:
            self.queries = query
            return await super().get(path, query)

    api = Api({path: {"items": [other, RESTARTED]}})
    pods = [pod("u1", app="llm", zone="a"), pod("u2", app="llm", zone="b")]
    assert [each.pod for each in await read_placements(api, "prod", pods)] == ["llm-a-1"]
    assert (api.asked, api.queries["labelSelector"]) == ([path], "app=llm")
    assert await read_placements(api, "prod", [pod("u1"), pod("u2", app="llm")])
    assert "labelSelector" not in api.queries


def hpa(target: str, metrics: list[dict[str, Any]], current: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{target}-hpa"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "maxReplicas": 8,
            "metrics": metrics,
        },
        "status": {
            "currentReplicas": 4,
            "desiredReplicas": 8,
            "lastScaleTime": time(5),
            "currentMetrics": current,
            "conditions": [
                {
                    "type": "ScalingLimited",
                    "status": "True",
                    "reason": "TooManyReplicas",
                    "lastTransitionTime": time(6),
                }
            ],
        },
    }


def external(name: str, **target: str) -> dict[str, Any]:
    return {"type": "External", "external": {"metric": {"name": name}, "target": target}}


def seen(name: str, **current: str) -> dict[str, Any]:
    return {"type": "External", "external": {"metric": {"name": name}, "current": current}}


async def test_an_autoscaler_says_what_it_sees_of_each_metric() -> None:
    """A metric that it could not get is an empty object in its status, in any place."""
    metrics = [
        external("lost", type="Value", value="5"),
        external("concurrency", type="AverageValue", averageValue="8"),
        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 70}}},
        {
            "type": "ContainerResource",
            "containerResource": {"name": "cpu", "container": "triton", "target": {"averageValue": "2"}},
        },
        {
            "type": "Object",
            "object": {
                "metric": {"name": "hits"},
                "describedObject": {"kind": "Ingress", "name": "web"},
                "target": {"value": "9"},
            },
        },
    ]
    current = [
        {"type": ""},
        seen("concurrency", averageValue="12"),
        {
            "type": "Resource",
            "resource": {"name": "cpu", "current": {"averageUtilization": 0, "averageValue": "0"}},
        },
    ]
    path = "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers"
    api = CannedApi({path: {"items": [hpa("llm", metrics, current)]}})
    assert await list_hpas(api, "prod") == [
        HpaStatus(
            name="llm-hpa",
            target=Workload("Deployment", "llm"),
            min_replicas=1,
            max_replicas=8,
            current=4,
            desired=8,
            conditions=(Condition("ScalingLimited", "True", "TooManyReplicas", "", at(6)),),
            last_scaled_at=at(5),
            metrics=(
                "external lost: unknown of 5",
                "external concurrency: 12 of 8 a pod",
                "resource cpu: 0% of 70%",
                "resource cpu of container triton: unknown of 2 a pod",
                "object hits of ingress/web: unknown of 9",
            ),
        )
    ]


async def test_a_node_that_is_gone_is_left_out_and_one_that_is_ill_is_told() -> None:
    conditions = [
        {"type": "Ready", "status": "Unknown", "lastTransitionTime": time(3)},
        {"type": "MemoryPressure", "status": "True", "lastTransitionTime": time(2)},
        {"type": "KernelDeadlock", "status": "True"},
        {"type": "DiskPressure", "status": "False", "lastTransitionTime": time(1)},
    ]
    ill = {"metadata": {"name": "a"}, "spec": {"unschedulable": True}, "status": {"conditions": conditions}}
    assert await read_nodes(CannedApi({"/api/v1/nodes/a": ill}), ["a", "gone", "a"]) == [
        NodeState("a", False, at(3), ("MemoryPressure", "KernelDeadlock"), True, {"MemoryPressure": at(2)})
    ]


async def test_events_of_both_forms_are_read_and_timeless_ones_left_out() -> None:
    about = {"kind": "Pod", "name": "llm-0"}
    old = {
        "involvedObject": about,
        "reason": "BackOff",
        "count": 7,
        "firstTimestamp": time(3),
        "lastTimestamp": time(8),
    }
    new = {
        "involvedObject": about,
        "reason": "FailedScheduling",
        "eventTime": time(1),
        "series": {"count": 3, "lastObservedTime": time(2)},
    }
    api = CannedApi({"/api/v1/namespaces/prod/events": {"items": [old, new, {"involvedObject": about}]}})
    assert await list_events(api, "prod", kind="Pod") == [
        ObjectEvent("Pod", "llm-0", "BackOff", "", at(3), at(8), 7),
        ObjectEvent("Pod", "llm-0", "FailedScheduling", "", at(1), at(2), 3),
    ]


def test_the_same_words_of_the_same_object_are_one_event_and_the_newest_stay() -> None:
    def event(name: str, first: int, last: int, message: str = "m") -> ObjectEvent:
        return ObjectEvent("Pod", name, "Unhealthy", message, at(first), at(last), 2)

    events = [event("a", 5, 9), event("b", 4, 4), event("a", 1, 3), event("a", 2, 2, "other")]
    assert merged(events, most=2) == [
        ObjectEvent("Pod", "b", "Unhealthy", "m", at(4), at(4), 2),
        ObjectEvent("Pod", "a", "Unhealthy", "m", at(1), at(9), 4),
    ]


@pytest.mark.parametrize(
    ("target", "workload"),
    [
        ("deploy/llm", Workload("Deployment", "llm")),
        ("Deployments.apps/llm", Workload("Deployment", "llm")),
        ("sts/llm", Workload("StatefulSet", "llm")),
        ("ds/llm", Workload("DaemonSet", "llm")),
        ("daemonsets/llm", Workload("DaemonSet", "llm")),
        ("rs/llm-a", Workload("ReplicaSet", "llm-a")),
        ("pod/llm-0", None),
        ("app=llm", None),
    ],
)
def test_a_target_names_a_workload_or_none(target: str, workload: Workload | None) -> None:
    assert named_workload(target) == workload


@pytest.mark.parametrize(
    ("workload", "kind", "name", "made"),
    [
        ("Deployment", "ReplicaSet", "llm-6b47547cfd", True),
        ("Deployment", "Pod", "llm-6b47547cfd-x5k2p", True),
        ("StatefulSet", "Pod", "llm-12", True),
        ("DaemonSet", "Pod", "llm-x5k2p", True),
        ("Deployment", "Pod", "llm-canary-0", False),
        ("Deployment", "Pod", "llm-6b47547cfd", False),
        ("Deployment", "ReplicaSet", "llm-canary-6b47547cfd", False),
        ("Deployment", "Pod", "llm-canary-6b47547cfd-x5k2p", False),
        ("StatefulSet", "Pod", "llm-x5k2p", False),
        ("Deployment", "Node", "llm-x5k2p", False),
    ],
)
def test_what_a_workload_made_is_known_by_its_name(workload: str, kind: str, name: str, made: bool) -> None:
    assert is_made_by(Workload(workload, "llm"), kind, name) is made


async def test_the_workload_is_the_one_that_most_pods_have() -> None:
    """Through the ReplicaSet, and where that may not be read by the pods' own labels."""
    path = "/apis/apps/v1/namespaces/prod/replicasets/llm-a"
    owner = {
        "kind": "Deployment",
        "name": "big-name",
        "uid": "d",
        "apiVersion": "apps/v1",
        "controller": True,
    }
    api = CannedApi({path: {"metadata": {"name": "llm-a", "uid": "rs", "ownerReferences": [owner]}}})
    ours = [pod(f"u{n}", owner="llm-a", **{"pod-template-hash": "a"}) for n in (1, 2)]
    pods = [pod("u0"), pod("u4", owner="other-b", **{"pod-template-hash": "b"}), *ours]
    assert await find_workload(api, "prod", pods) == Workload("Deployment", "big-name")
    assert api.asked.count(path) == 1
    api.forbidden.add(path)
    assert await find_workload(api, "prod", pods) == Workload("Deployment", "llm")
    assert await find_workload(api, "prod", [pod("u0")]) is None


def pod(uid: str, owner: str = "", **labels: str) -> Pod:
    reference = {
        "kind": "ReplicaSet",
        "name": owner,
        "uid": f"rs-{owner}",
        "apiVersion": "apps/v1",
        "controller": True,
    }
    metadata = {"name": uid, "namespace": "prod", "uid": uid, "labels": labels}
    return msgspec.convert({"metadata": metadata | ({"ownerReferences": [reference]} if owner else {})}, Pod)
