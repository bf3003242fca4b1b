"""Pods a and b, each on a GPU of a node of its own, of which a becomes slow; and what sources tell of GPUs."""

from tests.triage.latency.evidence import (
    Part,
    incident,
    placed,
    platform,
    served,
    steady,
    stepped,
)
from triage.cluster_views import PodPlacement
from triage.latency.incident import Incident

SLOW: list[Part] = [
    served(pod="a", infer=stepped(8, 30)),
    served(pod="b"),
    placed(PodPlacement("a", "n1"), PodPlacement("b", "n2")),
]
"""Pod a, on node n1, became slow at step 80."""


def gpu(number: int, **more: str) -> dict[str, str]:
    return {"gpu": f"GPU-{number}", "gpu_index": str(number), "node": f"n{number}", **more}


def holds(number: int, pod: str, namespace: str = "prod", **more: str) -> Part:
    return platform("gpu_holders", steady(1, 120), **gpu(number, namespace=namespace, pod=pod, **more))


def clock(number: int, before: float, during: float, at: int = 80, **more: str) -> Part:
    return platform("gpu_clock", steady(before, at) + steady(during, 120 - at), **gpu(number, **more))


def told(*parts: Part) -> Incident:
    return incident(*SLOW, *parts, namespace="prod")


OURS = [holds(1, "a"), holds(2, "b")]
FELL = [*OURS, clock(1, 1980, 900), clock(2, 1980, 1980)]


def counted(number: int, code: int, at: int, **more: str) -> list[Part]:
    values = steady(None, at) + steady(1, 120 - at)
    count = platform("gpu_xid_count", values, **gpu(number, xid=str(code), **more))
    return [count, watched(number)]


def watched(number: int, **more: str) -> Part:
    return platform("gpu_xid_watched", steady(1, 120), **gpu(number, **more))


def lost(node: str, index: str, problem: str = "gpu_lost", until: int = 120) -> Part:
    values = steady(None, 20) + steady(1, until - 20) + steady(None, 120 - until)
    return platform("gpu_agent_problem", values, node=node, problem=problem, gpu_index=index)


def last_code(number: int, before: float, during: float | None) -> Part:
    return platform("gpu_xid", stepped(before, during), **gpu(number))


def held_down(number: int, before: float, during: float) -> Part:
    return platform("gpu_throttled", stepped(before, during), **gpu(number))


def reason(number: int, name: str, before: float, during: float) -> Part:
    return platform("gpu_throttle_reasons", stepped(before, during), **gpu(number, reason=name))
