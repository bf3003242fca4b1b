"""Triton's pods as a list of the cluster's pods has them: which are Triton's, which are in trouble, and which are alike. Pure."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from telemetry.listwatch import KubernetesObject, ObjectMeta
from telemetry.workloads import ascend, controller_of
from triage.failing.triton_pod import TritonPod
from triage.seal import printable
from triage.triton_ports import PORTS, http_port_of
from triage.wording import MAX_NAME, short

_IMAGE = re.compile(r"triton(?!-(?:ops|triage|autoscaler|gpu-agent)\b)", re.IGNORECASE)
"""The programs of this project run beside Triton, and are not it."""
_COMMAND = re.compile(r"tritonserver|--model-(?:repository|store)\b")
"""Of a command or its arguments: a gateway that is given Triton's address names it too."""
_RESTARTED_WITHIN = timedelta(minutes=30)
"""A pod that is ready again and whose container ended lately is still looked at: it may end again."""
_ENDED = ("Failed", "Succeeded")
_HASHES = ("pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash")


class _Port(msgspec.Struct, frozen=True, rename="camel"):
    container_port: int = 0
    name: str = ""


class _Container(msgspec.Struct, frozen=True):
    name: str = ""
    image: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    ports: list[_Port] | None = None

    @property
    def words(self) -> str:
        return " ".join((*(self.command or ()), *(self.args or ())))


class _Spec(msgspec.Struct, frozen=True):
    containers: list[_Container] = []


class _Waiting(msgspec.Struct, frozen=True):
    reason: str = ""


class _Terminated(msgspec.Struct, frozen=True, rename="camel"):
    reason: str = ""
    exit_code: int = 0
    finished_at: datetime | None = None


class _Running(msgspec.Struct, frozen=True):
    pass


class _State(msgspec.Struct, frozen=True):
    waiting: _Waiting | None = None
    running: _Running | None = None
    terminated: _Terminated | None = None

    @property
    def word(self) -> str:
        if self.terminated is not None:
            return f"{self.terminated.reason} {self.terminated.exit_code}"
        return "running" if self.running is not None else self.waiting.reason if self.waiting else ""


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: _State = _State()
    last_state: _State = _State()


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""
    status: str = ""
    reason: str = ""
    last_transition_time: datetime | None = None


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = "Pending"
    reason: str = ""
    start_time: datetime | None = None
    conditions: list[_Condition] | None = None
    container_statuses: list[_Status] | None = None
    init_container_statuses: list[_Status] | None = None


class _Meta(ObjectMeta, frozen=True, rename="camel"):
    creation_timestamp: datetime | None = None


class ListedPod(KubernetesObject, frozen=True, rename="camel"):
    """A pod by what a list tells of it; nothing of its environment."""

    metadata: _Meta
    spec: _Spec = _Spec()
    status: _PodStatus = _PodStatus()


def is_triton(pod: ListedPod) -> bool:
    """By image, command or arguments, as a report recognizes the container; and by ports where two of Triton's three are declared:
    in a whole cluster 8000 alone is anybody's."""
    return any(map(_is_triton, pod.spec.containers))


def is_over(pod: ListedPod) -> bool:
    """It goes, or has ended and something else replaces it: it tells nothing of what serves now."""
    ended = pod.status.phase == "Succeeded" or (
        pod.status.phase in _ENDED and controller_of(pod.metadata) is not None
    )
    return ended or pod.metadata.deletion_timestamp is not None


def triton_pod(pod: ListedPod, now: datetime) -> TritonPod:
    """`now` is an aware time."""
    meta, status = pod.metadata, pod.status
    ready = next((c for c in status.conditions or () if c.type == "Ready"), None)
    is_ready = ready is not None and ready.status == "True"
    workload = ascend(meta, {}).workload
    triton = next((c for c in pod.spec.containers if _is_triton(c)), None) or next(
        iter(pod.spec.containers), _Container()
    )
    state = next((s for s in status.container_statuses or () if s.name == triton.name), _Status())
    return TritonPod(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        workload=_one_line(f"{workload.kind.lower()}/{workload.name}" if workload else f"pod/{meta.name}"),
        ready=is_ready,
        troubled=not is_ready or any(_ended_lately(s, now) for s in status.container_statuses or ()),
        runs=state.state.running is not None,
        http_port=http_port_of(
            [triton.words], [(port.name, port.container_port) for port in triton.ports or ()]
        ),
        since=_utc(
            (ready.last_transition_time if ready else None) or status.start_time or meta.creation_timestamp
        ),
        alike="\n".join(_standing(pod)),
    )


def _is_triton(container: _Container) -> bool:
    ports = {port.container_port for port in container.ports or ()}
    named = _IMAGE.search(container.image) or _COMMAND.search(container.words)
    return named is not None or len(ports & PORTS) >= 2


def _one_line(name: str) -> str:
    """The API server holds a pod's name to its rules, and takes any text for the name and the kind of its owner."""
    return short(" ".join(printable(name).split()), MAX_NAME)


def _ended_lately(status: _Status, now: datetime) -> bool:
    ended = status.last_state.terminated or status.state.terminated
    at = _utc(ended.finished_at) if ended is not None else None
    return at is not None and now - at < _RESTARTED_WITHIN


def _standing(pod: ListedPod) -> Iterator[str]:
    labels = pod.metadata.labels or {}
    yield from (labels.get(name, "") for name in _HASHES)
    status = pod.status
    yield f"{status.phase} {status.reason}"
    # Why it is not scheduled, and how far it has come.
    yield from sorted(f"{c.type} {c.status} {c.reason}" for c in status.conditions or ())
    for container in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        states = f"{container.state.word}, {container.last_state.word}"
        yield f"{container.name} {container.ready} {container.restart_count > 0} {states}"


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
