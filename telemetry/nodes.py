"""Nodes by name: ready or not and since when, under which pressures, open to new pods or not."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from telemetry.gpu_resources import gpus_of
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import get_object
from telemetry.pod_details import PodCondition

MOST_AT_ONCE = 8
_NOT_FOUND = 404


class NodeState(msgspec.Struct, frozen=True):
    name: str
    ready: bool
    since: datetime | None
    """When its readiness, or unreadiness, began."""
    pressures: tuple[str, ...]
    """Other conditions that are true, such as MemoryPressure or what a problem detector reports."""
    unschedulable: bool
    pressures_since: Mapping[str, datetime] = {}
    """When each of those began, where that is told."""
    taints: tuple[str, ...] = ()
    """As kubectl writes them, `key=value:NoSchedule`."""
    gpus: int | None = None
    """That its pods may be given together, MIG slices among them; None where the node does not say what it has."""


async def read_nodes(api: KubernetesApi, names: Iterable[str]) -> list[NodeState]:
    """Those that are still there; raises `KubernetesError`. One read each: the right to list all nodes is a larger one."""
    gate = asyncio.Semaphore(MOST_AT_ONCE)

    async def read(name: str) -> NodeState | KubernetesError:
        async with gate:
            try:
                return node_state(await get_object(api, f"/api/v1/nodes/{name}", Node))
            except KubernetesError as error:
                return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(name)) for name in sorted(set(names))]
    found = [task.result() for task in tasks]
    for each in found:
        if isinstance(each, KubernetesError) and each.status != _NOT_FOUND:
            raise each
    return [each for each in found if isinstance(each, NodeState)]


def node_state(node: "Node") -> NodeState:
    conditions = node.status.conditions or ()
    ready = next((condition for condition in conditions if condition.type == "Ready"), None)
    bad = [c for c in conditions if c.status == "True" and c.type != "Ready"]
    return NodeState(
        name=node.metadata.name,
        ready=ready is not None and ready.status == "True",
        since=ready.last_transition_time if ready else None,
        pressures=tuple(c.type for c in bad),
        unschedulable=node.spec.unschedulable,
        pressures_since={c.type: c.last_transition_time for c in bad if c.last_transition_time},
        taints=tuple(map(str, node.spec.taints or ())),
        gpus=None if node.status.allocatable is None else gpus_of(node.status.allocatable),
    )


class _Metadata(msgspec.Struct, frozen=True):
    name: str


class _Taint(msgspec.Struct, frozen=True):
    key: str
    effect: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.key}{f'={self.value}' if self.value else ''}:{self.effect}"


class _Spec(msgspec.Struct, frozen=True):
    unschedulable: bool = False
    taints: list[_Taint] | None = None


class _Status(msgspec.Struct, frozen=True):
    conditions: list[PodCondition] | None = None
    allocatable: dict[str, str] | None = None


class Node(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()
