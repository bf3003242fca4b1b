"""The logs of a pod's containers: of Triton as they are, and of those that bring it its models apart from them, since they are
others' words."""

import asyncio
import shlex
from collections.abc import Iterator

import msgspec

from telemetry.container_log import ContainerLog, LogOutcome, read_log
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from triage.collect import Found, Question
from triage.evidence import ContainerView, LogExcerpt, Missing, PodView
from triage.log_excerpt import LogKeeper
from triage.pod_roles import helpers, triton_containers
from triage.pod_view import utc
from triage.probes.cluster_facts import missing
from triage.seal import Seal
from triage.signatures import Signatures

LOG_BYTES = 4 << 20
LOG_TAIL_LINES = 2000
SMALL_BYTES = 128 << 10
SMALL_TAIL_LINES = 200
"""Of a container that has done its work: it may have warned of something, and what it warns of at the end is read too."""
INSTEAD = "give the log as --log FILE"


def container_log_questions(
    api: KubernetesApi, pod: PodView, signatures: Signatures, kubectl: str
) -> Iterator[Question]:
    """Triton's first; what has not failed comes last."""
    logs = _Logs(api, pod, signatures, kubectl)
    for container in triton_containers(pod):
        yield from logs.of(container, "log", "previous_log")
    for container in helpers(pod):
        yield from logs.of(container, "helper_log", "helper_log")


class _Logs:
    def __init__(self, api: KubernetesApi, pod: PodView, signatures: Signatures, kubectl: str) -> None:
        self._api = api
        self._pod = pod
        self._signatures = signatures
        self._kubectl = f"{kubectl} -n {shlex.quote(pod.namespace)}"

    def of(self, container: ContainerView, probe: str, before: str) -> Iterator[Question]:
        if container.restarts or container.last_state:
            yield self._question(container, before, previous=True)
        yield self._question(container, probe, previous=False)

    def _question(self, container: ContainerView, probe: str, *, previous: bool) -> Question:
        pod, name = self._pod.name, container.name
        small = probe == "helper_log" and container.ready

        async def ask(seal: Seal) -> Found:
            try:
                found = await read_log(
                    self._api,
                    self._pod.namespace,
                    pod,
                    name,
                    previous=previous,
                    limit_bytes=SMALL_BYTES if small else LOG_BYTES,
                    tail_lines=SMALL_TAIL_LINES if small else LOG_TAIL_LINES,
                )
            except KubernetesError as error:
                return Found(missing(error, INSTEAD))
            if found.outcome is not LogOutcome.READ:
                return Found(no_log(found.outcome, found.words))
            # Megabytes of lines take seconds: nobody else's answer may wait for them.
            excerpt = await asyncio.to_thread(self._excerpt, found, seal)
            if not any(line.text for line in excerpt.lines):
                return Found(
                    Missing("not_found", "the log is empty", "wait until the process has said something")
                )
            return Found(excerpt)

        flag = " --previous" if previous else ""
        query = f"container={name}{'&previous=true' if previous else ''}"
        return Question(
            id=log_id(probe, pod, name, previous=previous),
            probe=probe,
            source=f"{'previous ' if previous else ''}log of {pod}/{name}",
            query=f"GET /api/v1/namespaces/{self._pod.namespace}/pods/{pod}/log?{query}",
            command=f"{self._kubectl} logs {pod} -c {name}{flag}",
            ask=ask,
            subject=pod,
            on_timeout="the node may be slow or gone: read the log where it is archived, and give it as --log FILE",
        )

    def _excerpt(self, log: ContainerLog, seal: Seal) -> LogExcerpt:
        keeper = LogKeeper(seal.line, self._signatures.any)
        for part in (log.head, log.tail):
            for line in part.removesuffix("\n").split("\n") if part else ():
                keeper.feed(line.rstrip("\r"))
        return msgspec.structs.replace(keeper.excerpt(cut=log.gap), ends_at=utc(log.ends_at))


def log_id(probe: str, pod: str, container: str, *, previous: bool) -> str:
    """Such as `log:web-1/triton`; a helper's earlier life has the same probe, and says so."""
    return f"{probe}:{pod}/{container}{'/previous' if previous and probe == 'helper_log' else ''}"


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
