"""One real Triton, watched by the real scraper and evaluator in this process: what each signal says of a truth of Triton's."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from autoscaler.answer import Answer, NoData, Value
from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import load_signals, needed_families
from telemetry.http_body import PlainPages
from telemetry.rules_dir import rules_dir
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets, Workload
from tests.tritons.server import TritonServer

WINDOW = 6.0
SCRAPE = ScrapeSettings(interval=1.0, timeout=0.8)
CONCURRENCY = "triton_inference_concurrency"
PENDING = "triton_pending_requests"
RATE = "triton_request_rate"
QUEUE = "triton_queue_duration_ms"
P99 = "triton_request_duration_p99_ms"
MEMORY = "triton_gpu_memory_used_ratio"


class Watched:
    """Asks the autoscaler's core about the one pod `triton-0` of the workload `triton`."""

    def __init__(self, autoscaler: Autoscaler) -> None:
        self._autoscaler = autoscaler

    def ask(self, signal: str, selector: str = "") -> Answer:
        return self._autoscaler.answer("default", signal, parse_selector(selector), explain=False)

    def number(self, signal: str, selector: str = "") -> float:
        answer = self.ask(signal, selector)
        assert isinstance(answer, Value), answer
        return answer.value

    def refusal(self, signal: str, selector: str = "") -> NoData:
        answer = self.ask(signal, selector)
        assert isinstance(answer, NoData), answer
        return answer


@asynccontextmanager
async def watched(server: TritonServer) -> AsyncIterator[Watched]:
    """The rows of rules/signals with a window of 6 s, so that a truth takes seconds to see."""
    rows = {
        name: row.model_copy(update={"window": WINDOW})
        for name, row in load_signals(rules_dir() / "signals").items()
    }
    key = PodKey("default", "triton-0", "uid")
    target = Target(
        key,
        server.metrics_url,
        server.url,
        Phase.RUNNING,
        ready=True,
        workload=Workload("Deployment", "triton"),
    )
    targets = Targets()
    targets.replace({key: target})
    async with aiohttp.ClientSession(auto_decompress=False) as http, asyncio.TaskGroup() as group:
        scraper = Scraper(targets, needed_families(rows), {WINDOW}, SCRAPE, PlainPages(http), time.monotonic)
        await scraper.scrape_all()
        running = group.create_task(scraper.run())
        yield Watched(Autoscaler(rows, scraper.pods, Settings(max_age=3.0), time.monotonic))
        running.cancel()
