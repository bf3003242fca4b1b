"""Triton's statistics API at both ends of a capture: executions by batch size, and time in requests that failed.

API: triton-inference-server/server:docs/protocol/extension_statistics.md."""

import asyncio
import shlex

import aiohttp
from yarl import URL

from triage.collect import Found, Question
from triage.evidence import Missing
from triage.latency.facts import Statistics
from triage.latency.model_statistics import parse_statistics, statistics_between
from triage.probes.http_answer import Answer, address, error_of, read_answer, without_credentials
from triage.seal import Seal

PATH = "/v2/models/stats"
_READ_SECONDS = 5.0
_UNANSWERED = "is this Triton's HTTP port, and does the process still answer? look at its CPU and threads"
_RESTRICTED = (
    "ask from where --http-restricted-api lets the statistics API through (each request needs its header),"
    " or through the pod's own port"
)


def statistics_question(
    url: str, session: aiohttp.ClientSession, *, seconds: float, subject: str = ""
) -> Question:
    """What to ask the server at `url`, which `check_url` gave, now and again after `seconds`."""
    shown = without_credentials(url)
    user = URL(url).user
    curl = f"curl -s -u {shlex.quote(user)}" if user else "curl -s"

    async def ask(seal: Seal) -> Found:
        return Found(await _twice(url, session, seconds))

    return Question(
        id=f"statistics:{address(url)}",
        probe="statistics",
        source=f"Triton at {shown}",
        query=f"GET {PATH}, twice within {seconds:g} s",
        command=f"{curl} {shlex.quote(shown.rstrip('/') + PATH)}",
        ask=ask,
        subject=subject,
        on_timeout=_UNANSWERED,
        patience=seconds + 2 * _READ_SECONDS + 1.0,
    )


async def _twice(url: str, session: aiohttp.ClientSession, seconds: float) -> Statistics | Missing:
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = await _read(url, session)
    if isinstance(first, Missing):
        return first
    await asyncio.sleep(max(0.0, began + seconds - loop.time()))
    second = await _read(url, session)
    if isinstance(second, Missing):
        return second
    try:
        before, after = parse_statistics(first.body), parse_statistics(second.body)
    except ValueError as error:
        return Missing("parse_error", str(error), "give the address of Triton's HTTP port (8000)")
    return Statistics(round(second.at - first.at, 3), before, statistics_between(before, after))


async def _read(url: str, session: aiohttp.ClientSession) -> Answer | Missing:
    answer = await read_answer(
        session, url + PATH, seconds=_READ_SECONDS, what="the statistics", remedy=_UNANSWERED
    )
    if isinstance(answer, Missing) or answer.status == 200:
        return answer
    said = f"the statistics: HTTP {answer.status} {error_of(answer.body)}".strip()
    match answer.status:
        case 401 | 403:
            return Missing("forbidden", said, _RESTRICTED)
        case 404:
            return Missing("not_enabled", said, f"is this Triton's HTTP port (8000)? if so, {_RESTRICTED}")
        case 503:
            return Missing("not_started", said, "the server is starting or stopping: ask again")
        case _:
            return Missing(
                "refused", said, "is this Triton's HTTP port? The metrics port does not answer this"
            )
