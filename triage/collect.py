"""Asks every question at once, each with its own deadline inside one budget, and seals what comes back.

A source that fails is evidence too: why it is missing, and what would show it. No failure of one question reaches another,
not even one that nobody thought of."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from triage.evidence import Asked, Evidence, Facts, Missing, Snapshot
from triage.seal import Seal
from triage.tree import Tree


@dataclass(frozen=True, slots=True)
class Found:
    """What a question brought, and the questions that it raises."""

    facts: Facts | Missing
    then: Sequence["Question"] = ()


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    probe: str
    source: str
    query: str
    command: str
    ask: Callable[[Seal], Awaitable[Found]]
    """Raises nothing that is expected: what a source refuses is a `Missing`. A log seals its lines as they come."""
    subject: str = ""
    on_timeout: str = "ask again, or give the source by hand"
    patience: float | None = None
    """Seconds for this question, where it needs others than its probe's deadline; infinite where its source sees to that."""


BY_ANOTHER = Missing("not_given", "one of the questions that this one raises tells it", "see there")
"""Of a question that was asked only to know what to ask: it is no evidence, and one that it raises may have its id."""
_UNTHOUGHT = "this is a mistake of triton-triage: please report it; the other sources were asked all the same"
_MAX_SAID = 500


async def collect(
    questions: Sequence[Question],
    asked: Asked,
    tree: Tree,
    make_seal: Callable[[], Seal],
    *,
    patience: float = 0.0,
    so_far: "SoFar | None" = None,
) -> Snapshot:
    """The snapshot, at the latest when the tree's budget is over, or `patience` seconds where that is longer. What the tree has no
    probe for is not asked. Who looks on is told by `so_far`."""
    began = time.monotonic()
    collected_at = _now()
    collector = _Collector(tree, make_seal, began + max(tree.budget, patience))

    def snapshot() -> Snapshot:
        order = list(tree.probes)
        evidence = sorted(collector.evidence, key=lambda e: (e.subject, order.index(e.probe), e.id))
        took = round(time.monotonic() - began, 1)
        return Snapshot(asked=asked, collected_at=collected_at, took_seconds=took, evidence=tuple(evidence))

    if so_far is not None:
        so_far.snapshot = snapshot
    async with asyncio.TaskGroup() as group:
        collector.group = group
        known = [question for question in questions if question.probe in tree.probes]
        for question in sorted(known, key=lambda q: not tree.probes[q.probe].expires):
            collector.start(question)
    return snapshot()


class SoFar:
    """A look at what has answered, for who cannot wait for all of it."""

    snapshot: Callable[[], Snapshot] | None = None
    """None before the questions are asked."""


class _Collector:
    def __init__(self, tree: Tree, make_seal: Callable[[], Seal], over_at: float) -> None:
        self.evidence: list[Evidence] = []
        self.group: asyncio.TaskGroup
        self._tree = tree
        self._make_seal = make_seal
        self._over_at = over_at
        self._started: set[str] = set()

    def start(self, question: Question) -> None:
        if question.probe in self._tree.probes and question.id not in self._started:
            self._started.add(question.id)
            self.group.create_task(self._answer(question))

    async def _answer(self, question: Question) -> None:
        seal = self._make_seal()
        try:
            found = await self._ask(question, seal)
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled():
                raise
            found = Found(_unthought(error))
        if isinstance(found.facts, Missing):
            seal = self._make_seal()  # what was masked in an answer that is not kept does not count
        if found.facts is BY_ANOTHER:
            self._started.discard(question.id)
        for follow_up in found.then:
            self.start(follow_up)
        if found.facts is BY_ANOTHER:
            return
        facts, missing = (None, found.facts) if isinstance(found.facts, Missing) else (found.facts, None)
        evidence = Evidence(
            id=question.id,
            probe=question.probe,
            source=question.source,
            query=question.query,
            command=question.command,
            fetched_at=_now(),
            subject=question.subject,
            facts=facts,
            missing=missing,
        )
        self.evidence.append(self._sealed(seal, evidence))

    async def _ask(self, question: Question, seal: Seal) -> Found:
        deadline = question.patience or self._tree.probes[question.probe].deadline
        seconds = min(deadline, self._over_at - time.monotonic())
        if seconds <= 0:
            said = "the time for all questions together was over before this one could be asked"
            return Found(Missing("timeout", said, question.on_timeout))
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await question.ask(seal)
        except Exception:
            if not limit.expired():
                raise
            return Found(Missing("timeout", f"no answer within {seconds:.2g} s", question.on_timeout))

    def _sealed(self, seal: Seal, evidence: Evidence) -> Evidence:
        try:
            return seal.evidence(evidence)
        except Exception as error:  # what cannot be made safe is not shown, not even in the error's own words
            said = f"the answer could not be redacted ({type(error).__name__}), so it is not shown"
            missing = Missing("parse_error", said, _UNTHOUGHT)
            return self._make_seal().evidence(msgspec.structs.replace(evidence, facts=None, missing=missing))


def _is_cancelled() -> bool:
    """Whether this task is to end, and not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _unthought(error: BaseException) -> Missing:
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return Missing("parse_error", said[:_MAX_SAID], _UNTHOUGHT)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
