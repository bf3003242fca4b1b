"""Looks at every Triton pod: the list, then cheaply at all that run, then closely at those in trouble, within one budget."""

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Protocol

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import object_path
from triage.collect import Question, collect
from triage.evidence import Asked, Evidence, LogExcerpt, Missing, RepositoryIndex, Snapshot
from triage.failing.findings import Findings, failed_by_index, findings_of, ready_by_index
from triage.failing.index import PodIndexes
from triage.failing.list_pods import Listed, list_triton_pods
from triage.failing.pods import is_over, triton_pod
from triage.failing.rows import PodCase, lines_of, report_command, unlike
from triage.failing.triton_pod import TritonPod
from triage.failing.view import SCHEMA, FailingModels, Gap, Looked
from triage.probes.pod import pod_questions
from triage.probes.pod_triton import Exchange
from triage.rules import Rules
from triage.seal import Seal, printable

LIST_SECONDS = 30.0
"""For the list of the pods: thousands of them come in dozens of chunks."""
BUDGET_SECONDS, MORE_SECONDS, MOST_SECONDS = 10.0, 0.05, 60.0
"""To look at them: the first, and so much more for each kind of pod that is in trouble, up to the last."""
READ_ALIKE = 2
"""Pods that stand alike of which the logs are read: replicas of one workload fail alike, and the second shows whether they do."""
_SECONDS_SHARE = 0.3
"""Of the budget, after which no second pod of those that stand alike is begun with: logs of megabytes take a second each."""
_ASKED_AT_ONCE = 16
_READ_AT_ONCE = 4
"""Pods: each is a handful of requests, and a log of megabytes at most."""

_PROBES = ("previous_log", "helper_log", "events", "pod", "log", "index")
"""What is asked of each pod. Its whole report asks for more: nodes and neighbours cost the API server lists of their own."""

Progress = Callable[[str], None]


class AskedApi(KubernetesApi, Exchange, Protocol):
    """The API server, and the way through it to the pods' ports."""


@dataclass(frozen=True, slots=True)
class Where:
    namespaces: Sequence[str] = ()
    """Empty: all."""
    selector: str = ""
    model: str = ""
    kubectl: str = "kubectl"
    kubeconfig: str = ""
    """As given, and so is `context`; empty: kubectl's own choice."""
    context: str = ""

    @property
    def flags(self) -> str:
        """For commands of ours."""
        given = (("--kubeconfig", self.kubeconfig), ("--context", self.context))
        return "".join(f" {flag} {shlex.quote(value)}" for flag, value in given if value)


async def look_at_all(
    api: AskedApi,
    where: Where,
    rules: Rules,
    make_seal: Callable[[], Seal],
    say: Progress = lambda text: None,
) -> FailingModels:
    """Raises KubernetesError where no pod may be listed."""
    began, now = time.monotonic(), datetime.now(UTC)
    counting = _Counting(api)
    say("asking for the pods ...")
    listed = await _list(counting, where)
    pods: list[TritonPod] = []
    for pod, raw in listed.pods:
        if not is_over(pod):
            pods.append(triton_pod(pod, now))
            counting.keep(pods[-1], raw)
    looker = _Looker(counting, where, rules, make_seal, say)
    turns = choose(pods)
    most = min(BUDGET_SECONDS + MORE_SECONDS * len(turns[0]), MOST_SECONDS)
    trouble = sum(pod.troubled for pod in pods)
    say(
        f"{trouble} of {len(pods)} Triton pods not ready or restarted lately; looking for {most:g} s at most ..."
    )
    budget = round(time.monotonic() - began + most, 1)
    try:
        async with asyncio.timeout(most):
            await looker.look(pods, turns, time.monotonic() + most * _SECONDS_SHARE)
    except TimeoutError:
        say("the time is over ...")
    cases = [PodCase(pod, looker.findings.get(_id(pod)), looker.asked.get(_id(pod))) for pod in pods]
    return FailingModels(
        schema=SCHEMA,
        tree=rules.tree.tree,
        tree_sha256=rules.tree_sha256,
        signatures_sha256=rules.signatures_sha256,
        namespaces=tuple(where.namespaces),
        model=where.model,
        collected_at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        took_seconds=round(time.monotonic() - began, 1),
        budget_seconds=budget,
        requests=counting.requests,
        unlisted=tuple(listed.unlisted),
        looked=_looked(cases, listed.count),
        lines=lines_of(cases, now, where.flags),
        unseen=(*listed.unseen, *looker.gaps(), *_gaps(cases, where)),
    )


