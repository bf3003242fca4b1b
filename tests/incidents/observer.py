"""Records what a monitoring system would see while an incident runs: every metrics page, and the kernel's counts, each second.

`observer(world)` is the seam for a real Prometheus beside or instead: an async context manager that watches while it is open.
One line a scrape: `{"at": seconds since 1970, "text": the page}`, or `"error"` in the place of `"text"`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp

from tests.incidents.client import now
from tests.incidents.world import World

EVERY_SECONDS = 1.0
GATEWAY = "gateway"

Observer = Callable[[World], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def record_pages(world: World) -> AsyncIterator[None]:
    """Writes `pages/POD.jsonl`, `pages/gateway.jsonl` and `platform/POD.jsonl` in the world's folder."""
    (world.folder / "pages").mkdir(parents=True)
    (world.folder / "platform").mkdir()
    recording = asyncio.create_task(_record(world))
    try:
        yield
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)


async def _record(world: World) -> None:
    timeout = aiohttp.ClientTimeout(total=EVERY_SECONDS)
    due = now()
    async with aiohttp.ClientSession(timeout=timeout) as http:
        while True:
            targets = {name: server.metrics_url for name, server in world.pods.items()}
            targets[GATEWAY] = f"{world.gateway.url}/metrics"
            await asyncio.gather(*(_scrape(http, world.folder, name, url) for name, url in targets.items()))
            _platform(world)
            due = max(due + EVERY_SECONDS, now())
            await asyncio.sleep(due - now())


async def _scrape(http: aiohttp.ClientSession, folder: Path, name: str, url: str) -> None:
    at = now()
    try:
        async with http.get(url) as answer:
            found = {"text": await answer.text()}
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        found = {"error": repr(problem)}
    _append(folder / "pages" / f"{name}.jsonl", {"at": at, **found})


def _platform(world: World) -> None:
    for name, server in world.pods.items():
        counts = server.group.usage().as_dict() if server.group else {}
        line: dict[str, object] = {
            "at": now(),
            "node": server.plan.node,
            "resident_bytes": world.resident_bytes(name),
            **counts,
        }
        line["log_bytes"] = server.log.stat().st_size
        _append(world.folder / "platform" / f"{name}.jsonl", line)


def _append(file: Path, line: dict[str, object]) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(line) + "\n")
