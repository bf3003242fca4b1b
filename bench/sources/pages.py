"""A fleet's pages and models' configurations from a process of its own, so that what they cost is on nobody's account here.

The counters move each second, the same in all pods."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final

import aiohttp
from aiohttp import web

from bench.fleet import NAMESPACE, PODS_A_WORKLOAD, Fleet, fleet_targets
from bench.page import metrics_page, model_name
from telemetry.target import Target
from tests.prometheus.server import Target as ScrapeTarget

_BEFORE: Final = 1000
_A_SECOND: Final = 20
"""Requests to each model."""


@dataclass(frozen=True, slots=True)
class Pages:
    fleet: Fleet
    address: str
    """`host:port`"""
    pods_a_workload: int

    @property
    def base(self) -> str:
        return f"http://{self.address}"

    def targets(self) -> list[Target]:
        return list(fleet_targets(self.fleet, self.base, pods_a_workload=self.pods_a_workload))

    def scrape_targets(self) -> list[ScrapeTarget]:
        """For Prometheus, with the labels that its Kubernetes discovery gives."""
        pods = [target.key.pod for target in self.targets()]
        return [
            ScrapeTarget(
                self.address, {"namespace": NAMESPACE, "pod": pod, "instance": pod}, f"/{pod}/metrics"
            )
            for pod in pods
        ]

    async def bytes_sent(self) -> int:
        """Of pages, so far."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.base}/sent") as answer:
            return int(await answer.text())


@asynccontextmanager
async def serving_pages(fleet: Fleet, *, pods_a_workload: int = PODS_A_WORKLOAD) -> AsyncIterator[Pages]:
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(fleet.models, theirs), daemon=True)
    process.start()
    try:
        yield Pages(fleet, f"127.0.0.1:{await asyncio.to_thread(ours.recv)}", pods_a_workload)
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


def _serve(models: int, port: Connection) -> None:
    began = time.monotonic()
    shown: dict[int, bytes] = {}
    sent = 0

    async def page(request: web.Request) -> web.Response:
        nonlocal sent
        second = int(time.monotonic() - began)
        if second not in shown:
            shown.clear()
            shown[second] = metrics_page(models, _BEFORE + _A_SECOND * second).encode()
        sent += len(shown[second])
        return web.Response(body=shown[second], content_type="text/plain")

    async def config(request: web.Request) -> web.Response:
        return web.json_response({"name": request.match_info["model"]})

    async def index(request: web.Request) -> web.Response:
        rows = [{"name": model_name(number), "version": "1", "state": "READY"} for number in range(models)]
        return web.json_response(rows)

    async def how_much(request: web.Request) -> web.Response:
        return web.Response(text=str(sent))

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/{pod}/metrics", page)
        app.router.add_get("/{pod}/v2/models/{model}/config", config)
        app.router.add_post("/{pod}/v2/repository/index", index)
        app.router.add_get("/sent", how_much)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())
