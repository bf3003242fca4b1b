"""Errors of GPUs: whose, since when, and where nobody could have seen them."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    incident,
    placed,
    platform,
    served,
    steady,
    stepped,
)
from tests.triage.latency.gpus import OURS, clock, counted, gpu, holds, last_code, lost, told, watched
from triage.cluster_views import PodPlacement
from triage.latency.predicates.gpu_errors import gpu_errors_seen

NOT_TOLD = "no source tells the XID errors of {} while it lasts: scrape triton-gpu-agent or dcgm-exporter on all GPU nodes"
OF_SECOND = NOT_TOLD.format("GPU 2 of node n2 (GPU-2)")


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        (counted(1, 79, 79), "yes", "GPU 1 of node n1 (GPU-1): XID 79 (GPU has fallen off the bus) at 11:46:10 UTC"),
        ([last_code(1, 0, 31)], "yes",
         "GPU 1 of node n1 (GPU-1): XID 31 (GPU memory page fault, an error of what ran on it) at 11:46:40 UTC"),
        ([watched(1), watched(2), lost("n1", "1")], "yes", "node n1: triton-gpu-agent reports gpu_lost (GPU 1)"),
        ([last_code(1, 999, 999)], "unknown",
         "XID 999 before the first time that it was measured; a last code does not tell whether it came again"),
        ([*counted(1, 79, 0), watched(2)], "no", "no XID error of these GPUs was reported"),  # told by the map
        ([*counted(1, 31, 79, namespace="data", pod="job-7"), watched(2)], "yes",
         "GPU 1 of node n1 (GPU-1): XID 31 (GPU memory page fault, an error of what ran on it) at 11:46:10 UTC,"
         " while data/job-7 held it"),
        ([watched(1), watched(2), lost("n1", "", "pod_resources_forbidden")], "no", "no XID error of these GPUs was reported"),
        ([watched(1), watched(2), *(lost("n1", str(index)) for index in (0, 2, 3))], "no",
         "no XID error of these GPUs was reported"),
        ([watched(1), watched(2), lost("n1", "1", "no_driver", until=40)], "no", "no XID error of these GPUs was reported"),
        ([watched(1), watched(2), lost("n1", "1", "nvml_hangs", until=100)], "yes",
         "node n1: triton-gpu-agent reported nvml_hangs (GPU 1) until 11:56:10 UTC"),
        ([last_code(1, 0, 0), last_code(2, 0, None)], "unknown", OF_SECOND),
        ([watched(1), platform("gpu_xid_watched", stepped(1, 0), **gpu(2))], "unknown", OF_SECOND),
        ([watched(1), platform("gpu_xid_watched", steady(1, 90) + steady(None, 30), **gpu(2))], "unknown",
         OF_SECOND),
        ([watched(1), watched(2), placed(PodPlacement("c", "n9", gpus=1, started_at=1.0))],
         "unknown", NOT_TOLD.format("pod c's GPU")),
        ([watched(1), watched(2)], "no", "no XID error of these GPUs was reported"),
        ([last_code(1, 0, 0), last_code(2, 0, 0)], "no", "no XID error of these GPUs was reported"),
        ([watched(1)], "unknown", OF_SECOND),
        ([last_code(1, 0, 0)], "unknown", OF_SECOND),
    ],
    ids=["counter", "last code", "lost", "before", "counted before", "another's", "the agent's own sight",
         "others lost", "ended before", "ended meanwhile", "dcgm ended", "watch given up", "watch ended", "a pod of no map",
         "none, watched", "none, by dcgm", "half", "half, by dcgm"],
)  # fmt: skip
def test_errors_of_the_driver_are_told_with_what_they_mean(
    parts: list[Part], value: str, because: str
) -> None:
    answer = gpu_errors_seen(told(*OURS, *parts))
    assert (answer.value, answer.because) == (value, because)


def test_an_error_on_one_of_a_node_s_gpus_is_not_ours_where_nobody_tells_whose_they_are() -> None:
    of_nodes = [clock(1, 1980, 1980), clock(2, 1980, 1980)]
    assert gpu_errors_seen(told(*of_nodes, last_code(1, 0, 79))).value == "unknown"
    assert gpu_errors_seen(told(*of_nodes, last_code(1, 0, 79), last_code(2, 0, 79))).value == "yes"


@pytest.mark.parametrize("code", ["9" * 5000, "\u0663", "79x", ""])
def test_a_label_that_is_no_code_is_no_error(code: str) -> None:
    count = platform("gpu_xid_count", stepped(0, 1), **gpu(1, xid=code))
    assert gpu_errors_seen(told(*OURS, count, watched(1), watched(2))).value == "no"


@pytest.mark.parametrize(
    "counted",
    [
        steady(3, 100) + steady(1, 20),
        steady(1, 90) + steady(None, 10) + steady(1, 20),
        steady(2, 90) + steady(None, 10) + steady(1, 20),
    ],
    ids=["at once", "as many", "fewer"],
)
def test_an_error_that_came_after_the_agent_began_anew_is_heard(counted: list[float | None]) -> None:
    xid = platform("gpu_xid_count", counted, **gpu(1, xid="79"))
    answer = gpu_errors_seen(told(*OURS, watched(1), watched(2), xid))
    assert answer.value == "yes"
    assert answer.because.startswith(
        "GPU 1 of node n1 (GPU-1): XID 79 (GPU has fallen off the bus) at 11:56:40"
    )


def test_an_agent_that_is_away_for_a_while_brings_no_error_of_its_own() -> None:
    away = steady(1, 90) + steady(None, 5) + steady(1, 25)
    seen = platform("gpu_xid_watched", away, **gpu(1))
    xid = platform("gpu_xid_count", away, **gpu(1, xid="79"))
    assert gpu_errors_seen(told(*OURS, seen, watched(2), xid)).value != "yes"


def test_an_error_of_another_mig_instance_is_none_of_ours() -> None:
    ours = holds(1, "a", gpu_instance="7", mig_profile="1g.10gb")
    other = counted(1, 31, 79, gpu_instance="8", namespace="data", pod="job-7")
    assert gpu_errors_seen(told(ours, *other)).value == "no"


def test_without_a_cluster_nobody_can_tell_that_there_is_no_gpu() -> None:
    assert gpu_errors_seen(incident(served())).value == "unknown"


def test_a_fleet_without_gpus_is_not_told_of_what_it_cannot_see_of_them() -> None:
    assert gpu_errors_seen(told()).value == "no"


def test_pods_with_a_resource_claim_may_have_a_gpu_that_nobody_tells_of() -> None:
    claims = placed(PodPlacement("a", "n1", gpus=None, started_at=1.0))
    assert gpu_errors_seen(incident(served(pod="a"), claims, namespace="prod")).value == "unknown"
