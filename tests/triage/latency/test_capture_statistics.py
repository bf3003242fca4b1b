"""The statistics API, asked at both ends of a capture."""

import json
from typing import Any

import aiohttp
import pytest

from tests.triage.latency.peers import Reply, ask, peer
from triage.evidence import Facts, Missing
from triage.latency.facts import Statistics
from triage.probes.statistics import statistics_question

STATISTICS = "GET /v2/models/stats"


def told(executions: int) -> Reply:
    row: dict[str, Any] = {"name": "m", "version": "1", "execution_count": executions}
    return Reply(json.dumps({"model_stats": [row]}).encode())


async def statistics(*replies: Reply) -> Facts | Missing:
    async with peer({STATISTICS: replies}) as triton, aiohttp.ClientSession() as session:
        question = statistics_question(triton.url, session, seconds=0.2)
        assert question.id == f"statistics:{triton.url[7:]}"
        return (await ask(question)).facts


async def test_two_looks_are_what_was_before_and_what_was_during() -> None:
    found = await statistics(told(10), told(13))
    assert isinstance(found, Statistics)
    assert [each.executions for each in (*found.before, *found.during)] == [10, 3]
    assert 0.19 < found.seconds < 2


async def test_a_server_that_was_restarted_in_between_is_told_by_its_second_look() -> None:
    found = await statistics(told(10), told(4))
    assert isinstance(found, Statistics)
    assert [each.executions for each in (*found.before, *found.during)] == [10, 4]


@pytest.mark.parametrize(
    ("replies", "reason", "remedy"),
    [
        ([Reply(b'{"error": "x"}', 403)], "forbidden", "--http-restricted-api"),
        ([Reply(b"", 404)], "not_enabled", "--http-restricted-api"),
        ([told(1), Reply(b"", 503)], "not_started", "ask again"),
        ([Reply(b"", 302)], "refused", "HTTP port"),
        ([told(1), Reply(b"<html>")], "parse_error", "HTTP port"),
    ],
)
async def test_what_is_refused_at_either_end_is_missing_and_says_what_to_do(
    replies: list[Reply], reason: str, remedy: str
) -> None:
    missing = await statistics(*replies)
    assert isinstance(missing, Missing)
    assert (missing.reason, remedy in missing.remedy) == (reason, True)
