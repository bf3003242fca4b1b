"""Every signal for every workload of a large fleet, asked once: what as many HPAs cost each time that they sync."""

import time
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from autoscaler.answer import Value
from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import load_signals, needed_families
from bench.fleet import NAMESPACE
from bench.spread import Spread, spread
from telemetry.rules_dir import rules_dir
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets, Workload
from tests.manypods.server import ManyPods, Pod, answer

_INTERVAL: Final = 15.0
_SCRAPES: Final = 4
_PATIENCE: Final = 60.0
_BEGAN: Final = 1000.0


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    fleet: str
    signals: int
    workloads: int
    values: int
    """Of the answers; the others are for families that no pod shows."""
    cpu_ms: Spread
    """For all signals of all workloads."""
    slowest: str
    slowest_ms: float
    """One answer of the signal that takes longest, in the mean."""


async def measure_evaluation(pods: ManyPods, rounds: int) -> EvaluationResult:
    autoscaler = await _scraped(pods)
    workloads = sorted({pod.models.workload for pod in pods})
    selectors = [parse_selector(f"workload={name}") for name in workloads]
    values = 0
    found = []
    by_signal = dict.fromkeys(autoscaler.signals(), 0.0)
    for _ in range(rounds):
        values = 0
        before = sum(by_signal.values())
        for signal in by_signal:
            began = time.process_time()
            answers = [autoscaler.answer(NAMESPACE, signal, one, explain=False) for one in selectors]
            by_signal[signal] += time.process_time() - began
            values += sum(isinstance(one, Value) for one in answers)
        found.append((sum(by_signal.values()) - before) * 1000)
    slowest = max(by_signal, key=lambda signal: by_signal[signal])
    return EvaluationResult(
        str(pods),
        len(by_signal),
        len(workloads),
        values,
        spread(found),
        slowest,
        by_signal[slowest] * 1000 / rounds / len(selectors),
    )


async def _scraped(fleet: ManyPods) -> Autoscaler:
    """Answers for the fleet with full windows; time stands still after the last scrape."""
    pages = _Pages(fleet)
    rows = load_signals(rules_dir() / "signals")
    targets = Targets()
    targets.replace({target.key: target for target in (_target(fleet, pod) for pod in fleet)})
    windows = {row.window for row in rows.values()}
    settings = ScrapeSettings(_INTERVAL, _PATIENCE)
    scraper = Scraper(targets, needed_families(rows), windows, settings, pages, lambda: pages.now)
    for _ in range(_SCRAPES):
        pages.now += _INTERVAL
        await scraper.scrape_all()
    return Autoscaler(rows, scraper.pods, Settings(), lambda: pages.now)


class _Pages:
    """What the fleet's pods show at second `now`, without a network in between."""

    def __init__(self, fleet: ManyPods) -> None:
        self.now = _BEGAN
        self._pods = {fleet.url(pod): pod for pod in fleet}

    def turn(self, *, mute: bool) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    async def read(self, url: str, most: int) -> bytes:
        base, path = "/".join(url.split("/", 3)[:3]), url.split("/", 3)[3]
        return answer(self._pods[base], "GET", f"/{path}", self.now - _BEGAN)


def _target(fleet: ManyPods, pod: Pod) -> Target:
    return Target(
        PodKey(NAMESPACE, pod.name, f"uid-{pod.number}"),
        f"{fleet.url(pod)}/metrics",
        fleet.url(pod),
        Phase.RUNNING,
        ready=True,
        node=f"gpu-node-{pod.number // 8}",
        workload=Workload("Deployment", pod.models.workload),
    )
