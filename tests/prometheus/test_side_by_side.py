"""Both sources at once on real Tritons, one through a real Prometheus, while a server restarts and a rollout replaces another.

Both read the same counters, at other moments: so their increases may differ by the requests that were done between the moments at
which their windows begin, and between those at which they end. The load's own record says how many those were. What a restart hides
(requests between the last sample and the end of the process) is at most what was done in an interval before it, and differs by no
more. The window of a new pod begins with its first sample and holds all that it
did before (its counters began at zero): there the moments are those of its birth and of that sample. Nothing else is tolerated."""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autoscaler.answer import Answer, NoData
from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.selector import EVERYTHING
from autoscaler.signal import load_signals, needed_families
from telemetry.http_body import PlainPages, scrape_session
from telemetry.pod_state import PodState
from telemetry.prometheus import PrometheusSource
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.prometheus_scrape import PrometheusScraper
from telemetry.rules_dir import rules_dir
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets, Workload
from telemetry.window import SUCCESS
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer
from tests.prometheus.server import Target as Scraped
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load, Sent
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonServer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

WINDOW = 8.0
EDGE = 0.1
"""Seconds around a sample's moment in which a request may be on either side of it: a page takes time, and an answer is read a
little before or after it is counted."""
INTERVAL = 1.0
FIRST_SEEN = 5 + 3 * INTERVAL
"""Seconds after its birth by which a pod's first sample is taken: Prometheus hands new targets on every 5 s at most
(prometheus/prometheus:discovery/manager.go, updatert), reads their file each second, and scrapes them within another."""
WORKERS = 6
SIGNALS = ("triton_request_rate", "triton_inference_concurrency", "triton_queue_duration_ms")


@dataclass
class Beside:
    """Two autoscalers over the same targets."""

    targets: Targets
    scraper: Scraper
    prometheus: PrometheusScraper
    answering: dict[str, Autoscaler]
    load: Load
    restarts: list[tuple[str, float]] = field(default_factory=list)
    births: dict[str, float] = field(default_factory=dict)
    compared: int = 0
    largest: float = 0.0
    idle: list[Answer] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    async def watch(self) -> None:
        """Until cancelled: all pods that both have, and what both answer."""
        while True:
            await asyncio.sleep(0.2)
            seen = {state.target.key: state for state in _running(self.prometheus.pods("live"))}
            for state in _running(self.scraper.pods("live")):
                if state.target.key in seen:
                    self._compare(state, seen[state.target.key])
            for name, autoscaler in self.answering.items():
                for signal in SIGNALS:
                    answer = autoscaler.answer("live", signal, EVERYTHING, explain=False)
                    if isinstance(answer, NoData):
                        self.refused[f"{name}: {answer.message}"] = (
                            self.refused.get(f"{name}: {answer.message}", 0) + 1
                        )
                    else:
                        self.answers[name] = self.answers.get(name, 0) + 1
                        if answer.idle and self._has_been_busy:
                            self.idle.append(answer)

    @property
    def _has_been_busy(self) -> bool:
        """For so long that no window reaches back before the first request."""
        sent = self.load.sent
        return bool(sent) and time.monotonic() - sent[0].sent > 4 * INTERVAL

    def _compare(self, one: PodState, other: PodState) -> None:
        windows = [state.windows.get(WINDOW) for state in (one, other)]
        if not all(window and window.full for window in windows):
            return
        found = [
            (window, row)
            for window in windows
            if window
            for row in window.rows.values()
            if SUCCESS in row.increase
        ]
        if len(found) != 2 or any(row.stalled_seconds for _, row in found):
            return
        a, b = (row for _, row in found)
        url = one.target.http_url or ""
        begins = [window.at - row.seconds for window, row in found]
        ends = [window.at for window, _ in found]
        birth = self.births.get(url, -math.inf)
        if new := min(begins) - birth < FIRST_SEEN:
            begins.append(birth)
        tolerance = self._done(url, begins) + self._done(url, ends)
        for restarted, at in self.restarts:
            if restarted == url and min(begins) - INTERVAL <= at:
                tolerance += self._done(url, [at - 2 * INTERVAL, at])
        difference = abs(a.increase[SUCCESS] - b.increase[SUCCESS])
        self.compared += 1
        self.largest = self.largest if new else max(self.largest, difference)
        assert difference <= tolerance, (
            f"{one.target.key.pod}: {a.increase[SUCCESS]} and {b.increase[SUCCESS]}, begins {begins}, ends {ends}, "
            f"restarts {self.restarts}, births {self.births}, tolerance {tolerance}"
        )

    def _done(self, url: str, moments: Sequence[float]) -> int:
        begin, end = min(moments) - EDGE, max(moments) + EDGE
        return sum(begin <= sent.done <= end for sent in _to(url, self.load.sent))


