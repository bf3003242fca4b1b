"""Where each pod of a fleet runs, since when, and how its Triton container did: one list for all of them, not a read each."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce

import msgspec

from telemetry.gpu_resources import Resources, gpus_while_running
from telemetry.kubernetes_api import KubernetesApi
from telemetry.kubernetes_objects import list_objects, object_path
from telemetry.pod_details import PodCondition, Port
from telemetry.pods import Pod

TRITON_PORTS = frozenset({8000, 8001, 8002})
TEMPLATE_LABELS = ("controller-revision-hash", "rollouts-pod-template-hash", "pod-template-hash")
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([numkMGTPE]?)")
_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


class Placement(msgspec.Struct, frozen=True):
    """Times are the API server's and the node's own, to the second."""

    pod: str
    uid: str
    node: str
    phase: str
    reason: str
    """The pod's own, such as Evicted or NodeLost."""
    template: str
    """The hash of its pod template; empty for a pod of its own."""
    created_at: datetime | None
    started_at: datetime | None
    terminating_since: datetime | None
    ready: bool
    ready_since: datetime | None
    unschedulable: str
    restarts: int
    ended_by: str
    ended_at: datetime | None
    gpus: int | None
    """None: a resource claim may be for a GPU."""
    cpu_limit: float | None
    """Cores, of its Triton container."""
    container: str = ""
    """The name of that container."""


async def read_placements(api: KubernetesApi, namespace: str, pods: Sequence[Pod]) -> list[Placement]:
    """Of those of `pods` that are still there, by name; raises `KubernetesError`."""
    labels: list[Mapping[str, str]] = [pod.metadata.labels or {} for pod in pods]
    shared = reduce(lambda some, more: dict(some.items() & more.items()), labels) if labels else {}
    query = {"labelSelector": ",".join(f"{key}={value}" for key, value in sorted(shared.items()))}
    path = object_path(namespace, "v1", "pods")
    found = await list_objects(api, path, PlacedPod, query if shared else None)
    wanted = {pod.metadata.uid for pod in pods}
    return sorted(
        (placement_of(pod) for pod in found if pod.metadata.uid in wanted), key=lambda each: each.pod
    )


def placement_of(pod: "PlacedPod") -> Placement:
    metadata, spec, status = pod.metadata, pod.spec, pod.status
    conditions = {condition.type: condition for condition in status.conditions or ()}
    ready, scheduled = conditions.get("Ready"), conditions.get("PodScheduled")
    triton = next((c for c in spec.containers if _is_triton(c)), spec.containers[0])
    told = next((each for each in status.container_statuses or () if each.name == triton.name), _Status(""))
    runs, ended = told.state.running, told.state.terminated or told.last_state.terminated
    labels = metadata.labels or {}
    deletion = metadata.deletion_timestamp
    return Placement(
        pod=metadata.name,
        uid=metadata.uid,
        node=spec.node_name,
        phase=status.phase,
        reason=status.reason,
        template=next((labels[label] for label in TEMPLATE_LABELS if label in labels), ""),
        created_at=metadata.creation_timestamp,
        started_at=(runs.started_at if runs else None) or status.start_time,
        # The API's own is when the grace is over.
        terminating_since=deletion - timedelta(seconds=metadata.deletion_grace_period_seconds)
        if deletion
        else None,
        ready=ready is not None and ready.status == "True",
        ready_since=ready.last_transition_time if ready else None,
        unschedulable=_unschedulable(scheduled),
        restarts=told.restart_count,
        ended_by=(ended.reason or f"exit code {ended.exit_code}") if ended else "",
        ended_at=ended.finished_at if ended else None,
        gpus=gpus_while_running(spec.containers, spec.init_containers, spec.resource_claims),
        cpu_limit=parse_cores((triton.resources.limits or {}).get("cpu", "")),
        container=triton.name,
    )


def parse_cores(quantity: str) -> float | None:
    """Cores of a Kubernetes quantity such as `500m` or `4`; None for what is none."""
    match = _QUANTITY.fullmatch(quantity)
    return float(Decimal(match[1]).scaleb(_SUFFIXES[match[2]])) if match else None


def _unschedulable(scheduled: PodCondition | None) -> str:
    if scheduled is None or scheduled.status != "False":
        return ""
    return ": ".join(filter(None, (scheduled.reason, scheduled.message))) or "no reason given"


def _is_triton(container: "_Container") -> bool:
    words = " ".join((container.image, *(container.command or ()), *(container.args or ())))
    return "triton" in words or any(port.container_port in TRITON_PORTS for port in container.ports or ())


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    uid: str = ""
    labels: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int = 0


class _Container(msgspec.Struct, frozen=True):
    name: str
    image: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    ports: list[Port] | None = None
    resources: Resources = Resources()
    restart_policy: str = msgspec.field(name="restartPolicy", default="")


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    containers: list[_Container]
    init_containers: list[_Container] | None = None
    node_name: str = ""
    resource_claims: list[dict[str, object]] | None = None


class _Running(msgspec.Struct, frozen=True, rename="camel"):
    started_at: datetime | None = None


class _Ended(msgspec.Struct, frozen=True, rename="camel"):
    exit_code: int
    reason: str = ""
    finished_at: datetime | None = None


class _State(msgspec.Struct, frozen=True):
    running: _Running | None = None
    terminated: _Ended | None = None


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    restart_count: int = 0
    state: _State = _State()
    last_state: _State = _State()


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    reason: str = ""
    conditions: list[PodCondition] | None = None
    start_time: datetime | None = None
    container_statuses: list[_Status] | None = None


class PlacedPod(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec
    status: _PodStatus = _PodStatus()
