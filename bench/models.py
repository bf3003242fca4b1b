"""What it costs to export the states of every pod's models: one look at all of a fleet's repository indexes, and one page of them.

Both are beside questions of HPAs, so what counts is for how long a question could have to wait: the longest that the event loop was
late while it happened."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from autoscaler.model_metrics import ModelCollector
from bench.fleet import Fleet
from bench.page import model_name
from bench.spread import Spread, spread
from telemetry.http_body import scrape_session
from telemetry.index_reader import IndexReader, IndexSettings
from telemetry.target import Phase, PodKey, Target, Workload

_TICK: Final = 0.001


@dataclass(frozen=True, slots=True)
class ModelsResult:
    fleet: Fleet
    series: int
    page_bytes: int
    look_cpu_ms: Spread
    look_late_ms: Spread
    """The longest that the loop was late during a look."""
    page_cpu_ms: Spread
    page_late_ms: Spread


async def measure_models(fleet: Fleet, rounds: int) -> ModelsResult:
    async with _tritons(fleet) as base, scrape_session() as session:
        targets = {target.key: target for target in (_target(number, base) for number in range(fleet.pods))}
        settings = IndexSettings(timeout=60.0)
        reader = IndexReader(lambda: targets, lambda: settings, session, time.monotonic)
        registry = CollectorRegistry()
        registry.register(ModelCollector(lambda: targets, lambda: reader.pods, time.monotonic))
        await reader.look_at_all()
        looks, pages = [], []
        for _ in range(rounds):
            looks.append(await _timed(reader.look_at_all()))
            pages.append(await _timed(asyncio.to_thread(generate_latest, registry)))
        page = generate_latest(registry)
    assert all(models.answered for models in reader.pods.values())  # noqa: S101 -- else nothing was measured
    return ModelsResult(
        fleet,
        sum(not line.startswith(b"#") for line in page.splitlines()),
        len(page),
        spread(cpu for cpu, _ in looks),
        spread(late for _, late in looks),
        spread(cpu for cpu, _ in pages),
        spread(late for _, late in pages),
    )


async def _timed(work: Awaitable[object]) -> tuple[float, float]:
    """Milliseconds of this process's CPU, and the longest that a sleep of a millisecond was late meanwhile."""
    late = [0.0]

    async def watch() -> None:
        while True:
            slept = time.perf_counter()
            await asyncio.sleep(_TICK)
            late[0] = max(late[0], time.perf_counter() - slept - _TICK)

    watching = asyncio.create_task(watch())
    began = time.process_time()
    await work
    cpu = time.process_time() - began
    watching.cancel()
    return cpu * 1000, late[0] * 1000


def _target(number: int, base: str) -> Target:
    key = PodKey("inference", f"chat-6d4cf56db6-{number:05d}", f"uid-{number}")
    workload = Workload("Deployment", "chat")
    return Target(key, None, f"{base}/{number}", Phase.RUNNING, ready=True, node="gpu-1", workload=workload)


@asynccontextmanager
async def _tritons(fleet: Fleet) -> AsyncIterator[str]:
    """The base address of a fleet's HTTP APIs, in a process of its own."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(fleet.models, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{await asyncio.to_thread(ours.recv)}"
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


def _serve(models: int, port: Connection) -> None:
    rows = [{"name": model_name(n), "version": "1", "state": "READY"} for n in range(models)]
    body = json.dumps(rows).encode()

    async def index(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/{pod}/v2/repository/index", index)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())
