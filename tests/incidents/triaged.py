"""Watches an incident with a real Prometheus, and asks triton-triage about it while the servers still run.

The control groups' counts are served under cAdvisor's names: they are the kernel's own, only the kubelet between is missing."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from tests.incidents.client import now
from tests.incidents.observer import Observer, record_pages
from tests.incidents.world import World
from tests.local_process import free_ports
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer, Target

NAMESPACE = "incidents"
BUNDLE = "bundle.json.gz"
REPORT = "report.txt"


def triaged_by(tools: PrometheusTools, model: str = "") -> Observer:
    """An observer that leaves the bundle and the report in the world's folder. `model`: the one that is asked about, if any."""

    @asynccontextmanager
    async def observe(world: World) -> AsyncIterator[None]:
        async with (
            record_pages(world),
            _kubelet(world) as kubelet,
            PrometheusServer(tools, world.folder / "prometheus") as prometheus,
        ):
            following = asyncio.create_task(_follow(world, kubelet, prometheus))
            began = now()
            try:
                yield
                await _ask(world, prometheus, began, model)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    return observe


async def _follow(world: World, kubelet: str, prometheus: PrometheusServer) -> None:
    known: list[str] = []
    while True:
        names = world.names()
        if names != known:
            known = names
            targets = [
                Target(
                    urlsplit(server.metrics_url).netloc,
                    {"pod": name, "namespace": NAMESPACE, "node": server.plan.node},
                )
                for name, server in sorted(world.pods.items())
            ]
            targets += [Target(urlsplit(world.gateway.url).netloc), Target(kubelet)]
            prometheus.set_targets(targets)
        await asyncio.sleep(0.2)


@asynccontextmanager
async def _kubelet(world: World) -> AsyncIterator[str]:
    """What cAdvisor would say of the pods' containers."""

    async def metrics(request: web.Request) -> web.Response:
        lines = []
        for name, server in world.pods.items():
            if server.group is None:
                continue
            usage = server.group.usage()
            labels = f'{{namespace="{NAMESPACE}",pod="{name}",container="triton",image="tritonserver"}}'
            lines += [
                f"container_cpu_cfs_periods_total{labels} {usage.periods}",
                f"container_cpu_cfs_throttled_periods_total{labels} {usage.throttled_periods}",
                f"container_cpu_usage_seconds_total{labels} {usage.cpu_seconds}",
                f"container_memory_working_set_bytes{labels} {usage.memory_bytes}",
            ]
        return web.Response(text="\n".join(lines) + "\n")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def _ask(world: World, prometheus: PrometheusServer, began: float, model: str) -> None:
    """As a person would, from a laptop without a kubeconfig."""
    window = "..".join(datetime.fromtimestamp(at, UTC).isoformat() for at in (began, now()))
    arguments = ["p99", "deploy/web", "-n", NAMESPACE, "--window", window]
    arguments += ["--prometheus", prometheus.url, "--kubeconfig", "/nonexistent", "--capture", "3s"]
    arguments += ["--model", model] if model else []
    for server in world.pods.values():
        arguments += ["--triton", server.url, "--metrics", server.metrics_url]
    arguments += ["--save", str(world.folder / BUNDLE)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "triage",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with contextlib.suppress(ProcessLookupError):
        said, _ = await asyncio.wait_for(process.communicate(), 90)
    (world.folder / REPORT).write_bytes(said)
