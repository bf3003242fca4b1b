"""The source before a real Prometheus whose rules come, stop and change, and before one that has recordings alone.

Pods do ten requests a second all the time: whatever is read, no window may ever show a flat or a leaping counter."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from telemetry.http_body import scrape_session
from telemetry.prometheus import PrometheusSource
from telemetry.prometheus_queries import TickReport
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.prometheus_recorded_reader import settings_recordings
from telemetry.prometheus_recordings import rule_file
from telemetry.prometheus_scrape import NO_SAMPLE, PrometheusScraper
from telemetry.target import Phase, PodKey, Target, Targets
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.pages import page
from tests.prometheus.server import PrometheusServer
from tests.prometheus.server import Target as Scraped
from tests.telemetry.timeline import FAMILIES, SUCCESS, M, model, rate

pytestmark = pytest.mark.timeout(120)

WINDOW = 3.0
SETTINGS = PrometheusSettings(1.0, 1.0, 0.9, 0.2, namespaces=("prod",))
BEGUN = time.monotonic()
PATIENCE = 30.0


def growing() -> str:
    """Ten requests a second."""
    return model(round(10 * (time.monotonic() - BEGUN)), pending=0)


def rules(settings: PrometheusSettings, matchers: str = "") -> str:
    """As the program prints them for these settings."""
    recordings = settings_recordings(FAMILIES, settings)
    return rule_file(recordings.rules(matchers, settings.delay), recordings.digest, settings.interval)


def failing(text: str) -> str:
    """The rule of one family fails each time that it is evaluated."""
    return text.replace(f") ({SUCCESS}{{", f') (label_replace({SUCCESS}, "x", "", "y", "(") and {SUCCESS}{{')


class Watch:
    """A source at work on two pods; every look checks all that it says."""

    def __init__(self, scraper: PrometheusScraper, reports: list[TickReport]) -> None:
        self._scraper = scraper
        self._reports = reports

    async def until(self, *states: str, failure: str | None = None) -> None:
        """Three ticks in a row are of one of these states, with every pod so and every window full."""
        seen: list[bool] = []

        async def steady() -> bool:
            await asyncio.sleep(0.3)
            await self._scraper.tick()
            pods = list(self._scraper.pods("prod"))
            full = [pod.windows[WINDOW] for pod in pods if pod.windows and pod.windows[WINDOW].full]
            for window in full:
                assert 7.5 <= rate(window.rows[M]) <= 12.5, (self._reports[-1], window)
            as_wanted = self._reports[-1].recordings in states and {pod.failure for pod in pods} == {failure}
            seen.append(as_wanted and len(full) == len(pods))
            return len(seen) >= 3 and all(seen[-3:])

        await eventually(steady, seconds=PATIENCE)


@asynccontextmanager
async def watching(
    server: PrometheusServer, settings: PrometheusSettings, *pods: str
) -> AsyncIterator[Watch]:
    targets, reports = Targets(), list[TickReport]()
    shown = [Target(PodKey("prod", pod, ""), None, None, Phase.RUNNING, ready=True) for pod in pods]
    targets.replace({target.key: target for target in shown})
    async with scrape_session() as session, PrometheusSource(server.url) as source:
        scraper = PrometheusScraper(
            targets, FAMILIES, [WINDOW], settings, source, session, time.monotonic, reports.append
        )
        yield Watch(scraper, reports)


async def test_rules_that_come_stop_change_and_lack_a_pod_while_the_source_runs(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(page(growing))
        scraped = [
            Scraped(address, {"namespace": "prod", "pod": "a"}),
            Scraped(address.replace("127.0.0.1", "localhost"), {"namespace": "prod", "pod": "b"}),
        ]
        server = PrometheusServer(prometheus_tools, tmp_path / "prometheus", scraped, rule_files=[file])
        await stack.enter_async_context(server)
        watch = await stack.enter_async_context(watching(server, SETTINGS, "a", "b"))
        await watch.until("none")
        for text, states in (
            (rules(SETTINGS), ["read"]),
            ("groups: []\n", ["overdue", "none"]),
            (rules(SETTINGS), ["read"]),
            (rules(replace(SETTINGS, scrape_interval=2.0)), ["other_digest"]),
            (rules(SETTINGS, 'pod="a"'), ["incomplete"]),
            (failing(rules(SETTINGS)), ["none"]),
        ):
            file.write_text(text)
            server.reload()
            await watch.until(*states)


async def test_a_store_with_recordings_alone_is_enough_until_they_stop(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """A Prometheus beside the pods hands on what its rules record and nothing else, with its own labels; the store has a longer
    delay, which the rules need not know."""
    file = tmp_path / "rules.yaml"
    file.write_text(rules(SETTINGS))
    async with AsyncExitStack() as stack:
        receive = ("--web.enable-remote-write-receiver",)
        store = PrometheusServer(prometheus_tools, tmp_path / "store", arguments=receive)
        await stack.enter_async_context(store)
        address = await stack.enter_async_context(page(growing))
        keep = {"source_labels": ["__name__"], "regex": "namespace_pod:.+", "action": "keep"}
        beside = PrometheusServer(
            prometheus_tools,
            tmp_path / "beside",
            [Scraped(address, {"namespace": "prod", "pod": "a"})],
            rule_files=[file],
            arguments=("--enable-feature=concurrent-rule-eval",),
            external_labels={"cluster": "eu1", "prometheus_replica": "0"},
            remote_write=[
                {
                    "url": f"{store.url}/api/v1/write",
                    "write_relabel_configs": [keep],
                    "queue_config": {"batch_send_deadline": "100ms"},
                }
            ],
        )
        await stack.enter_async_context(beside)
        narrowed = replace(SETTINGS, delay=1.0, matchers='cluster="eu1"')
        watch = await stack.enter_async_context(watching(store, narrowed, "a"))
        await watch.until("read")
        found = await store.ask("label/__name__/values")
        assert {name.partition(":")[0] for name in found} == {"namespace_pod"}
        file.write_text("groups: []\n")
        beside.reload()
        await watch.until("overdue", "none", failure=NO_SAMPLE)