async def _list(api: AskedApi, where: Where) -> Listed:
    try:
        async with asyncio.timeout(LIST_SECONDS):
            return await list_triton_pods(api, where.namespaces, where.selector)
    except TimeoutError as late:
        said = f"the list of the pods was not there within {LIST_SECONDS:g} s: ask about a namespace with -n NAMESPACE"
        raise KubernetesError(said, reason="Timeout") from late


def choose(pods: Sequence[TritonPod]) -> list[list[TritonPod]]:
    """Those to look at closely: in trouble, and of those that stand alike one in each turn."""
    alike: dict[tuple[str, str, str], list[TritonPod]] = {}
    for pod in sorted(pods, key=_id):
        if pod.troubled:
            alike.setdefault((pod.namespace, pod.workload, pod.alike), []).append(pod)
    return [[group[turn] for group in alike.values() if turn < len(group)] for turn in range(READ_ALIKE)]


def _id(pod: TritonPod) -> tuple[str, str]:
    return pod.namespace, pod.name


class _Looker:
    def __init__(
        self, api: "_Counting", where: Where, rules: Rules, make_seal: Callable[[], Seal], say: Progress
    ) -> None:
        self.findings: dict[tuple[str, str], Findings] = {}
        self.asked: dict[tuple[str, str], frozenset[str]] = {}
        self._api = api
        self._where = where
        self._rules = rules
        probes = {name: probe for name, probe in rules.tree.probes.items() if name in _PROBES}
        self._asks = rules.tree.model_copy(update={"probes": probes})
        self._make_seal = make_seal
        self._say = say
        self._indexes = PodIndexes(api, where.kubectl)
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)
        self._missing: dict[tuple[str, str, str], list[Missing]] = {}
        self._read = 0

    async def look(
        self, pods: Sequence[TritonPod], turns: Sequence[Sequence[TritonPod]], until: float
    ) -> None:
        """After `until`, by the monotonic clock, only pods of the first turn are begun with."""
        self._chosen = sum(map(len, turns))
        async with asyncio.TaskGroup() as group:
            for number, turn in enumerate(turns):
                for pod in turn:
                    group.create_task(self._read_closely(pod, until=until if number else inf))
            closely = {_id(pod) for turn in turns for pod in turn}
            for pod in pods:
                if pod.runs and pod.ready and _id(pod) not in closely:
                    group.create_task(self._ask(pod))

    async def _ask(self, pod: TritonPod) -> None:
        async with self._asking:
            snapshot = await self._collect(pod, [self._indexes.question(pod)])
        index = next((e.facts for e in snapshot.evidence if isinstance(e.facts, RepositoryIndex)), None)
        if index is not None and failed_by_index(index):
            self._chosen += 1
            await self._read_closely(pod, snapshot.evidence)
        else:
            self._note(pod, snapshot)
            if (ready := ready_by_index(snapshot)) is not None:
                self.asked[_id(pod)] = ready

    async def _read_closely(self, pod: TritonPod, known: Sequence[Evidence] = (), until: float = inf) -> None:
        async with self._reading:
            if time.monotonic() > until:
                return
            questions = pod_questions(
                self._api, pod.namespace, f"pod/{pod.name}", self._rules.signatures, self._where.kubectl
            )
            if pod.runs and not known:
                questions.append(self._indexes.question(pod))
            snapshot = await self._collect(pod, questions)
            snapshot = msgspec.structs.replace(snapshot, evidence=(*known, *snapshot.evidence))
            # A log of megabytes takes a second: nobody else's answer may wait for it.
            try:
                found = await asyncio.to_thread(findings_of, snapshot, self._rules, ready=pod.ready)
            except Exception as error:  # no pod's evidence may cost the others their lines
                self._missed(pod, "verdict", Missing("parse_error", type(error).__name__, _UNTHOUGHT))
                return
        self._note(pod, snapshot)
        if found.left_out:
            self._missed(pod, "models", Missing("truncated", f"{found.left_out} more fail", "see its report"))
        self.findings[_id(pod)] = found
        self._read += 1
        self._say(f"looked at {self._read} of {self._chosen} pods ...")

    async def _collect(self, pod: TritonPod, questions: Sequence[Question]) -> Snapshot:
        asked = Asked(
            tree=self._rules.tree.tree,
            target=f"pod/{pod.name}",
            namespace=pod.namespace,
            model=self._where.model,
            kubeconfig=printable(self._where.kubeconfig),
            context=printable(self._where.context),
        )
        return await collect(questions, asked, self._asks, self._make_seal)

    def _note(self, pod: TritonPod, snapshot: Snapshot) -> None:
        """What was missing, in the words of a whole namespace."""
        for evidence in snapshot.evidence:
            missing = evidence.missing
            if isinstance(evidence.facts, LogExcerpt) and evidence.facts.cut:
                missing = Missing("truncated", "only its beginning and end were read", "see the whole report")
            if missing is not None and not _is_usual(evidence, missing):
                self._missed(pod, evidence.probe, missing)

    def _missed(self, pod: TritonPod, what: str, missing: Missing) -> None:
        self._missing.setdefault((what, pod.namespace, missing.reason), []).append(missing)

    def gaps(self) -> list[Gap]:
        """Of all namespaces together, where the same is missing for the same reason."""
        found = []
        for probe, reason in sorted({(probe, reason) for probe, _, reason in self._missing}):
            told = {n: m for (p, n, r), m in sorted(self._missing.items()) if (p, r) == (probe, reason)}
            first = next(iter(told.values()))[0]
            found.append(
                Gap(
                    what=_WHAT.get(probe, probe),
                    reason=reason,
                    namespaces=tuple(told),
                    pods=sum(map(len, told.values())),
                    detail=first.detail,
                    remedy=first.remedy,
                )
            )
        return found


