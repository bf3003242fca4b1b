"""What the daemon costs beside a large fleet: its process, at its defaults but for a scrape each 15 s, and many pods' Tritons.

The pods are given as static targets, so what it takes to watch them at an API server is not in these numbers; its kubeconfig
reaches nobody. Configurations are read and repository indexes looked at as always. Pages are made by another process."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from bench.fleet import NAMESPACE
from bench.process import cpu_seconds, peak_mb, resident_mb
from bench.spread import Spread, spread
from telemetry.rules_dir import rules_dir
from tests.local_process import LocalProcess, eventually, free_ports
from tests.manypods.server import ManyPods, serving

MOST_CORES: Final = 0.5
MOST_MB: Final = 250.0
_INTERVAL: Final = 15.0
_WARM_ROUNDS: Final = 4
"""Models' configurations are read in the first, and windows of 30 s are full after the third."""
_START_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class DaemonCost:
    """Of the whole process. `cores` is CPU seconds a second, of each round."""

    fleet: str
    interval: float
    signals: int
    pages_mb: float
    """Of one round. Here as everywhere a megabyte is a million bytes."""
    cores: Spread
    resident_mb: Spread
    peak_mb: float
    """Since its start, so also while it read the configuration of every model of every pod."""

    @property
    def missed(self) -> list[str]:
        """Goals."""
        told = []
        if self.cores.median > MOST_CORES:
            told.append(f"{self.fleet} cost the daemon more than {MOST_CORES:g} of a core")
        if self.resident_mb.most > MOST_MB:
            told.append(f"{self.fleet} cost the daemon more than {MOST_MB:g} MB")
        return told


class WrongAnswerError(Exception):
    """The daemon does not tell what the fleet does, so what it costs means nothing."""


async def measure_daemon(
    pods: ManyPods, rounds: int, *, interval: float = _INTERVAL, rules: Path | None = None
) -> DaemonCost:
    """Over `rounds` rounds of `interval` seconds, once its windows are full. Raises WrongAnswerError."""
    async with serving(pods) as fleet, _daemon(fleet, interval, rules) as (process, url):
        await asyncio.sleep(_WARM_ROUNDS * interval)
        await eventually(lambda: _tells_the_truth(fleet, url), seconds=_START_SECONDS)
        cores, resident = [], []
        for _ in range(rounds):
            before = cpu_seconds(process.pid)
            await asyncio.sleep(interval)
            cores.append((cpu_seconds(process.pid) - before) / interval)
            resident.append(resident_mb(process.pid))
        if not await _tells_the_truth(fleet, url):
            raise WrongAnswerError(f"{fleet}: an answer is wrong after {rounds} rounds")
        return DaemonCost(
            str(fleet),
            interval,
            len(list(((rules or rules_dir()) / "signals").glob("*.yaml"))),
            sum(len(pod.models.page(pod.number, 1000.0)) for pod in fleet) / 1e6,
            spread(cores),
            spread(resident),
            peak_mb(process.pid),
        )


@asynccontextmanager
async def _daemon(
    fleet: ManyPods, interval: float, rules: Path | None
) -> AsyncIterator[tuple[LocalProcess, str]]:
    port, plain_port = free_ports(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(yaml.safe_dump(_config(fleet, interval, port, plain_port)))
        (folder / "kubeconfig").write_text(yaml.safe_dump(_NOBODY))
        command: list[str | Path] = [sys.executable, "-m", "autoscaler", "serve"]
        command += ["-c", folder / "config.yaml", "--kubeconfig", folder / "kubeconfig"]
        command += ["--rules", rules] if rules else []
        process = await LocalProcess.start("triton-autoscaler", command, log=folder / "log")
        url = f"http://127.0.0.1:{plain_port}"
        try:
            await process.wait_until(lambda: _answers(f"{url}/livez"), seconds=_START_SECONDS)
            yield process, url
        finally:
            await process.stop(seconds=10.0)


def _config(fleet: ManyPods, interval: float, port: int, plain_port: int) -> Mapping[str, Any]:
    static = [
        {
            "namespace": NAMESPACE,
            "pod": pod.name,
            "metrics_url": f"{fleet.url(pod)}/metrics",
            "http_url": fleet.url(pod),
            "workload": pod.models.workload,
        }
        for pod in fleet
    ]
    return {
        "targets": {"static": static},
        "scrape": {"interval": f"{interval:g}s"},
        "json_route": {"namespaces": [NAMESPACE]},
        "server": {"address": "127.0.0.1", "port": port, "plain_port": plain_port},
    }


_NOBODY: Final[Mapping[str, Any]] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "nobody", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "nobody", "user": {"token": "none"}}],
    "contexts": [{"name": "nobody", "context": {"cluster": "nobody", "user": "nobody"}}],
    "current-context": "nobody",
}


async def _tells_the_truth(fleet: ManyPods, url: str) -> bool:
    """The last workload's rate of requests, within what a wave of the load makes of it, and nothing is missing."""
    last = [*fleet][-1].models
    pods = [pod for pod in fleet if pod.models == last]
    true = sum(last.rate(number, pod.number) for pod in pods for number in range(last.count))
    path = (
        f"/api/v1/namespaces/{NAMESPACE}/signals/triton_request_rate?labelSelector=workload%3D{last.workload}"
    )
    async with aiohttp.ClientSession() as http, http.get(url + path) as answer:
        return answer.status == 200 and abs((await answer.json())["value"] / true - 1) < 0.35


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
