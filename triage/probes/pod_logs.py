"""The logs of the pods that requests go to, from shortly before the window on: what Triton itself says of loads, deaths and memory.

Of a large fleet only some are read: those to which something happened last, as the cluster tells."""

import asyncio
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from telemetry.container_log import ContainerLog, LogOutcome, read_log
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from triage.cluster_views import PodPlacement
from triage.collect import Found, Question
from triage.evidence import LogExcerpt, Missing
from triage.latency.server_log import is_known
from triage.log_excerpt import LogKeeper, Room
from triage.probes.cluster_facts import missing, refused_right
from triage.probes.container_logs import no_log
from triage.seal import Seal

MOST_PODS = 16
"""Each is a read that the API server passes on to a kubelet."""
LEAD_SECONDS = 600.0
"""So long before the window a load may have begun that reaches into it."""
LOG_BYTES = 256 << 10
"""Twice as much where the end is read as well. To mask secrets takes a third of a second for each MiB."""
TAIL_LINES = 2000
ROOM = Room(head=0, between=128 << 10, tail=0, errors=32 << 10, repeats=200)
"""Nothing is kept but what tells something: traffic may be in a verbose log. A model may be loaded every minute."""
_ENDED = ("Succeeded", "Failed")
"""Phases of a pod that another has taken the place of, days ago or just now; its node has forgotten its log."""
_GONE = "the node may be slow or gone: read the log where it is archived"


def pod_log_questions(
    api: KubernetesApi, namespace: str, pods: Sequence[PodPlacement], start: float, kubectl: str = "kubectl"
) -> list[Question]:
    """What to ask of the logs of these pods, since shortly before `start`, in seconds since 1970; and what is not asked, as an
    answer that is missing."""
    there = [pod for pod in pods if pod.container and pod.node and pod.phase not in _ENDED]
    chosen = sorted(there, key=lambda pod: (-_last_moment(pod), pod.pod))[:MOST_PODS]
    since = datetime.fromtimestamp(start - LEAD_SECONDS, UTC).replace(microsecond=0)
    logs = _Logs(api, namespace, since, f"{kubectl} -n {shlex.quote(namespace)}")
    questions = []
    for pod in chosen:
        if pod.ended_at is not None and pod.ended_at >= since.timestamp():
            questions.append(logs.question(pod, previous=True))
        questions.append(logs.question(pod, previous=False))
    if len(chosen) < len(there):
        questions.append(logs.others(len(there) - len(chosen), len(there)))
    return questions


def _last_moment(pod: PodPlacement) -> float:
    """When the cluster last saw something happen to it: a load flips its readiness, a death ends its container."""
    moments = (pod.created_at, pod.started_at, pod.ready_since, pod.ended_at, pod.terminating_since)
    return max((moment for moment in moments if moment is not None), default=0.0)


class _Logs:
    def __init__(self, api: KubernetesApi, namespace: str, since: datetime, kubectl: str) -> None:
        self._api = api
        self._namespace = namespace
        self._since = since
        self._kubectl = kubectl

    def question(self, pod: PodPlacement, *, previous: bool) -> Question:
        async def ask(seal: Seal) -> Found:
            try:
                found = await read_log(
                    self._api,
                    self._namespace,
                    pod.pod,
                    pod.container,
                    previous=previous,
                    since=self._since,
                    times=True,
                    limit_bytes=LOG_BYTES,
                    tail_lines=TAIL_LINES,
                )
            except KubernetesError as error:
                return Found(_missing(error))
            if found.outcome is LogOutcome.NOT_STARTED:
                return Found(LogExcerpt((), 0, 0))  # it has said nothing, which is known
            if found.outcome is not LogOutcome.READ:
                return Found(no_log(found.outcome, found.words))
            return Found(await asyncio.to_thread(_excerpt, found, seal))

        since = f"{self._since:%Y-%m-%dT%H:%M:%SZ}"
        named = f"{pod.pod}/{pod.container}"
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod.pod}/log"
        query = f"container={pod.container}{'&previous=true' if previous else ''}&sinceTime={since}"
        flags = f"-c {pod.container}{' --previous' if previous else ''} --since-time={since} --timestamps"
        return Question(
            id=f"log:{named}/previous" if previous else f"log:{named}",
            probe="log",
            source=f"{'previous ' if previous else ''}log of {named}",
            query=f"GET {path}?{query}",
            command=f"{self._kubectl} logs {pod.pod} {flags}",
            ask=ask,
            subject=pod.pod,
            on_timeout=_GONE,
        )

    def others(self, unread: int, of: int) -> Question:
        async def ask(seal: Seal) -> Found:
            said = f"the logs of {unread} of {of} pods: only those of {of - unread} were read, to which something happened last"
            return Found(
                Missing("truncated", said, "give pod/NAME, or -l SELECTOR, to read the logs of others")
            )

        return Question(
            id="log:others",
            probe="log",
            source="logs of the other pods",
            query="not asked",
            command=f"{self._kubectl} logs POD",
            ask=ask,
        )


def _missing(error: KubernetesError) -> Missing:
    """A right that is missing is missing for all pods alike: it is told in the same words of each."""
    told = missing(error)
    right = refused_right(error)
    return Missing(told.reason, right, told.remedy) if right else told


def _excerpt(log: ContainerLog, seal: Seal) -> LogExcerpt:
    keeper = LogKeeper(seal.line, is_known, ROOM)
    for part in (log.head, log.tail):
        for line in part.removesuffix("\n").split("\n") if part else ():
            keeper.feed(line.rstrip("\r"))
    return keeper.excerpt(cut=log.gap)