def _to(url: str, record: Sequence[Sent]) -> Iterator[Sent]:
    return (sent for sent in record if sent.url == url and sent.status == 200)


def _running(states: object) -> Iterator[PodState]:
    return (state for state in states if state.target.phase is Phase.RUNNING)  # type: ignore[attr-defined]


def _target(pod: str, server: TritonServer, *, born_in_sight: bool = False) -> Target:
    workload = Workload("Deployment", "triton")
    return Target(
        PodKey("live", pod, ""),
        server.metrics_url,
        server.url,
        Phase.RUNNING,
        True,
        born_in_sight,
        workload=workload,
    )


def _scraped(pod: str, server: TritonServer) -> Scraped:
    return Scraped(f"{server.address}:{server.ports.metrics}", {"pod": pod, "namespace": "live"})


@pytest.mark.accuracy
async def test_both_sources_tell_one_story_through_a_restart_and_a_rollout(
    triton_install: TritonInstall, prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    rows = {
        name: row.model_copy(update={"window": WINDOW})
        for name, row in load_signals(rules_dir() / "signals").items()
        if name in SIGNALS
    }
    repository = lay_out(tmp_path / "repository", Model("slow", parameters={"service_ms": "50"}))
    async with AsyncExitStack() as stack:
        servers = {pod: TritonServer(triton_install, repository, tmp_path / pod) for pod in ("a", "b", "c")}
        a, b, c = servers.values()
        for server in (a, b):
            await stack.enter_async_context(server)
        prometheus = PrometheusServer(
            prometheus_tools, tmp_path / "prometheus", [_scraped("a", a), _scraped("b", b)]
        )
        await stack.enter_async_context(prometheus)
        await prometheus.until_scraped(2)
        targets = Targets()
        targets.replace({target.key: target for target in (_target("a", a), _target("b", b))})
        session = await stack.enter_async_context(scrape_session())
        families, clock = needed_families(rows), time.monotonic
        scraper = Scraper(
            targets, families, {WINDOW}, ScrapeSettings(INTERVAL, 0.8), PlainPages(session), clock
        )
        asking = PrometheusSettings(INTERVAL, INTERVAL, 0.9, 0.1, namespaces=("live",))
        asked = PrometheusScraper(
            targets, families, {WINDOW}, asking, PrometheusSource(prometheus.url), session, clock
        )
        answering = {
            "scrape": Autoscaler(rows, scraper.pods, Settings(max_age=2.8), clock),
            "prometheus": Autoscaler(rows, asked.pods, Settings(max_age=4.0, source="prometheus"), clock),
        }
        serving = {"a": a, "b": b}
        load = Load(lambda: [server.url for server in serving.values()], "slow", timeout_seconds=3.0)
        beside = Beside(targets, scraper, asked, answering, load)
        jobs = [
            asyncio.create_task(job)
            for job in (
                load.closed_loop(workers=WORKERS, seconds=120),
                scraper.run(),
                asked.run(),
                beside.watch(),
            )
        ]
        stack.push_async_callback(_end, jobs)
        await _while_all_go_well(jobs, WINDOW + 4)
        del serving["a"]
        beside.restarts.append((a.url, time.monotonic() + 0.5))
        await a.restart()
        serving["a"] = a
        await _while_all_go_well(jobs, WINDOW + 4)
        await stack.enter_async_context(c)
        targets.replace({**targets.by_key, (new := _target("c", c, born_in_sight=True)).key: new})
        prometheus.set_targets([_scraped(pod, server) for pod, server in servers.items()])
        serving["c"] = c
        beside.births[c.url] = time.monotonic()
        await _while_all_go_well(jobs, 4)
        del serving["b"]
        targets.replace({key: target for key, target in targets.by_key.items() if key.pod != "b"})
        prometheus.set_targets([_scraped("a", a), _scraped("c", c)])
        await _while_all_go_well(jobs, WINDOW + 4)
    print(
        f"{beside.compared} pairs of windows, {beside.answers} values; they differed by {beside.largest:g} requests at most"
    )
    assert beside.compared > 100
    assert min(beside.answers.values()) > 0.9 * max(beside.answers.values()), beside.refused
    assert not beside.idle, "it was never idle"


async def _while_all_go_well(jobs: Sequence[asyncio.Task[object]], seconds: float) -> None:
    done, _ = await asyncio.wait(jobs, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for job in done:
        job.result()
    assert not done


async def _end(jobs: Sequence[asyncio.Task[object]]) -> None:
    for job in jobs:
        job.cancel()
    for job in jobs:
        with suppress(asyncio.CancelledError):
            await job
