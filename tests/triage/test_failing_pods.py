"""Which pods of a list are Triton's, which are in trouble, and which of them are looked at."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from triage.failing.look import READ_ALIKE, choose
from triage.failing.pods import ListedPod, is_over, is_triton, triton_pod
from triage.failing.triton_pod import TritonPod

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
TRITON = {"name": "triton", "image": "nvcr.io/nvidia/tritonserver:24.10-py3"}


def ports(*numbers: int) -> list[dict[str, int]]:
    return [{"containerPort": number} for number in numbers]


def restarted(at: str) -> dict[str, Any]:
    ended = {"name": "triton", "lastState": {"terminated": {"exitCode": 1, "finishedAt": at}}}
    return {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [ended]}


@pytest.mark.parametrize(
    ("container", "is_one"),
    [
        (TRITON, True),
        ({"image": "registry.example/serving:7", "command": ["/opt/tritonserver/bin/tritonserver"]}, True),
        (
            {"image": "registry.example/serving:7", "args": ["sh", "-c", "x --model-repository=s3://models"]},
            True,
        ),
        ({"image": "registry.example/serving:7", "ports": ports(8000, 8001, 8002)}, True),
        ({"image": "registry.example/web:7", "ports": ports(8000)}, False),  # anybody's port
        ({"image": "registry.example/envoy:7", "args": ["--upstream=triton.prod:8000"]}, False),
        ({"image": "triton-ops:1.4", "args": ["triton-autoscaler", "serve"]}, False),
        ({"image": "registry.example/triton-triage:1.4"}, False),
    ],
)
def test_a_pod_is_tritons_by_image_command_or_two_of_its_ports(
    container: dict[str, Any], is_one: bool
) -> None:
    assert is_triton(listed({"containers": [{"name": "sidecar", "image": "busybox"}, container]})) is is_one


@pytest.mark.parametrize(
    ("status", "troubled"),
    [
        ({"conditions": [{"type": "Ready", "status": "True"}]}, False),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, True),
        ({}, True),
        (restarted("2026-01-15T02:50:00Z"), True),
        (restarted("2026-01-14T02:50:00Z"), False),  # yesterday
    ],
)
def test_what_is_not_ready_or_ended_lately_is_in_trouble(status: dict[str, Any], troubled: bool) -> None:
    assert triton_pod(listed({"containers": [TRITON]}, status), NOW).troubled is troubled


@pytest.mark.parametrize(
    ("container", "port"),
    [
        (TRITON, 8000),
        ({**TRITON, "ports": [{"name": "http", "containerPort": 8080}]}, 8080),
        ({**TRITON, "args": ["--http-port=9000"], "ports": [{"name": "http", "containerPort": 8080}]}, 9000),
        ({**TRITON, "args": ["sh", "-c", "exec tritonserver --http-port 9000"]}, 9000),
    ],
)
def test_tritons_http_port_is_its_argument_or_its_name(container: dict[str, Any], port: int) -> None:
    assert triton_pod(listed({"containers": [container]}), NOW).http_port == port


def test_an_owner_may_be_called_anything_and_stays_one_printable_line() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "uid": "s", "controller": True}
    owner["name"] = "x\x1b[2J\nNOTHING FAILS \u202e" + "y" * 1000
    found = triton_pod(listed({"containers": [TRITON]}, ownerReferences=[owner]), NOW)
    assert found.workload.startswith("statefulset/x NOTHING FAILS yyy")
    assert len(found.workload) < 300


def test_what_has_ended_and_is_replaced_or_goes_is_not_looked_at() -> None:
    owner = {"kind": "ReplicaSet", "name": "chat-1", "uid": "1", "apiVersion": "apps/v1", "controller": True}
    evicted = {"phase": "Failed", "reason": "Evicted"}
    assert is_over(listed({}, evicted, ownerReferences=[owner]))
    assert not is_over(listed({}, evicted))
    assert is_over(listed({}, {"phase": "Succeeded"}))
    assert is_over(listed({}, {"phase": "Running"}, deletionTimestamp="2026-01-15T02:50:00Z"))


def test_since_when_a_pod_that_is_not_scheduled_waits() -> None:
    found = triton_pod(listed({"containers": [TRITON]}, creationTimestamp="2026-01-15T02:00:00Z"), NOW)
    assert found.since == NOW - timedelta(hours=1)


def test_of_pods_that_stand_alike_a_few_are_read_and_one_of_each_kind_before_the_next_of_any() -> None:
    many = [pod(f"many-{number}", "deployment/many") for number in range(40)]
    few, well = pod("few-0", "deployment/few"), pod("well", "deployment/well", troubled=False)
    turns = [[found.name for found in turn] for turn in choose([*many, well, few])]
    assert turns[:2] == [["few-0", "many-0"], ["many-1"]]
    assert len(turns) == READ_ALIKE


def pod(name: str, workload: str, *, troubled: bool = True) -> TritonPod:
    return TritonPod("prod", name, name, workload, not troubled, troubled, True, 8000, NOW, "alike")


def listed(spec: dict[str, Any], status: dict[str, Any] | None = None, **metadata: Any) -> ListedPod:
    told = {"metadata": {"name": "a", "namespace": "prod", **metadata}, "spec": spec, "status": status or {}}
    return msgspec.convert(told, ListedPod)
