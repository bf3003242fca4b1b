"""Pods of a cluster: which ones, their state, events and logs, as the API server tells them. Only GETs; no Secrets, no exec."""

import asyncio
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from telemetry.container_log import ContainerLog, LogOutcome, read_log
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.pod_details import Container, ContainerState, PodDetails
from telemetry.pod_events import read_events
from telemetry.pod_lookup import find_pods
from telemetry.pod_reader import read_pod
from telemetry.pods import Pod
from telemetry.workloads import ascend
from triage.collect import Found, Question
from triage.evidence import (
    ContainerView,
    EventView,
    LogExcerpt,
    Missing,
    MissingReason,
    PodEvents,
    PodList,
    PodView,
)
from triage.log_excerpt import LogKeeper
from triage.seal import Seal
from triage.signatures import Signatures

MOST_PODS = 5
"""Pods looked at: replicas of one workload fail alike, and each costs the API server several reads."""
LOG_BYTES = 4 << 20
LOG_TAIL_LINES = 2000
TRITON_PORTS = frozenset({8000, 8001, 8002})


def pod_questions(
    api: KubernetesApi,
    namespace: str,
    target: str,
    signatures: Signatures,
    kubectl: str = "kubectl",
    *,
    selector: bool = False,
) -> list[Question]:
    """`target` is `pod/NAME`, `deploy/NAME` and so on, or a label selector; unready pods are looked at first. `kubectl` begins
    the commands that ask the same by hand, with the context if it is not the current one."""
    return [_Pods(api, namespace, signatures, kubectl).listing(target, selector or is_selector(target))]


def get_command(kubectl: str, namespace: str, target: str, *, selector: bool) -> str:
    """Lists the same pods, or the workload, by hand; in the context's namespace if none is given."""
    words = f"-l {shlex.quote(target)}" if selector else shlex.quote(target)
    # A selector alone names no kind.
    kind = "pods " if selector else ""
    return f"{kubectl}{f' -n {shlex.quote(namespace)}' if namespace else ''} get {kind}{words}"


class _Pods:
    def __init__(self, api: KubernetesApi, namespace: str, signatures: Signatures, kubectl: str) -> None:
        self._api = api
        self._namespace = namespace
        self._signatures = signatures
        self._context = kubectl
        self._kubectl = f"{kubectl} -n {shlex.quote(namespace)}"

    def listing(self, target: str, selector: bool) -> Question:
        async def ask(seal: Seal) -> Found:
            try:
                pods = await find_pods(self._api, self._namespace, target, selector=selector)
            except KubernetesError as error:
                return Found(_missing(error))
            if not pods:
                detail = f"{target} has no pods in namespace {self._namespace}"
                return Found(Missing("not_found", detail, "check the name, the selector and -n"))
            unready = [pod for pod in pods if not _is_ready(pod)]
            # An evicted pod stays for days, and tells nothing of the one that took its place.
            chosen = sorted(unready or pods, key=lambda pod: (_has_ended(pod), pod.metadata.name))[:MOST_PODS]
            names = tuple(pod.metadata.name for pod in chosen)
            listed = PodList(
                tuple(pod.metadata.name for pod in pods), tuple(pod.metadata.name for pod in unready), names
            )
            return Found(listed, [question for pod in chosen for question in self._about(pod)])

        return Question(
            id="pods",
            probe="pod",
            source=f"pods of {target}",
            query=f"{target} in namespace {self._namespace}",
            command=get_command(self._context, self._namespace, target, selector=selector),
            ask=ask,
        )

    def _about(self, pod: Pod) -> list[Question]:
        name, uid = pod.metadata.name, pod.metadata.uid
        workload = ascend(pod.metadata, {}).workload

        async def details(seal: Seal) -> Found:
            try:
                found = await read_pod(self._api, self._namespace, name)
            except KubernetesError as error:
                return Found(_missing(error))
            owner = f"{workload.kind.lower()}/{workload.name}" if workload else ""
            return Found(_view(found, owner), self._logs(found))

        async def events(seal: Seal) -> Found:
            try:
                found = await read_events(self._api, self._namespace, uid)
            except KubernetesError as error:
                return Found(_missing(error))
            if not found:
                detail = "the cluster has no events of this pod: none were made, or they are over an hour old"
                return Found(Missing("expired", detail, "look in the event archive, if there is one"))
            return Found(
                PodEvents(tuple(EventView(_time(e.last_at), e.reason, e.message, e.count) for e in found))
            )

        where = f"/api/v1/namespaces/{self._namespace}"
        return [
            Question(
                id=f"events:{name}",
                probe="events",
                source=f"events of pod {name}",
                query=f"GET {where}/events?fieldSelector=involvedObject.uid={uid}",
                command=f"{self._kubectl} get events --field-selector involvedObject.uid={uid}",
                ask=events,
                subject=name,
            ),
            Question(
                id=f"pod:{name}",
                probe="pod",
                source=f"pod {name}",
                query=f"GET {where}/pods/{name}",
                command=f"{self._kubectl} get pod {name} -o yaml",
                ask=details,
                subject=name,
            ),
        ]

    def _logs(self, pod: PodDetails) -> list[Question]:
        questions = []
        for container in _telling_containers(pod):
            if container.restart_count or container.last_state is not None:
                questions.append(self._log(pod.name, container.name, previous=True))
            questions.append(self._log(pod.name, container.name, previous=False))
        return questions

    def _log(self, pod: str, container: str, *, previous: bool) -> Question:
        async def ask(seal: Seal) -> Found:
            try:
                found = await read_log(
                    self._api,
                    self._namespace,
                    pod,
                    container,
                    previous=previous,
                    limit_bytes=LOG_BYTES,
                    tail_lines=LOG_TAIL_LINES,
                )
            except KubernetesError as error:
                return Found(_missing(error))
            if found.outcome is not LogOutcome.READ:
                return Found(no_log(found.outcome, found.words))
            # Megabytes of lines take seconds: nobody else's answer may wait for them.
            excerpt = await asyncio.to_thread(self._excerpt, found, seal)
            if not any(line.text for line in excerpt.lines):
                return Found(
                    Missing("not_found", "the log is empty", "wait until the process has said something")
                )
            return Found(excerpt)

        kind = "previous_log" if previous else "log"
        flag = " --previous" if previous else ""
        query = f"container={container}{'&previous=true' if previous else ''}"
        return Question(
            id=f"{kind}:{pod}/{container}",
            probe=kind,
            source=f"{'previous ' if previous else ''}log of {pod}/{container}",
            query=f"GET /api/v1/namespaces/{self._namespace}/pods/{pod}/log?{query}",
            command=f"{self._kubectl} logs {pod} -c {container}{flag}",
            ask=ask,
            subject=pod,
            on_timeout="the node may be slow or gone: read the log where it is archived, and give it as --log FILE",
        )

    def _excerpt(self, log: ContainerLog, seal: Seal) -> LogExcerpt:
        keeper = LogKeeper(seal.line, self._signatures.any)
        for part in (log.head, log.tail):
            for line in part.removesuffix("\n").split("\n") if part else ():
                keeper.feed(line.rstrip("\r"))
        return keeper.excerpt(cut=log.gap)


