"""How often a Prometheus is asked, by the number of HPAs: by this project's daemon, and by KEDA, which asks it for each.

The daemon, or KEDA, serves a real API server, to which so many HPAs put their questions, each about another model of another
workload, once in a sync period; a real Prometheus scrapes the fleet, and all that is asked of it comes through a proxy that counts.
The bench puts the questions, at the pace of the HPA controller: the controller itself allows itself twenty requests a second by
default, so that a thousand HPAs do not get their turn in each period."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import urlencode

from bench.fleet import NAMESPACE, Fleet
from bench.page import model_name
from bench.sources.asking import asking
from bench.sources.control_planes import control_plane_in_turn
from bench.sources.counting_proxy import Counting
from bench.sources.pace import Pace
from bench.sources.pages import Pages, serving_pages
from bench.sources.systems import KEDA_WINDOW, SIGNAL
from bench.triage.proxy import proxy
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import ApiRefused, KubeClient, Object
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import deployment, rules_with_window
from tests.faults.keda import Keda
from tests.faults.keda_build import VERSION, ensure_keda
from tests.local_process import eventually
from tests.prometheus.build_tools import ensure_prometheus
from tests.prometheus.server import PrometheusServer

MOST_RATIO: Final = 1.3
"""Between the most and the fewest queries a minute of a system that is flat: a minute has four ticks, and a fifth where a pod was
scraped during one."""
_NEVER_SECONDS: Final = 86_400.0
"""Sync period of the control plane's own HPA controller: the bench asks in its place."""
_ANSWER_SECONDS: Final = 180.0
"""Within which a system has an answer for each HPA."""
_TOGETHER: Final = 20
"""Objects made at once."""

System = Literal["scrape", "prometheus", "keda"]
NAMES: Final[Mapping[System, str]] = {
    "scrape": "triton-autoscaler, source scrape",
    "prometheus": "triton-autoscaler, source prometheus",
    "keda": f"KEDA {VERSION}",
}


@dataclass(frozen=True, slots=True)
class QueriesResult:
    """One system under so many HPAs, for `seconds`."""

    system: System
    hpas: int
    seconds: float
    queries_a_minute: float
    gets_a_minute: float


class _Server(Protocol):
    async def paths(self, hpas: int) -> Sequence[str]:
        """What so many HPAs ask the API server for. Makes what they need."""


class NotAskedError(Exception):
    """A system that reads Prometheus did not ask it through the proxy, so nothing was counted."""


def is_flat(results: Sequence[QueriesResult]) -> bool:
    """Of one system."""
    queries = [one.queries_a_minute for one in results]
    return max(queries) <= MOST_RATIO * min(queries)


async def measure_queries(
    fleet: Fleet, hpas: Mapping[System, Sequence[int]], seconds: float, pace: Pace
) -> list[QueriesResult]:
    """All systems side by side, each with its numbers of HPAs in turn, `seconds` each, after a period in which they come up to
    speed. At most one HPA for each model of each pod. Raises ExceptionGroup of what a system did not do."""
    with tempfile.TemporaryDirectory(prefix="triton-ops-bench-") as name:
        async with AsyncExitStack() as stack:
            pages = await stack.enter_async_context(serving_pages(fleet, pods_a_workload=1))
            prometheus = await stack.enter_async_context(
                PrometheusServer(
                    ensure_prometheus(),
                    Path(name) / "prometheus",
                    pages.scrape_targets(),
                    scrape_interval=f"{pace.prometheus_scrape:g}s",
                )
            )
            turn = asyncio.Lock()
            async with asyncio.TaskGroup() as group:
                tasks = []
                for system, counts in hpas.items():
                    folder = Path(name) / system
                    one = _measure(system, turn, pages, prometheus.url, counts, seconds, pace, folder)
                    tasks.append(group.create_task(one))
    return [found for task in tasks for found in task.result()]


async def _measure(
    system: System,
    turn: asyncio.Lock,
    pages: Pages,
    prometheus: str,
    counts: Sequence[int],
    seconds: float,
    pace: Pace,
    folder: Path,
) -> list[QueriesResult]:
    counted = Counting()
    found = []
    async with (
        proxy(prometheus, counted) as url,
        control_plane_in_turn(turn, folder, _NEVER_SECONDS) as control_plane,
        _serving(system, control_plane, pages, url, pace, folder) as server,
    ):
        for count in counts:
            paths = await server.paths(count)
            await _until_answered(control_plane.api, paths)
            async with asking(control_plane.api, paths, pace.hpa_sync) as asked:
                await asyncio.sleep(pace.hpa_sync)
                began, queries, answers = time.monotonic(), counted.queries, asked.answers
                await asyncio.sleep(seconds)
                took = time.monotonic() - began
                queries, answers = counted.queries - queries, asked.answers - answers
            if not queries and system != "scrape":
                raise NotAskedError(f"{NAMES[system]} with {count} HPAs asked nothing in {took:.0f} s")
            found.append(QueriesResult(system, count, took, queries * 60 / took, answers * 60 / took))
    return found