_WHAT = {
    "index": "which models Triton has",
    "log": "logs",
    "previous_log": "logs from before the last restart",
    "events": "events",
    "pod": "states of pods",
    "verdict": "why models fail",
    "models": "further failing models",
}
_UNTHOUGHT = "this is a mistake of triton-triage: please report it"


def _is_usual(evidence: Evidence, missing: Missing) -> bool:
    """No events, no earlier life, a container that has not begun: nothing that somebody could let us see."""
    if evidence.probe == "index":
        # Of a server that does not come up, or of a pod that has gone since.
        return missing.reason in ("unreachable", "not_started", "not_found")
    return missing.reason in ("expired", "not_started", "not_found")


def _looked(cases: Sequence[PodCase], listed: int) -> Looked:
    troubled = [case for case in cases if case.pod.troubled]
    read = sum(case.findings is not None for case in troubled)
    apart = sum(unlike(cases).values())
    told = {(c.pod.namespace, c.pod.workload, c.pod.alike) for c in troubled if c.findings is not None}
    alike = sum(
        case.findings is None and (case.pod.namespace, case.pod.workload, case.pod.alike) in told
        for case in troubled
    )
    models = [case.ready_models for case in cases]
    return Looked(
        listed=listed,
        triton=len(cases),
        troubled=len(troubled),
        read=read,
        alike=alike - apart,
        asked=sum(each is not None for each in models),
        not_asked=sum(case.pod.ready and each is None for case, each in zip(cases, models, strict=True)),
    )


def _gaps(cases: Sequence[PodCase], where: Where) -> list[Gap]:
    """What was not looked at for want of time, and pods that look alike and are not."""
    gaps: list[Gap] = []
    groups: dict[tuple[str, str], int] = {}
    told = {(c.pod.namespace, c.pod.workload, c.pod.alike) for c in cases if c.findings is not None}
    for case in cases:
        pod = case.pod
        if pod.troubled and (pod.namespace, pod.workload, pod.alike) not in told:
            groups[pod.namespace, pod.workload] = groups.get((pod.namespace, pod.workload), 0) + 1
    late = "the time was over before they could be looked at"
    apart = "those of its pods that were read fail differently, so these are not taken to be like them"
    gaps += [_of_workload(place, count, "timeout", late, where) for place, count in sorted(groups.items())]
    unread = sorted(unlike(cases).items())
    return gaps + [_of_workload(place, count, "not_given", apart, where) for place, count in unread]


def _of_workload(place: tuple[str, str], count: int, reason: str, detail: str, where: Where) -> Gap:
    namespace, workload = place
    return Gap(
        what="states, events and logs",
        reason=reason,
        namespaces=(namespace,),
        workload=workload,
        pods=count,
        detail=detail,
        remedy=report_command(namespace, workload, workload.partition("/")[2], "", where.flags),
    )


class _Counting:
    """Counts requests, and answers for pods that the list has brought already."""

    def __init__(self, api: AskedApi) -> None:
        self.requests = 0
        self._api = api
        self._known: dict[str, bytes] = {}

    def keep(self, pod: TritonPod, raw: bytes) -> None:
        self._known[object_path(pod.namespace, "v1", "pods", pod.name)] = raw

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        if not query and path in self._known:
            return self._known[path]
        self.requests += 1
        return await self._api.get(path, query)

    async def put(self, path: str, body: bytes) -> bytes:
        raise NotImplementedError("this view changes nothing")

    async def exchange(self, method: str, path: str, body: bytes | None, most: int) -> tuple[int, bytes]:
        self.requests += 1
        return await self._api.exchange(method, path, body, most)

    def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        return self._api.watch(path, query)
