"""From a request to a snapshot of why requests are slow: which sources to ask, and ask them.

The cluster and Prometheus are asked at once. Prometheus waits a little for the cluster, since the names of pods, nodes and the
autoscaler tell whose series are meant; without them it asks by the workload's name."""

import asyncio
import shlex
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

import aiohttp
import msgspec

from telemetry.kube_client import KubernetesClient, default_namespace
from telemetry.kubernetes_api import KubernetesError
from telemetry.prometheus import PrometheusAccess, PrometheusSource
from triage.collect import Found, Question, collect
from triage.evidence import Asked, Missing, Snapshot
from triage.latency.facts import HpaView, PodPlacements, Rollouts
from triage.latency.grid import Window
from triage.latency.queries import SeriesTarget
from triage.latency.rules import LatencyRules
from triage.probes.capture import capture_questions
from triage.probes.cluster import cluster_questions
from triage.probes.pod import get_command, is_selector
from triage.probes.prometheus import prometheus_questions
from triage.probes.repository import repository_question
from triage.probes.settings import with_settings
from triage.probes.statistics import statistics_question
from triage.probes.triton_url import triton_questions
from triage.seal import Seal, printable

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


async def look_at_latency(
    sources: LatencySources, model: str, rules: LatencyRules, make_seal: Callable[[], Seal]
) -> Snapshot:
    """Everything that the sources show, within the tree's budget or the capture's time; what cannot be asked is missing."""
    timeout = aiohttp.ClientTimeout(total=None)  # each question has its own deadline
    async with AsyncExitStack() as resources:
        session = await resources.enter_async_context(aiohttp.ClientSession(timeout=timeout, trust_env=False))
        cluster = _Cluster(sources, resources)
        questions: list[Question] = []
        if sources.target:
            questions.append(cluster.question())
        if sources.prometheus:
            source = PrometheusSource(sources.prometheus, sources.access)
            await resources.enter_async_context(source)
            questions.append(_of_prometheus(source, sources, cluster, model, rules))
        for number, url in enumerate(sources.tritons):
            questions += _of_triton(number, url, sources, session, model, rules)
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
        snapshot = await collect(questions, asked, rules.tree, make_seal, patience=capture)
        asked = msgspec.structs.replace(asked, namespace=printable(cluster.namespace))
        return msgspec.structs.replace(snapshot, asked=asked)


def _of_prometheus(
    source: PrometheusSource, sources: LatencySources, cluster: "_Cluster", model: str, rules: LatencyRules
) -> Question:
    window = Window(sources.start, sources.end)
    unnamed = SeriesTarget(namespace=sources.namespace, workload=_name(sources.target), model=model)
    (first,) = prometheus_questions(source, unnamed, rules.sources, window)

    async def ask(seal: Seal) -> Found:
        target = await cluster.names(unnamed) if sources.target else unnamed
        (known,) = prometheus_questions(source, target, rules.sources, window)
        return await known.ask(seal)

    patience = (first.patience or rules.tree.probes[first.probe].deadline) + NAMES_SECONDS
    return replace(first, ask=ask, patience=patience)


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
        questions += with_settings(triton_questions(url, session, model=model), url, session, model=model)
    return questions


def _name(target: str) -> str:
    """Of `deploy/NAME`; a selector names nothing."""
    return "" if is_selector(target) else target.partition("/")[2]


class _Cluster:
    """Connects when it is asked: a credential plug-in that takes its time holds up no other source."""

    def __init__(self, sources: LatencySources, resources: AsyncExitStack) -> None:
        self.namespace = sources.namespace
        self._sources = sources
        self._resources = resources
        self._named = asyncio.Event()
        self._waited_for = {"placements", "hpa", "rollouts"}
        self._found: dict[str, object] = {}

    async def names(self, target: SeriesTarget) -> SeriesTarget:
        """The target with the names that the cluster told, after a while without."""
        try:
            async with asyncio.timeout(NAMES_SECONDS):
                await self._named.wait()
        except TimeoutError:
            pass
        told = replace(target, namespace=self.namespace or target.namespace)
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
        target, namespace = self._sources.target, self.namespace
        selector = self._sources.selector or is_selector(target)
        command = get_command(self._kubectl, namespace, target, selector=selector)
        where = f"namespace {namespace}" if namespace else "the context's namespace"
        return Question(
            id="placements",
            probe="placements",
            source=f"pods of {target}",
            query=f"{target} in {where}",
            command=command,
            ask=self._ask,
            on_timeout=f"does `{command}` answer? the credential plug-in or the API server is slow",
            patience=15.0,
        )

    async def _ask(self, seal: Seal) -> Found:
        kubeconfig, context = self._sources.kubeconfig, self._sources.context
        for module in ("kubernetes.aio.client", "kubernetes.aio.config"):  # 0.7 s, in which others go on
            await asyncio.to_thread(import_module, module)
        client = KubernetesClient(kubeconfig=kubeconfig, context=context)
        try:
            await self._resources.enter_async_context(client)
            self.namespace = self.namespace or await default_namespace(kubeconfig, context)
        except KubernetesError as error:
            self._named.set()
            return Found(
                Missing(
                    "unreachable", str(error), "pass --kubeconfig and --context, or give --prometheus URL"
                )
            )
        asked = cluster_questions(
            client, self.namespace, self._sources.target, self._kubectl, selector=self._sources.selector
        )
        noting = {question.probe: self._noting(question) for question in asked}
        found = await noting.pop("placements").ask(seal)
        return Found(found.facts, [*found.then, *noting.values()])

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

    @property
    def _kubectl(self) -> str:
        """With the flags that were given: the same question to another cluster would be another question."""
        flags = (("--kubeconfig", self._sources.kubeconfig), ("--context", self._sources.context))
        given = (f" {flag} {shlex.quote(value)}" for flag, value in flags if value)
        return "".join(("kubectl", *given))


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
