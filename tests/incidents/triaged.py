"""Watches an incident with a real Prometheus, and asks triton-triage about it while the servers still run: as a person on call,
with rights in the namespace alone, where there is a cluster; else from a laptop without a kubeconfig."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from tests.incidents.client import now
from tests.incidents.cluster import NAMESPACE
from tests.incidents.exporters import Exporters, exporters
from tests.incidents.history import openmetrics
from tests.incidents.observer import Observer, record_pages
from tests.incidents.world import World
from tests.latency.fleet_under_load import PROMPT_DISCOVERY
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer, Target

STARTING_SECONDS = 3.0
"""Between the making of a history and the first request of the baseline."""
BUNDLE = "bundle.json.gz"
WHOLE_SECONDS = 5.0
"""After the first scrape rates are of whole windows; the first ones of young counters are extrapolated, each bucket on its own."""
REPORT = "report.txt"
KUBECONFIG = "on-call.kubeconfig"


def triaged_by(tools: PrometheusTools, earlier: Path | None = None, model: str = "") -> Observer:
    """An observer that leaves the bundle and the report in the world's folder.

    `earlier`: the folder of a run that was the same hour a day and a week ago. `model`: the one that is asked about, if any."""

    @asynccontextmanager
    async def observe(world: World) -> AsyncIterator[None]:
        server = PrometheusServer(tools, world.folder / "prometheus", arguments=PROMPT_DISCOVERY)
        if earlier is not None:
            await server.backfill(openmetrics(earlier, now() + STARTING_SECONDS))
        async with record_pages(world), exporters(world) as platform, server as prometheus:
            following = asyncio.create_task(_follow(world, platform, prometheus))
            began = now() + WHOLE_SECONDS
            try:
                yield
                await _ask(world, prometheus, began, model)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    return observe


async def _follow(world: World, platform: Exporters, prometheus: PrometheusServer) -> None:
    known: list[str] = []
    while True:
        # Prometheus finds a pod as soon as it has an address, before it is ready.
        servers = {**world.starting, **world.pods}
        if sorted(servers) != known:
            known = sorted(servers)
            targets = [
                Target(
                    urlsplit(server.metrics_url).netloc,
                    {"pod": name, "namespace": NAMESPACE, "node": server.plan.node},
                )
                for name, server in sorted(servers.items())
            ]
            targets += [Target(urlsplit(world.gateway.url).netloc), *platform.targets()]
            prometheus.set_targets(targets)
        await asyncio.sleep(0.2)


async def _ask(world: World, prometheus: PrometheusServer, began: float, model: str) -> None:
    window = "..".join(datetime.fromtimestamp(at, UTC).isoformat() for at in (began, now()))
    kubeconfig = "/nonexistent"
    if world.cluster is not None:
        shutil.copy(world.cluster.kubeconfig, world.folder / KUBECONFIG)
        kubeconfig = KUBECONFIG
    arguments = ["p99", "deploy/web", "-n", NAMESPACE, "--window", window]
    arguments += ["--prometheus", prometheus.url, "--kubeconfig", kubeconfig, "--capture", "3s"]
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
        cwd=world.folder,  # where it was recorded is nobody's business
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with contextlib.suppress(ProcessLookupError):
        said, _ = await asyncio.wait_for(process.communicate(), 90)
    (world.folder / REPORT).write_bytes(said)
