"""A fleet as the daemon knows it after its scrapes: real pages through the real scrape loop, from one server on loopback."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web

from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.signal import load_signals, needed_families
from bench.page import metrics_page, model_name
from telemetry.http_body import PlainPages
from telemetry.rules_dir import rules_dir
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets, Workload

NAMESPACE: Final = "inference"
PODS_A_WORKLOAD: Final = 10
INTERVAL: Final = 5.0


@dataclass(frozen=True, slots=True)
class Fleet:
    pods: int
    models: int

    def __str__(self) -> str:
        return f"{self.pods} pods x {self.models} models"

    @property
    def path(self) -> str:
        """What an HPA on one model of one workload asks."""
        return _path(self.models // 2, 0)

    @property
    def paths(self) -> list[str]:
        """What HPAs on each model of each workload ask."""
        workloads = range(-(-self.pods // PODS_A_WORKLOAD))
        return [_path(model, workload) for workload in workloads for model in range(self.models)]


def _path(model: int, workload: int) -> str:
    selector = f"model%3D{model_name(model)},workload%3Dchat-{workload}"
    metric = "triton_inference_concurrency"
    return f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/{metric}?labelSelector={selector}"


async def scraped_autoscaler(fleet: Fleet) -> Autoscaler:
    """Answers for a fleet whose windows are full; time stands still after its last scrape."""
    now = [0.0]
    requests = [0]
    rows = load_signals(rules_dir() / "signals")
    app = web.Application()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=metrics_page(fleet.models, requests[0]))

    async def config(request: web.Request) -> web.Response:
        return web.json_response({"name": request.match_info["model"]})

    app.router.add_get("/{pod}/metrics", page)
    app.router.add_get("/{pod}/v2/models/{model}/config", config)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    targets = Targets()
    targets.replace({target.key: target for target in fleet_targets(fleet, base)})
    try:
        async with aiohttp.ClientSession() as session:
            scraper = Scraper(
                targets,
                needed_families(rows),
                {row.window for row in rows.values()},
                ScrapeSettings(INTERVAL, 60.0),
                PlainPages(session),
                lambda: now[0],
            )
            for _ in range(2):
                await scraper.scrape_all()
                now[0] += INTERVAL
                requests[0] += 500
    finally:
        await runner.cleanup()
    return Autoscaler(rows, scraper.pods, Settings(), lambda: now[0])


def fleet_targets(fleet: Fleet, base: str, *, pods_a_workload: int = PODS_A_WORKLOAD) -> Iterable[Target]:
    """Of a server that shows each pod's page and models below `base`/POD."""
    for number in range(fleet.pods):
        workload = Workload("Deployment", f"chat-{number // pods_a_workload}")
        pod = f"{workload.name}-6d4cf56db6-{number:05d}"
        url = f"{base}/{pod}"
        yield Target(
            PodKey(NAMESPACE, pod, f"uid-{number}"),
            f"{url}/metrics",
            url,
            Phase.RUNNING,
            ready=True,
            node=f"gpu-node-{number % 16}",
            workload=workload,
            labels={"app": "triton", "team": "search"},
        )