async def _until_answered(api: KubeClient, paths: Sequence[str]) -> None:
    """Each of them, once."""
    left = list(paths)

    async def all_answered() -> bool:
        try:
            while left:
                await api.call("GET", left[-1])
                left.pop()
        except ApiRefused:
            await asyncio.sleep(0.5)
        return not left

    await eventually(all_answered, seconds=_ANSWER_SECONDS)


@asynccontextmanager
async def _serving(
    system: System, control_plane: ControlPlane, pages: Pages, prometheus: str, pace: Pace, folder: Path
) -> AsyncIterator[_Server]:
    await control_plane.create_namespace(NAMESPACE)
    if system == "keda":
        keda = Keda(ensure_keda(), window=KEDA_WINDOW)
        folder = folder / "keda"
        folder.mkdir()
        await keda.prepare(control_plane, folder, prometheus)
        try:
            yield _KedaServer(keda, control_plane, pages, prometheus)
        finally:
            await keda.stop()
        return
    rules = rules_with_window(folder / "rules", pace.window) if pace.window else None
    config = pace.config(system, prometheus) | {"targets": {"static": _static_targets(pages)}}
    daemon = Daemon(control_plane, folder, config, rules=rules)
    await control_plane.install_external_metrics(daemon.port)
    async with daemon:
        await control_plane.wait_for_external_metrics()
        yield _OurServer(pages)


def _static_targets(pages: Pages) -> list[Object]:
    return [
        {
            "namespace": target.key.namespace,
            "pod": target.key.pod,
            "metrics_url": target.metrics_url,
            "http_url": target.http_url,
            "workload": target.workload.name,
        }
        for target in pages.targets()
        if target.workload is not None
    ]


@dataclass(frozen=True)
class _OurServer:
    pages: Pages

    async def paths(self, hpas: int) -> Sequence[str]:
        return [
            _path(SIGNAL, f"model={model},workload=chat-{pod}")
            for pod, model in _questions(self.pages.fleet, hpas)
        ]


class _KedaServer:
    """A ScaledObject and a Deployment for each HPA, which KEDA makes itself."""

    def __init__(self, keda: Keda, control_plane: ControlPlane, pages: Pages, prometheus: str) -> None:
        self._keda = keda
        self._api = control_plane.api
        self._fleet = pages.fleet
        self._pods = [target.key.pod for target in pages.targets()]
        self._prometheus = prometheus
        self._made = 0

    async def paths(self, hpas: int) -> Sequence[str]:
        questions = list(_questions(self._fleet, hpas))
        for first in range(self._made, hpas, _TOGETHER):
            numbers = range(first, min(first + _TOGETHER, hpas))
            await asyncio.gather(*(self._make(number, *questions[number]) for number in numbers))
        self._made = hpas
        return [_path("s0-prometheus", f"scaledobject.keda.sh/name={_name(n)}") for n in range(hpas)]

    async def _make(self, number: int, pod: int, model: str) -> None:
        workload, scaler = deployment(NAMESPACE), self._keda.scaler(NAMESPACE, 4.0, self._prometheus)
        labels = {"app": _name(number)}
        workload["metadata"]["name"] = scaler["metadata"]["name"] = _name(number)
        workload["spec"]["selector"]["matchLabels"] = labels
        workload["spec"]["template"]["metadata"]["labels"] = labels
        scaler["spec"]["scaleTargetRef"]["name"] = _name(number)
        asked = scaler["spec"]["triggers"][0]["metadata"]
        whole = f'{{namespace="{NAMESPACE}"}}'
        one = f'{{namespace="{NAMESPACE}",pod="{self._pods[pod]}",model="{model}"}}'
        asked["query"] = asked["query"].replace(whole, one)
        await self._api.apply([workload, scaler])


def _questions(fleet: Fleet, hpas: int) -> Iterator[tuple[int, str]]:
    """(Pod, model), another one for each HPA."""
    pairs = product(range(fleet.pods), map(model_name, range(fleet.models)))
    return islice(pairs, hpas)


def _name(number: int) -> str:
    return f"hpa-{number}"


def _path(metric: str, selector: str) -> str:
    group = "/apis/external.metrics.k8s.io/v1beta1"
    return f"{group}/namespaces/{NAMESPACE}/{metric}?{urlencode({'labelSelector': selector})}"
