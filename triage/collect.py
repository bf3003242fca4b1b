"""Asks every question at once, each with its own deadline inside one budget, and seals what comes back.

A source that fails is evidence too: why it is missing, and what would show it. No failure of one question reaches another."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

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


async def collect(
    questions: Sequence[Question], asked: Asked, tree: Tree, make_seal: Callable[[], Seal]
) -> Snapshot:
    """The snapshot, at the latest when the tree's budget is over."""
    began = time.monotonic()
    collected_at = _now()
    collector = _Collector(tree, make_seal, began + tree.budget)
    async with asyncio.TaskGroup() as group:
        collector.group = group
        for question in sorted(questions, key=lambda q: not tree.probes[q.probe].expires):
            collector.start(question)
    order = list(tree.probes)
    evidence = sorted(collector.evidence, key=lambda e: (e.subject, order.index(e.probe), e.id))
    return Snapshot(
        asked=asked,
        collected_at=collected_at,
        took_seconds=round(time.monotonic() - began, 1),
        evidence=tuple(evidence),
    )


class _Collector:
    def __init__(self, tree: Tree, make_seal: Callable[[], Seal], over_at: float) -> None:
        self.evidence: list[Evidence] = []
        self.group: asyncio.TaskGroup
        self._tree = tree
        self._make_seal = make_seal
        self._over_at = over_at

    def start(self, question: Question) -> None:
        self.group.create_task(self._answer(question))

    async def _answer(self, question: Question) -> None:
        seal = self._make_seal()
        seconds = max(0.0, min(self._tree.probes[question.probe].deadline, self._over_at - time.monotonic()))
        try:
            async with asyncio.timeout(seconds):
                found = await question.ask(seal)
        except TimeoutError:
            found = Found(Missing("timeout", f"no answer within {seconds:.1f} s", question.on_timeout))
        for follow_up in found.then:
            self.start(follow_up)
        facts, missing = (None, found.facts) if isinstance(found.facts, Missing) else (found.facts, None)
        self.evidence.append(
            seal.evidence(
                Evidence(
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
            )
        )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
