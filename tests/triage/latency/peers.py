"""A server on loopback that answers what it is told to, in order, and fails the test on anything else."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from triage.collect import Found, Question
from triage.evidence import Facts, Missing
from triage.seal import Seal


@dataclass
class Reply:
    body: bytes = b""
    status: int = 200
    after_seconds: float = 0.0


@dataclass
class Peer:
    """`replies` by `METHOD RAW-PATH`; the last one of a path stays."""

    replies: Mapping[str, Sequence[Reply]]
    seen: list[web.Request] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = f"{request.method} {request.raw_path}"
        before = sum(f"{each.method} {each.raw_path}" == asked for each in self.seen)
        self.seen.append(request)
        await request.read()
        if asked not in self.replies:
            self.unexpected.append(asked)
            return web.Response(status=500)
        reply = self.replies[asked][min(before, len(self.replies[asked]) - 1)]
        await asyncio.sleep(reply.after_seconds)
        return web.Response(body=reply.body, status=reply.status)


@asynccontextmanager
async def peer(replies: Mapping[str, Sequence[Reply]]) -> AsyncIterator[Peer]:
    server = Peer(replies)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
    assert not server.unexpected


class Plain:
    masked = 0

    def line(self, text: str) -> str:
        return text

    def value(self, value: Any) -> Any:
        return value


async def ask(question: Question) -> Found:
    return await question.ask(Seal(Plain()))


async def ask_all(questions: Sequence[Question]) -> dict[str, Facts | Missing]:
    """What these questions bring, and those that they raise, by id."""
    found: dict[str, Facts | Missing] = {}
    left = list(questions)
    while left:
        question = left.pop(0)
        if question.id not in found:
            answer = await ask(question)
            found[question.id] = answer.facts
            left += answer.then
    return found
