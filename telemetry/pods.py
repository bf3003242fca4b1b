"""Triton pods as targets: what the Kubernetes API says of a pod becomes where and whether it can be
scraped."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from telemetry.gpu_resources import Resources, gpus_while_running
from telemetry.kubernetes_api import KubernetesApi
from telemetry.listwatch import EventType, KubernetesObject, ListWatch
from telemetry.target import Phase, PodKey, Target, Targets
from telemetry.workloads import NO_ASCENT, Ascent, WorkloadLookup

_METRICS_PORT = 8002  # Triton's own defaults
_HTTP_PORT = 8000
_METRICS_ANNOTATIONS = ("triton-ops.io/metrics-port", "prometheus.io/port")
_HTTP_ANNOTATIONS = ("triton-ops.io/http-port",)


class ContainerPort(msgspec.Struct, frozen=True, rename="camel"):
    container_port: int
    name: str = ""


class Container(msgspec.Struct, frozen=True):
    name: str
    resources: Resources = Resources()
    ports: list[ContainerPort] | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    restart_policy: str = msgspec.field(name="restartPolicy", default="")
    """`Always` makes an init container a sidecar."""


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    containers: list[Container] = []
    init_containers: list[Container] | None = None
    node_name: str = ""
    resource_claims: list[dict[str, object]] | None = None


class ContainerState(msgspec.Struct, frozen=True):
    """One of these is present; none means waiting."""

    waiting: dict[str, object] | None = None
    running: dict[str, object] | None = None
    terminated: dict[str, object] | None = None


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    restart_count: int = 0

    @property
    def has_run(self) -> bool:
        """In this pod, now or before."""
        ended = self.state.terminated is not None or self.last_state.terminated is not None
        return ended or self.state.running is not None or self.restart_count > 0


class Condition(msgspec.Struct, frozen=True):
    type: str
    status: str


_FINISHED = ("Failed", "Succeeded")


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = "Pending"
    pod_ip: str = msgspec.field(name="podIP", default="")
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None


class Pod(KubernetesObject, frozen=True, rename="camel"):
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def key(self) -> PodKey:
        return PodKey(self.metadata.namespace, self.metadata.name, self.metadata.uid)


def target_of(
    pod: Pod, *, born_in_sight: bool = False, ascent: Ascent = NO_ASCENT, default_port: int = _METRICS_PORT
) -> Target:
    """The pod as a target. A malformed annotation is told in `problem`, and the next rule for the port
    holds. `default_port`: of metrics, where nothing names it."""
    metrics_port, metrics_problem = _port(pod, _METRICS_ANNOTATIONS, "metrics", default_port)
    http_port, http_problem = _port(pod, _HTTP_ANNOTATIONS, "http", _HTTP_PORT)
    address = pod.status.pod_ip
    host = f"[{address}]" if ":" in address else address
    return Target(
        key=pod.key,
        metrics_url=f"http://{host}:{metrics_port}/metrics" if host else None,
        http_url=f"http://{host}:{http_port}" if host else None,
        phase=_phase(pod, metrics_port),
        ready=any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ()),
        born_in_sight=born_in_sight,
        node=pod.spec.node_name,
        workload=ascent.workload,
        workload_guessed=ascent.guessed,
        labels=pod.metadata.labels or {},
        restarts=_restarts(pod, metrics_port),
        finished=pod.status.phase in _FINISHED,
        counters_off=any(map(_counters_off, pod.spec.containers)),
        gpus=gpus_while_running(pod.spec.containers, pod.spec.init_containers, pod.spec.resource_claims),
        problem="; ".join(filter(None, (metrics_problem, http_problem))),
    )


_COUNTERS_OFF = re.compile(r"--metrics-config[=\s]+[\"']?counter_latencies=false", re.IGNORECASE)


def _counters_off(container: Container) -> bool:
    """Its arguments, a shell's too, switch Triton's request counters off."""
    return _COUNTERS_OFF.search(" ".join([*(container.command or ()), *(container.args or ())])) is not None


class _Port(NamedTuple):
    number: int
    problem: str


def _port(pod: Pod, annotations: Sequence[str], name: str, default: int) -> _Port:
    """The port by annotation, else by the container port's name, else Triton's default."""
    problem = ""
    given = pod.metadata.annotations or {}
    for annotation in annotations:
        if annotation in given:
            text = given[annotation].strip()
            if text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535:
                return _Port(int(text), "")
            problem = f"annotation {annotation}: {text[:40]!r} is not a port (1 to 65535)"
            break
    named = (port for c in pod.spec.containers for port in c.ports or () if port.name == name)
    return _Port(next((port.container_port for port in named), default), problem)


def _phase(pod: Pod, metrics_port: int) -> Phase:
    if pod.metadata.deletion_timestamp is not None:
        return Phase.TERMINATING
    if pod.status.phase in _FINISHED:
        return Phase.STOPPED
    status = _triton_status(pod, metrics_port)
    has_run = status is not None and status.has_run
    runs = pod.status.phase == "Running" if status is None else status.state.running is not None
    if runs and pod.status.pod_ip:
        return Phase.RUNNING
    return Phase.STOPPED if has_run and not runs else Phase.STARTING


def _restarts(pod: Pod, metrics_port: int) -> int:
    status = _triton_status(pod, metrics_port)
    return 0 if status is None else status.restart_count


def _triton_status(pod: Pod, metrics_port: int) -> ContainerStatus | None:
    """The state of the container that declares the metrics port, else of the first; None before the kubelet
    has reported."""
    containers = pod.spec.containers
    declares = (c for c in containers if any(p.container_port == metrics_port for p in c.ports or ()))
    triton = next(declares, containers[0] if containers else None)
    statuses = pod.status.container_statuses or ()
    return next((s for s in statuses if triton is not None and s.name == triton.name), None)


class PodTargets:
    """Keeps `targets` current with the pods that `selector` matches, in `namespaces` or, where none is named,
    in all.

    `targets.complete` becomes True once each namespace was listed. `last_contact` is the oldest contact of
    all watches."""

    def __init__(
        self,
        api: KubernetesApi,
        targets: Targets,
        *,
        namespaces: Sequence[str] = (),
        selector: str = "",
        lookup: WorkloadLookup | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._targets = targets
        self._lookup = lookup or WorkloadLookup(api, clock=clock)
        self._lookup.changed = self._name_workloads
        self._pods: dict[PodKey, Pod] = {}
        self._born_in_sight: dict[PodKey, bool] = {}
        self._current: dict[PodKey, Target] = {}
        self._watches = [
            ListWatch(api, path, Pod, _NamespaceSink(self, namespace), selector=selector, clock=clock)
            for namespace, path in _paths(namespaces).items()
        ]
        self._unlisted = set(_paths(namespaces))

    @property
    def synced(self) -> bool:
        return not self._unlisted

    @property
    def last_contact(self) -> float | None:
        """The clock's reading at the oldest contact of all watches; None while one has never had an
        answer."""
        contacts = [watch.last_contact for watch in self._watches]
        return None if None in contacts else min(c for c in contacts if c is not None)

    @property
    def problems(self) -> Sequence[str]:
        """Why a watch or a workload's look-up does not go on, in words, each once; empty while all do."""
        guessed = (
            self._pods[key].metadata for key, target in self._current.items() if target.workload_guessed
        )
        problems = [*(watch.problem for watch in self._watches), *map(self._lookup.problem_of, guessed)]
        return tuple(dict.fromkeys(problem for problem in problems if problem))

    @property
    def followed(self) -> bool:
        """Whether every namespace was listed and is watched now: changes are known at once."""
        return self.synced and not any(watch.problem for watch in self._watches)

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lookup.run())
            for watch in self._watches:
                tasks.create_task(watch.run())

    def replace(self, namespace: str, pods: Sequence[Pod]) -> None:
        """All pods of one namespace (of all, for ""): what is not among them is gone."""
        listed = {pod.key for pod in pods}
        for key in [k for k in self._pods if namespace in ("", k.namespace) and k not in listed]:
            self._drop(key)
        for pod in pods:
            self._keep(pod)
        self._unlisted.discard(namespace)
        self._publish()

    def apply(self, event_type: EventType, pod: Pod) -> None:
        if event_type is EventType.DELETED:
            self._drop(pod.key)
        else:
            self._keep(pod)
        self._publish()

    def _keep(self, pod: Pod) -> None:
        self._pods[pod.key] = pod
        # What counts is that its container had not run when it was first seen, be that in a list or in an
        # event.
        self._born_in_sight.setdefault(pod.key, target_of(pod).phase is Phase.STARTING)
        self._current[pod.key] = self._target(pod)

    def _target(self, pod: Pod) -> Target:
        born_in_sight = self._born_in_sight[pod.key]
        return target_of(pod, born_in_sight=born_in_sight, ascent=self._lookup.of(pod.metadata))

    def _drop(self, key: PodKey) -> None:
        for by_key in (self._pods, self._born_in_sight, self._current):
            by_key.pop(key, None)

    def _name_workloads(self) -> None:
        """An owner was looked up: the targets whose workload was a guess may have a name now."""
        for key, target in self._current.items():
            if target.workload_guessed:
                self._current[key] = self._target(self._pods[key])
        self._publish()

    def _publish(self) -> None:
        if self.synced:
            self._targets.replace(dict(self._current))
        else:
            self._targets.by_key = dict(self._current)


class _NamespaceSink:
    def __init__(self, pods: PodTargets, namespace: str) -> None:
        self._pods = pods
        self._namespace = namespace

    def replace(self, objects: Sequence[Pod]) -> None:
        self._pods.replace(self._namespace, objects)

    def apply(self, event_type: EventType, obj: Pod) -> None:
        self._pods.apply(event_type, obj)


def _paths(namespaces: Sequence[str]) -> dict[str, str]:
    if not namespaces:
        return {"": "/api/v1/pods"}
    return {namespace: f"/api/v1/namespaces/{namespace}/pods" for namespace in namespaces}
