"""Act three on the running Triton: clients of a model, a slower version of it, and what is seen each second."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from demo.clients import Clients, Request, quantile_ms
from demo.pushes import push, withdraw
from demo.spike_story import (
    CALM_SECONDS,
    CAPTURE_SECONDS,
    CLIENTS,
    FILES,
    MODEL,
    NEW,
    NEW_FILES,
    OLD,
    PAUSE_SECONDS,
    PUSH_AT,
    Second,
    state_of,
)
from demo.triage_process import ended, start_triage
from tests.tritons.server import TritonRefused, TritonServer

SERVED_SECONDS = 30.0
TRIAGE_SECONDS = 60.0
"""It promises the capture and eight more."""
BACK_SECONDS = 10
"""At most: to unload the version, and to see the old one calm again."""


class SpikeStage:
    """Clients of the model on the running Triton, and what they see."""

    def __init__(self, server: TritonServer, repository: Path, http: aiohttp.ClientSession) -> None:
        self.url = server.url
        self.metrics_url = server.metrics_url
        self.told = b""
        """What triton-triage wrote."""
        self._server = server
        self._repository = repository
        self._clients = Clients(server.url, MODEL, http, pause=PAUSE_SECONDS)
        self._pushed = self._withdrawn = False
        self._at = 0

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[None]:
        """In which the model is served, and they send; one after the other at first, for eight at once would be a burst."""
        push(self._repository, MODEL, FILES)
        await self._until_served()
        async with asyncio.TaskGroup() as group:
            for count in range(1, CLIENTS + 1):
                self._clients.set(count, group)
                await asyncio.sleep(PAUSE_SECONDS / CLIENTS)
            self._group = group
            self._started = time.monotonic()
            try:
                yield
            finally:
                self._clients.count = 0

    async def until_triaged(self, bundle: Path) -> AsyncGenerator[Second]:
        """A second each, until triton-triage, which leaves its evidence in `bundle`, has ended."""
        arguments = ["--triton", self.url, "--metrics", self.metrics_url]
        arguments += ["--capture", f"{CAPTURE_SECONDS}s", "--save", str(bundle), "-o", "html"]
        asked_at: int | None = None
        triage: asyncio.Task[bytes] | None = None
        while triage is None or not triage.done():
            if self._at == CALM_SECONDS:
                triage, asked_at = self._group.create_task(_triage(arguments)), self._at
            if self._at == PUSH_AT:
                push(self._repository, f"{MODEL}/{NEW}", NEW_FILES)
                self._pushed = True
            yield await self._second(None if asked_at is None else self._at - asked_at)
        self.told = triage.result()

    async def until_back(self) -> AsyncGenerator[Second]:
        """Takes the version out, and gives a second each until the one before it has served alone for a while."""
        withdraw(self._repository, f"{MODEL}/{NEW}")
        self._withdrawn = True
        calm = 0
        for _ in range(BACK_SECONDS):
            second = await self._second(None)
            yield second
            calm += second.state == "back" and second.ready
            if calm == 2:
                return

    async def _second(self, asked: int | None) -> Second:
        self._at += 1
        await asyncio.sleep(max(0.0, self._started + self._at - time.monotonic()))
        now = time.monotonic()
        versions = await self._versions()
        took = [request.done - request.sent for request in self._answered(now)]
        return Second(
            at=self._at,
            clock=datetime.now(UTC).strftime("%H:%M:%S"),
            state=state_of(pushed=self._pushed, withdrawn=self._withdrawn, versions=versions),
            p99_ms=quantile_ms(took, 0.99),
            answered=len(took),
            failed=self._clients.failures,
            versions=versions,
            ready=await self._is_ready(),
            asked=asked,
        )

    def _answered(self, now: float) -> Iterator[Request]:
        return (request for request in self._clients.sent if now - 1 < request.done <= now)

    async def _until_served(self) -> None:
        async with asyncio.timeout(SERVED_SECONDS):
            while OLD not in await self._versions():  # noqa: ASYNC110 -- another process is waited for
                await asyncio.sleep(0.1)

    async def _versions(self) -> tuple[str, ...]:
        rows = await self._server.index()
        ready = (row for row in rows if row["name"] == MODEL and row.get("state") == "READY")
        return tuple(sorted(row["version"] for row in ready))

    async def _is_ready(self) -> bool:
        try:
            await self._server.call("GET", "/v2/health/ready")
        except TritonRefused:
            return False
        return True


async def _triage(arguments: Sequence[str]) -> bytes:
    async with asyncio.timeout(TRIAGE_SECONDS):
        told, said = await ended(await start_triage("p99", *arguments, piped=True))
    if not told:
        raise OSError(f"triton-triage gave no report: {said.decode().strip()}")
    return told
