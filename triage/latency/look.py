"""From a request to a snapshot of why requests are slow: which sources to ask, and ask them.

The cluster and Prometheus are asked at once. The questions to Prometheus that need names of pods, nodes or the autoscaler wait a
little for the cluster; without them they ask by the workload's name. Most need the workload's alone."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.prometheus import PrometheusAccess, PrometheusSource
from telemetry.workload_above import named_workload
from triage.cluster_access import ClusterAccess
from triage.cluster_views import HpaView, PodPlacements, Rollouts
from triage.collect import Found, Question, SoFar, collect
from triage.evidence import Asked, Missing, Snapshot
from triage.latency.grid import Window
from triage.latency.queries import SeriesTarget
from triage.latency.rules import LatencyRules
from triage.latency.server_log import is_known
from triage.probes.capture import capture_questions
from triage.probes.cluster import cluster_questions
from triage.probes.log_file import log_questions
from triage.probes.pod import is_selector
from triage.probes.pod_logs import ROOM, pod_log_questions
from triage.probes.prometheus import prometheus_questions
from triage.probes.repository import repository_question
from triage.probes.settings import with_settings
from triage.probes.statistics import statistics_question
from triage.probes.triton_url import triton_questions
from triage.seal import Seal, printable

CONNECTING_SECONDS = 15.0
"""For credentials and the list of pods: plug-ins take seconds."""
NAMES_SECONDS = 5.0
"""So long Prometheus waits for the names of pods, nodes and autoscaler."""


@dataclass(frozen=True, slots=True)
class LatencySources:
    """What was given on the command line; at least one of prometheus, tritons and target."""

    start: float
    end: float
    prometheus: str = ""
    access: PrometheusAccess = field(default_factory=PrometheusAccess)
    tritons: Sequence[str] = ()
    """HTTP addresses."""
    metrics: Sequence[str] = ()
    """Their metrics pages in the same order, where they are not on port 8002."""
    capture_seconds: float = 30.0
    interval_seconds: float = 1.0
    target: str = ""
    selector: bool = False
    namespace: str = ""
    kubeconfig: str | None = None
    context: str | None = None
    record: str = ""
    """File of a recorder of the model repository."""
    log: str = ""
    """The server's log, as a file or `-`."""
    services: tuple[str, ...] = ()
    """What gateways call the workload, where that is not its name."""


async def look_at_latency(
    sources: LatencySources,
    model: str,
    rules: LatencyRules,
    make_seal: Callable[[], Seal],
    so_far: SoFar | None = None,
) -> Snapshot:
    """Everything that the sources show, within the tree's budget or the capture's time; what cannot be asked is missing."""
    timeout = aiohttp.ClientTimeout(total=None)  # each question has its own deadline
    async with AsyncExitStack() as resources:
        session = await resources.enter_async_context(aiohttp.ClientSession(timeout=timeout, trust_env=False))
        access = ClusterAccess(sources.namespace, sources.kubeconfig, sources.context, resources)
        cluster = _Cluster(access, sources)
        questions: list[Question] = []
        if sources.target:
            questions.append(cluster.question())
        if sources.prometheus:
            source = PrometheusSource(sources.prometheus, sources.access)
            await resources.enter_async_context(source)
            questions.append(_of_prometheus(source, sources, cluster, model, rules))
        for number, url in enumerate(sources.tritons):
            questions += _of_triton(number, url, sources, session, model, rules)
        if sources.log and "log" in rules.tree.probes:
            questions += log_questions(sources.log, is_known, rules.tree.probes["log"].deadline, ROOM)
        if sources.record:
            questions.append(repository_question(sources.record, sources.start, sources.end))
        asked = Asked(
            tree=rules.tree.tree,
            target=printable(sources.target),
            namespace=printable(sources.namespace),
            model=printable(model),
            start=sources.start,
            end=sources.end,
        )
        capture = sources.capture_seconds + 8.0 if sources.tritons else 0.0
        snapshot = await collect(questions, asked, rules.tree, make_seal, patience=capture, so_far=so_far)
        asked = msgspec.structs.replace(
            asked,
            namespace=printable(access.namespace),
            kubeconfig=printable(sources.kubeconfig or "") if sources.target else "",
            context=printable(sources.context or "") if sources.target else "",
        )
        return msgspec.structs.replace(snapshot, asked=asked)


def _of_prometheus(
    source: PrometheusSource, sources: LatencySources, cluster: "_Cluster", model: str, rules: LatencyRules
) -> Question:
    window = Window(sources.start, sources.end)
    unnamed = SeriesTarget(
        namespace=sources.namespace,
        workload=_name(sources.target),
        services=sources.services,
        model=model,
    )

    async def named() -> SeriesTarget:
        return await cluster.names(unnamed) if sources.target else unnamed

    (first,) = prometheus_questions(source, unnamed, rules, window, named)

    async def ask(seal: Seal) -> Found:
        target = await cluster.pods(unnamed) if sources.target else unnamed
        (known,) = prometheus_questions(source, target, rules, window, named)
        return await known.ask(seal)

    return replace(first, ask=ask)


