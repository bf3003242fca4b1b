"""A pod and its events, from the API server's JSON as real clusters give it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from telemetry.kubernetes_api import KubernetesError
from telemetry.pod_details import (
    Container,
    ContainerState,
    PodCondition,
    PodDetails,
    Port,
    Volume,
    VolumeMount,
)
from telemetry.pod_events import PodEvent, read_events
from telemetry.pod_reader import read_pod
from tests.kube.canned_api import CannedApi

POD = "/api/v1/namespaces/prod/pods/llm-0"
EVENTS = "/api/v1/namespaces/prod/events"


def at(minute: int) -> datetime:
    return datetime(2026, 11, 22, 12, minute, tzinfo=UTC)


def time(minute: int) -> str:
    return f"2026-11-22T12:{minute:02}:00Z"


CRASHING: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {
        "name": "llm-0",
        "namespace": "prod",
        "uid": "u1",
        "labels": {"app": "llm"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"env": "s3cret"}'},
        "creationTimestamp": time(0),
        "deletionTimestamp": time(9),
    },
    "spec": {
        "nodeName": "gpu-1",
        "restartPolicy": "Always",
        "initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}],
        "containers": [
            {
                "name": "triton",
                "image": "tritonserver:24.10",
                "command": ["tritonserver"],
                "args": ["--model-repository=/models"],
                "ports": [{"name": "metrics", "containerPort": 8002, "protocol": "TCP"}],
                "env": [
                    {"name": "AWS_SECRET_ACCESS_KEY", "value": "s3cret"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
                "envFrom": [{"secretRef": {"name": "s3"}}, {"configMapRef": {"name": "settings"}}],
                "resources": {"limits": {"nvidia.com/gpu": "1", "memory": "8Gi"}, "requests": {"cpu": "2"}},
                "startupProbe": {
                    "httpGet": {"path": "/v2/health/ready", "port": 8000},
                    "failureThreshold": 3,
                },
                "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
            },
            {"name": "unseen", "image": "unseen:1"},
        ],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
            {"name": "scratch"},
        ],
    },
    "status": {
        "phase": "Running",
        "reason": "NodeLost",
        "message": "node is gone",
        "podIP": "10.0.0.7",
        "startTime": time(1),
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "ContainersNotReady",
                "message": "containers with unready status: [triton]",
                "lastTransitionTime": time(2),
                "lastProbeTime": None,
            }
        ],
        "initContainerStatuses": [
            {"name": "proxy", "ready": True, "started": True, "state": {"running": {"startedAt": time(1)}}}
        ],
        "containerStatuses": [
            {
                "name": "triton",
                "image": "tritonserver:24.10",
                "imageID": "tritonserver@sha256:9f",
                "ready": False,
                "started": False,
                "restartCount": 5,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                "lastState": {
                    "terminated": {
                        "exitCode": 137,
                        "signal": 9,
                        "reason": "OOMKilled",
                        "startedAt": time(3),
                        "finishedAt": time(4),
                        "containerID": "containerd://9f",
                    }
                },
            }
        ],
    },
}


async def test_a_crashing_pod_is_read_whole() -> None:
    assert await read_pod(CannedApi({POD: CRASHING}), "prod", "llm-0") == PodDetails(
        namespace="prod",
        name="llm-0",
        uid="u1",
        labels={"app": "llm"},
        created_at=at(0),
        deletion_at=at(9),
        node="gpu-1",
        phase="Running",
        reason="NodeLost",
        message="node is gone",
        conditions=(
            PodCondition(
                "Ready", "False", "ContainersNotReady", "containers with unready status: [triton]", at(2)
            ),
        ),
        pod_ip="10.0.0.7",
        started_at=at(1),
        restart_policy="Always",
        init_containers=(
            Container(
                name="proxy",
                image="proxy:1",
                restart_policy="Always",
                ready=True,
                started=True,
                state=ContainerState("running", started_at=at(1)),
            ),
        ),
        containers=(
            Container(
                name="triton",
                image="tritonserver:24.10",
                image_id="tritonserver@sha256:9f",
                command=("tritonserver",),
                args=("--model-repository=/models",),
                ports=(Port(8002, "metrics"),),
                requests={"cpu": "2"},
                limits={"nvidia.com/gpu": "1", "memory": "8Gi"},
                probes={
                    "startup": {"httpGet": {"path": "/v2/health/ready", "port": 8000}, "failureThreshold": 3}
                },
                volume_mounts=(VolumeMount("models", "/models", read_only=True),),
                env_names=("AWS_SECRET_ACCESS_KEY", "TOKEN"),
                env_from=("secret/s3", "configMap/settings"),
                restart_count=5,
                state=ContainerState("waiting", "CrashLoopBackOff", "back-off 5m0s"),
                last_state=ContainerState(
                    "terminated",
                    "OOMKilled",
                    exit_code=137,
                    signal=9,
                    started_at=at(3),
                    finished_at=at(4),
                ),
            ),
            Container(name="unseen", image="unseen:1"),
        ),
        volumes=(
            Volume("models", "persistentVolumeClaim", {"claimName": "models"}),
            Volume("scratch", "", {}),
        ),
    )


async def test_no_value_of_an_environment_variable_is_kept() -> None:
    details = await read_pod(CannedApi({POD: CRASHING}), "prod", "llm-0")
    assert b"s3cret" not in msgspec.json.encode(details)
    assert msgspec.json.decode(msgspec.json.encode(details), type=PodDetails) == details


async def test_a_pod_that_nobody_has_taken_has_no_states() -> None:
    pending = {
        "metadata": {"name": "llm-0"},
        "spec": {"containers": [{"name": "triton"}]},
        "status": {"phase": "Pending", "containerStatuses": None},
    }
    details = await read_pod(CannedApi({POD: pending}), "prod", "llm-0")
    triton = details.container("triton")
    assert triton is not None
    assert (details.node, triton.state, triton.last_state, details.container("nobody")) == (
        "",
        None,
        None,
        None,
    )


@pytest.mark.parametrize("garbage", [{"metadata": {"name": "x"}}, [], "page", {"metadata": None}])
async def test_garbage_is_an_error_of_the_api(garbage: object) -> None:
    with pytest.raises(KubernetesError, match=f"malformed answer for {POD}") as got:
        await read_pod(CannedApi({POD: garbage}), "prod", "llm-0")
    assert got.value.reason == "Malformed"


@pytest.mark.parametrize(("forbidden", "status"), [([POD, EVENTS], 403), ([], 404)])
async def test_refusals_are_the_callers(forbidden: list[str], status: int) -> None:
    api = CannedApi({}, forbidden)
    for asked in (read_pod(api, "prod", "llm-0"), read_events(api, "prod", "u1")):
        with pytest.raises(KubernetesError) as got:
            await asked
        assert got.value.status == status


async def test_events_of_both_forms_come_newest_last() -> None:
    """The scheduler's count in a series or not at all; the kubelet's count in themselves."""
    backing_off = {
        "metadata": {"creationTimestamp": time(0)},
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off",
        "count": 7,
        "firstTimestamp": time(3),
        "lastTimestamp": time(8),
        "source": {"component": "kubelet", "host": "gpu-1"},
        "involvedObject": {"uid": "u1", "fieldPath": "spec.containers{triton}"},
    }
    unscheduled = {
        "metadata": {"creationTimestamp": time(1)},
        "type": "Warning",
        "reason": "FailedScheduling",
        "message": "no GPU",
        "count": None,
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": "2026-11-22T12:01:00.000000Z",
        "series": {"count": 3, "lastObservedTime": "2026-11-22T12:02:00.000000Z"},
        "source": {},
        "reportingComponent": "default-scheduler",
    }
    bare = {"reason": "Odd"}
    once = {"metadata": {"creationTimestamp": time(9)}, "reason": "Late"}
    api = CannedApi({EVENTS: {"items": [backing_off, once, unscheduled, bare]}})
    assert await read_events(api, "prod", "u1") == [
        PodEvent("", "Odd", "", 1, None, None, "", ""),
        PodEvent("Warning", "FailedScheduling", "no GPU", 3, at(1), at(2), "default-scheduler", ""),
        PodEvent("Warning", "BackOff", "Back-off", 7, at(3), at(8), "kubelet", "spec.containers{triton}"),
        PodEvent("", "Late", "", 1, at(9), at(9), "", ""),
    ]


async def test_a_pod_without_events_has_none() -> None:
    assert await read_events(CannedApi({EVENTS: {"items": None}}), "prod", "u1") == []
