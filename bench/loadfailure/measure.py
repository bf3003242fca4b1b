"""`triton-triage load-failure` on many pods as a person at a terminal sees it: one Deployment's report, and the list of everything
that fails with -A, beside what kubectl takes to get the same states and logs."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bench.loadfailure.fleet import NAMESPACES, REPLICAS, Cluster, FailingFleet, failing_cluster
from bench.process import peak_mb
from bench.sources.counting_proxy import Counting
from bench.spread import Spread, spread
from bench.triage.proxy import proxy
from tests.controlplane.certificates import client_tls

Asked = Literal["replicas", "everything"]
FIRST_LINE_GOAL_S: Final = 3.0
REPORT_GOAL_S: Final = 10.0
_PATIENCE_SECONDS: Final = 120.0
_CHECKOUT: Final = Path(__file__).parents[2]
_SELECTOR: Final = "app!=replicas"
_KUBECTLS: Final = 8


@dataclass(frozen=True, slots=True)
class LoadFailureResult:
    """Ratios are to the goals, and to kubectl's time for the pods' list and the logs of those that fail."""

    fleet: str
    asked: Asked
    first_line_s: Spread
    first_line_ratio: float
    report_s: Spread
    report_ratio: float
    peak_mb: Spread
    requests: int
    told: int
    """Rounds in which the answer named every failure that there is."""
    kubectl_s: Spread
    kubectl_ratio: float

    @property
    def in_time(self) -> bool:
        return self.first_line_ratio <= 1 and self.report_ratio <= 1


@dataclass(frozen=True, slots=True)
class _Round:
    first_line_s: float
    report_s: float
    peak_mb: float
    out: str


async def measure_load_failure(fleet: FailingFleet, rounds: int) -> list[LoadFailureResult]:
    """So many rounds of each, after one that warms the API server's caches."""
    async with failing_cluster(fleet) as cluster:
        return [
            await _measure(cluster, fleet, "replicas", rounds),
            await _measure(cluster, fleet, "everything", rounds),
        ]


async def _measure(cluster: Cluster, fleet: FailingFleet, asked: Asked, rounds: int) -> LoadFailureResult:
    words, first = _WORDS[asked]
    await _watch(words, first, cluster.kubeconfig)
    seen, peers = [], []
    for _ in range(rounds):
        seen.append(await _watch(words, first, cluster.kubeconfig))
        peers.append(await _by_kubectl(cluster, asked))
    line = spread(one.first_line_s for one in seen)
    report = spread(one.report_s for one in seen)
    kubectl = spread(peers)
    return LoadFailureResult(
        fleet=str(fleet),
        asked=asked,
        first_line_s=line,
        first_line_ratio=line.median / FIRST_LINE_GOAL_S,
        report_s=report,
        report_ratio=report.median / REPORT_GOAL_S,
        peak_mb=spread(one.peak_mb for one in seen),
        requests=await _requests(words, first, cluster),
        told=sum(_is_told(asked, one.out, fleet) for one in seen),
        kubectl_s=kubectl,
        kubectl_ratio=report.median / kubectl.median,
    )


_WORDS: Final[dict[Asked, tuple[Sequence[str], bytes]]] = {
    "replicas": (("-n", REPLICAS, f"deploy/{REPLICAS}"), b"looking"),
    "everything": (("-A", "-l", _SELECTOR), b"Triton pods"),
}
"""What is asked, and what stands in the first line that tells something."""


def _is_told(asked: Asked, out: str, fleet: FailingFleet) -> bool:
    told = json.loads(out)
    if asked == "replicas":
        return bool(told["verdict"]["category"] == "model_code")
    found = {(line["namespace"], line["workload"]) for line in told["lines"]}
    wanted = {
        (NAMESPACES[number % len(NAMESPACES)], f"deployment/model-{number}")
        for number in range(fleet.failing_workloads)
    }
    named = all(line["category"] != "cannot_tell" for line in told["lines"])
    # Of a log of 5 MB a part in the middle is not read, and this is said.
    whole = all(gap["reason"] == "truncated" for gap in told["unseen"])
    return found == wanted and named and whole


async def _watch(words: Sequence[str], first: bytes, kubeconfig: Path) -> _Round:
    """One run at a terminal, from its start to its end."""
    ours, its = os.openpty()
    try:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "triage",
                "load-failure",
                "--kubeconfig",
                str(kubeconfig),
                "-o",
                "json",
                *words,
            ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=its,
            env={**os.environ, "PYTHONPATH": str(_CHECKOUT)},
        )
        os.close(its)
        peak = asyncio.create_task(_peak(process.pid))
        heard = asyncio.create_task(asyncio.to_thread(_hear, ours, first, began))
        try:
            out, _ = await asyncio.wait_for(process.communicate(), _PATIENCE_SECONDS)
            ended = time.perf_counter() - began
        finally:
            if process.returncode is None:
                process.kill()
        first_line, said = await heard
        most = await peak
    finally:
        os.close(ours)
    if process.returncode not in (1, 3) or first_line is None:
        raise ValueError(f"triton-triage ended with {process.returncode}: {said.decode(errors='replace')}")
    return _Round(first_line, ended, most, out.decode())


def _hear(terminal: int, first: bytes, began: float) -> tuple[float | None, bytes]:
    """When these words were read, and all that was."""
    said, at = b"", None
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(terminal, 4096):
            said += part
            if at is None and first in said:
                at = time.perf_counter() - began
    return at, said


async def _peak(pid: int) -> float:
    most = 0.0
    with contextlib.suppress(OSError, StopIteration):
        while True:
            try:
                most = max(most, peak_mb(pid))
            except StopIteration:  # it has ended and not been waited for
                return most
            await asyncio.sleep(0.02)
    return most


async def _requests(words: Sequence[str], first: bytes, cluster: Cluster) -> int:
    counting = Counting()
    plane = cluster.control_plane
    administrator = plane.certificates.client("bench-admin", "system:masters")
    async with proxy(plane.server, counting, client_tls(plane.certificates.cluster_ca, administrator)) as url:
        told = json.loads(cluster.kubeconfig.read_text())
        told["clusters"][0]["cluster"] = {"server": url}
        told["users"][0]["user"] = {}
        written = cluster.kubeconfig.with_suffix(".counted")
        written.write_text(json.dumps(told))
        await _watch(words, first, written)
    return counting.queries


async def _by_kubectl(cluster: Cluster, asked: Asked) -> float:
    """The list of the pods and, some at once, the logs of those that fail, as a person would get them; of one Deployment the logs
    of as many as its report reads."""
    kubectl, config = cluster.control_plane.kubectl, f"--kubeconfig={cluster.kubeconfig}"
    gate = asyncio.Semaphore(_KUBECTLS)

    async def run(*words: str) -> None:
        async with gate:
            process = await asyncio.create_subprocess_exec(
                kubectl, config, *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            await process.wait()

    began = time.perf_counter()
    if asked == "replicas":
        await run("get", "pods", "-n", REPLICAS, "-o", "json")
        pods = cluster.failing_replicas
    else:
        await run("get", "pods", "-A", "-l", _SELECTOR, "-o", "json")
        pods = cluster.failing
    await asyncio.gather(*(run("logs", "-n", namespace, pod) for namespace, pod in pods))
    return time.perf_counter() - began