def _of_triton(
    number: int,
    url: str,
    sources: LatencySources,
    session: aiohttp.ClientSession,
    model: str,
    rules: LatencyRules,
) -> list[Question]:
    several = len(sources.tritons) > 1
    metrics = sources.metrics[number] if number < len(sources.metrics) else ""
    questions = [statistics_question(url, session, seconds=sources.capture_seconds)]
    questions += capture_questions(
        url,
        session,
        rules.sources["triton"],
        seconds=sources.capture_seconds,
        interval=sources.interval_seconds,
        metrics=metrics,
        model=model,
        several=several,
    )
    if number == 0:  # the models of one server stand for those of all
        asked = triton_questions(url, session, model=model)
        questions += with_settings(asked, url, session, model=model, again_after=sources.capture_seconds)
    return questions


def _name(target: str) -> str:
    """Of `deploy/NAME`; a selector names nothing."""
    return "" if is_selector(target) else target.partition("/")[2]


class _Cluster:
    """What the cluster tells, and its names for those who wait for them."""

    def __init__(self, access: ClusterAccess, sources: LatencySources) -> None:
        self._access = access
        self._sources = sources
        self._connected = asyncio.Event()
        self._named = asyncio.Event()
        self._waited_for = {"placements", "hpa", "rollouts"}
        self._found: dict[str, object] = {}

    async def pods(self, target: SeriesTarget) -> SeriesTarget:
        """The target as far as its pods are told by it: those of a workload by its name, which needs no answer of the cluster."""
        workload = None if self._sources.selector else named_workload(self._sources.target)
        if workload is None or workload.kind == "ReplicaSet":  # which may have a workload above it
            return await self.names(target)
        if not target.namespace:
            await _wait_for(self._connected)
        return replace(target, namespace=self._access.namespace)

    async def names(self, target: SeriesTarget) -> SeriesTarget:
        """The target with the names that the cluster told, after a while without."""
        await _wait_for(self._named)
        told = replace(target, namespace=self._access.namespace or target.namespace)
        placements, hpa, rollouts = (self._found.get(name) for name in ("placements", "hpa", "rollouts"))
        if isinstance(placements, PodPlacements):
            told = replace(told, nodes=tuple(sorted({pod.node for pod in placements.pods} - {""})))
            if not told.workload:
                told = replace(told, pods=tuple(pod.pod for pod in placements.pods))
        if isinstance(rollouts, Rollouts):
            told = replace(told, workload=rollouts.workload.partition("/")[2])
        if isinstance(hpa, HpaView):
            told = replace(told, hpa=hpa.name)
        return told

    def question(self) -> Question:
        return self._access.pods_question(
            self._sources.target,
            self._ask,
            selector=self._sources.selector,
            as_probe=("placements", "placements"),
            patience=CONNECTING_SECONDS,
        )

    async def _ask(self, seal: Seal) -> Found:
        try:
            client = await self._access.connect()
        except KubernetesError as error:
            self._connected.set()
            self._named.set()
            remedy = "pass --kubeconfig and --context, or give --prometheus URL"
            return Found(Missing("unreachable", str(error), remedy))
        self._connected.set()
        asked = cluster_questions(
            client,
            self._access.namespace,
            self._sources.target,
            self._access.kubectl,
            selector=self._sources.selector,
        )
        noting = {question.probe: self._noting(question) for question in asked}
        found = await noting.pop("placements").ask(seal)
        return Found(found.facts, [*found.then, *noting.values(), *self._logs(client, found.facts)])

    def _logs(self, client: KubernetesApi, placed: object) -> list[Question]:
        if not isinstance(placed, PodPlacements):
            return []
        access = self._access
        return pod_log_questions(client, access.namespace, placed.pods, self._sources.start, access.kubectl)

    def _noting(self, question: Question) -> Question:
        async def ask(seal: Seal) -> Found:
            try:
                found = await question.ask(seal)
                self._found[question.probe] = found.facts
                return found
            finally:
                self._waited_for.discard(question.probe)
                if not self._waited_for:
                    self._named.set()

        return replace(question, ask=ask)


async def _wait_for(event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(NAMES_SECONDS):
            await event.wait()
    except TimeoutError:
        pass


def access_from(token_file: str | None, ca_file: str | None, headers: Sequence[str]) -> PrometheusAccess:
    """As given on the command line; `headers` as `Name: value`. Raises ValueError."""
    told: dict[str, str] = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"{header!r} is no header; give one such as 'X-Scope-OrgID: team'")
        told[name.strip()] = value.strip()
    return PrometheusAccess(
        bearer_token_file=Path(token_file) if token_file else None,
        ca_file=Path(ca_file) if ca_file else None,
        headers=told,
    )
