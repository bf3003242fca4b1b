"""`triton-triage p99` as a person runs it on a fleet in trouble: how long until it says something, and until the report is there.

A real Prometheus and a real API server are asked: directly, through a proxy that makes every answer late, and through one that
lets some of Prometheus' answers never come."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.fleet import NAMESPACE, Fleet
from bench.spread import Spread, spread
from bench.triage.cluster import Cluster, cluster_of
from bench.triage.fleet import CAUSE, END, START, WORKLOAD
from bench.triage.history import prometheus_of
from bench.triage.proxy import Hanging, Late, proxy
from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.certificates import client_tls
from tests.prometheus.build_tools import ensure_prometheus

Sources = Literal["healthy", "late", "hanging"]
GOALS: dict[Sources, tuple[float, float]] = {
    "healthy": (3.0, 10.0),
    "late": (8.0, 30.0),
    "hanging": (8.0, 30.0),
}
"""Seconds to the first line and to the report."""
_PATIENCE_SECONDS = 120.0
_CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class TriageResult:
    """Of one state of the sources; ratios are to the goals."""

    fleet: str
    sources: Sources
    first_line_s: Spread
    first_line_ratio: float
    report_s: Spread
    report_ratio: float
    told: int
    """Rounds in which the report named the cause."""

    @property
    def in_time(self) -> bool:
        return self.first_line_ratio <= 1 and self.report_ratio <= 1


@dataclass(frozen=True, slots=True)
class _Round:
    first_line_s: float
    report_s: float
    told: bool


async def measure_triage(fleet: Fleet, rounds: dict[Sources, int]) -> AsyncIterator[TriageResult]:
    """So many rounds for each state of the sources, after one that warms the disk's and Prometheus' caches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prometheus = prometheus_of(fleet, ensure_prometheus(), folder / "prometheus")
        async with prometheus, cluster_of(fleet, ensure_tools(), folder / "cluster") as cluster:
            await _watch(prometheus.url, cluster.kubeconfig)
            for sources, count in rounds.items():
                async with _sources(sources, prometheus.url, cluster) as (url, kubeconfig):
                    seen = [await _watch(url, kubeconfig) for _ in range(count)]
                yield _result(fleet, sources, seen)


@asynccontextmanager
async def _sources(sources: Sources, prometheus: str, cluster: Cluster) -> AsyncIterator[tuple[str, Path]]:
    if sources == "healthy":
        yield prometheus, cluster.kubeconfig
    elif sources == "hanging":
        async with proxy(prometheus, Hanging()) as url:
            yield url, cluster.kubeconfig
    else:
        tls = client_tls(cluster.certificate_authority)
        async with proxy(prometheus, Late()) as url, proxy(cluster.server, Late(), tls) as api:
            yield url, cluster.through(api)


def _result(fleet: Fleet, sources: Sources, seen: Sequence[_Round]) -> TriageResult:
    first, report = spread(one.first_line_s for one in seen), spread(one.report_s for one in seen)
    goals = GOALS[sources]
    told = sum(one.told for one in seen)
    return TriageResult(
        str(fleet), sources, first, first.median / goals[0], report, report.median / goals[1], told
    )


async def _watch(prometheus: str, kubeconfig: Path) -> _Round:
    """One run at a terminal, from its start to its end."""
    target = ("p99", f"deploy/{WORKLOAD}", "-n", NAMESPACE, "--kubeconfig", str(kubeconfig))
    window = ("--window", f"{START}..{END}", "--prometheus", prometheus)
    ours, its = os.openpty()
    try:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "triage", *target, *window),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=its,
            env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
        )
        os.close(its)
        try:
            said = await asyncio.to_thread(os.read, ours, 4096)
            first_line = time.perf_counter() - began
            report, _ = await asyncio.wait_for(process.communicate(), _PATIENCE_SECONDS)
            ended = time.perf_counter() - began
        finally:
            if process.returncode is None:
                process.kill()
    finally:
        os.close(ours)
    if process.returncode not in (1, 3):
        raise ValueError(f"triton-triage ended with {process.returncode}: {said.decode(errors='replace')}")
    headline = " ".join(report.decode().partition("\n\n")[0].split())
    return _Round(first_line, ended, CAUSE in headline)