def is_selector(target: str) -> bool:
    """As `find_pods` tells them apart."""
    return not set("=!,() \t").isdisjoint(target)


def _telling_containers(pod: PodDetails) -> Sequence[Container]:
    """Those whose logs may tell of a load: init containers that have not succeeded, and the containers that are Triton's by
    port, command or image; where none is, those that are not ready; where all are, the first."""
    init = [c for c in pod.init_containers if c.state and not c.ready and c.state.exit_code != 0]
    triton = [c for c in pod.containers if _is_triton(c)]
    unready = [c for c in pod.containers if not c.ready]
    return [*init, *(triton or unready or pod.containers[:1])]


def _is_triton(container: Container) -> bool:
    words = " ".join((container.image, *container.command, *container.args))
    return "triton" in words or any(port.container_port in TRITON_PORTS for port in container.ports)


def _is_ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


def _has_ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


def _view(pod: PodDetails, owner: str) -> PodView:
    containers = [_container(c, init=True) for c in pod.init_containers]
    containers += [_container(c, init=False) for c in pod.containers]
    return PodView(
        namespace=pod.namespace,
        name=pod.name,
        phase=pod.phase,
        ready=any(c.type == "Ready" and c.status == "True" for c in pod.conditions),
        node=pod.node,
        reason=": ".join(filter(None, (pod.reason, pod.message))),
        owner=owner,
        containers=tuple(containers),
    )


def _container(container: Container, *, init: bool) -> ContainerView:
    ended = next((s for s in (container.state, container.last_state) if s and s.kind == "terminated"), None)
    return ContainerView(
        name=container.name,
        image=container.image,
        init=init,
        ready=container.ready,
        restarts=container.restart_count,
        state=_state(container.state),
        last_state=_state(container.last_state),
        exit_code=ended.exit_code if ended else None,
        ended_by=ended.reason if ended else "",
    )


def _state(state: ContainerState | None) -> str:
    match state:
        case None:
            return ""
        case ContainerState(kind="terminated", reason=reason, exit_code=code, message=message):
            said = f"terminated: {reason or 'no reason'}, exit code {code}"
            return f"{said}: {message}" if message else said
        case ContainerState(kind="waiting", reason=reason, message=message):
            return ": ".join(filter(None, ("waiting", reason, message)))
        case _:
            return "running"


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""


def no_log(outcome: LogOutcome, words: str) -> Missing:
    """Why there is no log, by the kubelet's refusal."""
    match outcome:
        case LogOutcome.NOT_STARTED:
            return Missing(
                "not_started", words or "the container has not run", "its state says what it waits for"
            )
        case LogOutcome.NO_PREVIOUS:
            return Missing("expired", words or "there is no previous log", "read it where logs are archived")
        case _:
            return Missing(
                "expired", words or "the node no longer has the log", "read it where logs are archived"
            )


def _missing(error: KubernetesError) -> Missing:
    reasons: dict[int | None, MissingReason] = {
        401: "forbidden",
        403: "forbidden",
        404: "not_found",
        None: "unreachable",
    }
    if error.reason == "Timeout":
        return Missing("timeout", str(error), "ask again; the API server may be busy")
    if error.reason == "Malformed":
        return Missing(
            "parse_error", str(error), "is this the API server's address? a proxy may have answered"
        )
    reason = reasons.get(error.status, "refused")
    remedy = {
        "forbidden": "grant the right that the message names, or give the log as --log FILE",
        "not_found": "check the name and -n",
        "unreachable": "check --kubeconfig, --context and the way to the API server",
    }.get(reason, "see the message")
    return Missing(reason, str(error), remedy)
