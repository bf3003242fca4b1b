"""From a request to a report: which sources to ask, ask them, walk."""

from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from triage.collect import Question, collect
from triage.evidence import Asked, Snapshot
from triage.probes.log_file import log_questions
from triage.probes.triton_url import triton_questions
from triage.report import Rules
from triage.seal import Seal


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given on the command line; at least one of them."""

    log: str | None = None
    triton: str | None = None


async def look(sources: Sources, asked: Asked, rules: Rules, make_seal: Callable[[], Seal]) -> Snapshot:
    """The snapshot of everything that the sources show."""
    timeout = aiohttp.ClientTimeout(total=None)  # each question has its own deadline
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        questions: list[Question] = []
        if sources.log:
            deadline = rules.tree.probes["log"].deadline
            questions += log_questions(sources.log, rules.signatures, deadline)
        if sources.triton:
            questions += triton_questions(sources.triton, session)
        return await collect(questions, asked, rules.tree, make_seal)
