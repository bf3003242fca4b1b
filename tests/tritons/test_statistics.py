"""The busy fraction of a real Triton, against what its load asks of it."""

import asyncio
import time
from pathlib import Path

import pytest

from autoscaler.answer import Value
from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.selector import EVERYTHING
from autoscaler.signal import load_signals, needed_families
from telemetry.http_body import PlainPages, scrape_session
from telemetry.rules_dir import rules_dir
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonServer

WINDOW = 6.0


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(120)
async def test_one_request_at_a_time_keeps_one_of_two_instances_busy(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """Its metrics count requests; the statistics count executions, and the configuration says how many could run."""
    model = Model("slow", parameters={"service_ms": "50"}, instances=2)
    repository = lay_out(tmp_path / "models", model)
    rows = {
        name: row.model_copy(update={"window": WINDOW})
        for name, row in load_signals(rules_dir() / "signals").items()
    }
    async with (
        TritonServer(triton_install, repository, tmp_path) as server,
        scrape_session() as session,
        asyncio.TaskGroup() as group,
    ):
        targets = Targets()
        target = Target(PodKey("n", "p", "u"), server.metrics_url, server.url, Phase.RUNNING, ready=True)
        targets.replace({target.key: target})
        settings = ScrapeSettings(1.0, 0.8, statistics=True)
        scraper = Scraper(
            targets, needed_families(rows), {WINDOW}, settings, PlainPages(session), time.monotonic
        )
        autoscaler = Autoscaler(rows, scraper.pods, Settings(), time.monotonic)
        running = group.create_task(scraper.run())
        load = group.create_task(Load(lambda: [server.url], "slow").closed_loop(workers=1, seconds=60))
        await asyncio.sleep(WINDOW + 3)
        answer = autoscaler.answer("n", "triton_busy_fraction", EVERYTHING, explain=False)
        running.cancel()
        load.cancel()
    assert isinstance(answer, Value), answer
    assert answer.value == pytest.approx(0.5, abs=0.08)
