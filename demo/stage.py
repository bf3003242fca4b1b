"""One real Triton with clients, watched by the autoscaler's core on a static target: what makes the observations."""

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import Signal, load_signals, needed_families
from demo.clients import Clients, truth
from demo.observe import Hpa, Observation, observe
from demo.recording import About
from demo.story import SCALED_ON, Story
from demo.story import Phase as Act
from telemetry.http_body import PlainPages
from telemetry.rules_dir import rules_dir
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets
from tests.tritons.install import TritonInstall
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonServer

MODEL = "sleeper"
NAMESPACE = "demo"
SCRAPE = ScrapeSettings(interval=1.0, timeout=0.8)
MAX_AGE = 3.0
AFTER_SCRAPE = 0.3  # so that what was measured and what was true are of the same moment
CLIENT_TIMEOUT = 60.0

_ORDER = (
    SCALED_ON,
    "triton_pending_requests",
    "triton_request_rate",
    "triton_queue_duration_ms",
    "triton_request_duration_p99_ms",
    "triton_gpu_memory_used_ratio",
)


class Stage:
    """A running Triton with clients, watched by the autoscaler's core."""

    def __init__(
        self,
        story: Story,
        server: TritonServer,
        repository: Path,
        http: aiohttp.ClientSession,
        group: asyncio.TaskGroup,
    ) -> None:
        self.server = server
        self.repository = repository
        self.http = http
        self._story = story
        self._group = group
        rows = _rows(story)
        target = Target(
            PodKey(NAMESPACE, "triton-0", "one"), server.metrics_url, server.url, Phase.RUNNING, ready=True
        )
        targets = Targets()
        targets.replace({target.key: target})
        self._scraper = Scraper(
            targets, needed_families(rows), {story.window}, SCRAPE, PlainPages(http), time.monotonic
        )
        self._autoscaler = Autoscaler(rows, self._scraper.pods, Settings(max_age=MAX_AGE), time.monotonic)
        self._clients = Clients(server.url, MODEL, http)
        self._units = {name: row.unit for name, row in rows.items()}

    async def about(self) -> About:
        version = (await self.server.call("GET", "/v2"))["version"]
        return About(self._story, self._units, version)

    async def play(self) -> AsyncGenerator[Observation]:
        """The story, an observation a second."""
        story, hpa = self._story, Hpa()
        phase: Act | None = None
        await self._scraper.scrape_all()  # before the first request: Triton's counters are seen at zero
        scraping = self._group.create_task(self._scraper.run())
        started = time.monotonic()
        try:
            for second in range(int(story.seconds) + 1):
                await asyncio.sleep(max(0.0, started + AFTER_SCRAPE + second - time.monotonic()))
                if story.at(second) is not phase:
                    phase = story.at(second)
                    self._enter(phase)
                now = time.monotonic()
                answers = {
                    name: self._autoscaler.answer(NAMESPACE, name, parse_selector(""), explain=False)
                    for name in self._units
                }
                if hpa.due(story, second):
                    hpa = hpa.after(story, answers[SCALED_ON], second)
                seen = truth(self._clients.sent, now, story.window, story.service_ms, story.instances)
                assert hpa.look is not None  # noqa: S101 -- the first second is always due
                yield observe(story, second, phase.clients, answers, seen, hpa.look)
        finally:
            self.server.resume()
            self._clients.count = 0
            scraping.cancel()

    def _enter(self, phase: Act) -> None:
        self._clients.set(phase.clients, self._group)
        if phase.frozen:
            self.server.pause()
        else:
            self.server.resume()


@asynccontextmanager
async def one_triton(story: Story, install: TritonInstall) -> AsyncIterator[Stage]:
    """A started Triton with the story's model; gone afterwards, also when it is frozen."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triton-ops-demo-")))
        model = Model(
            "slow", MODEL, instances=story.instances, parameters={"service_ms": str(story.service_ms)}
        )
        repository = lay_out(folder / "models", model)
        # The later acts push models while it runs. Polled, for a call to load holds up requests in Triton's HTTP front end.
        polled = ("--model-control-mode=poll", "--repository-poll-secs=2")
        server = await stack.enter_async_context(TritonServer(install, repository, folder, arguments=polled))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=CLIENT_TIMEOUT)
            )
        )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        yield Stage(story, server, repository, http, group)


def _rows(story: Story) -> dict[str, Signal]:
    """The rows of rules/signals with the story's window, most telling first."""
    rows = load_signals(rules_dir() / "signals")
    names: Iterable[str] = sorted(
        rows, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER)
    )
    return {name: rows[name].model_copy(update={"window": story.window}) for name in names}
