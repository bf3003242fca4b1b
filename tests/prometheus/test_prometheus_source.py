"""The Prometheus source on a real Prometheus: labels that move, replicas, clusters, failed scrapes, a Triton without models."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from telemetry.http_body import scrape_session
from telemetry.pod_state import PodState
from telemetry.prometheus import PrometheusSource
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.prometheus_scrape import IN_CLUSTERS, NO_SAMPLE, PrometheusScraper
from telemetry.target import Phase, PodKey, Target, Targets
from telemetry.window import FAILURE, PENDING, SUCCESS
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.pages import page
from tests.prometheus.past import PastPrometheus
from tests.prometheus.samples import Samples
from tests.prometheus.server import PrometheusServer
from tests.prometheus.server import Target as Scraped
from tests.telemetry.timeline import FAMILIES, MEMORY, M, model
from tests.tritons.install import TritonInstall
from tests.tritons.server import TritonServer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

WINDOW = 3.0
SETTINGS = PrometheusSettings(1.0, 1.0, 0.9, 0.1, namespaces=("prod",))
BEGUN = time.monotonic()


def growing(more: str = "") -> str:
    """Ten requests a second, and failures of two kinds."""
    done = round(10 * (time.monotonic() - BEGUN))
    failures = "".join(
        f'{FAILURE}{{model="m",version="1",reason="{reason}"{more}}} {done // 10}\n'
        for reason in ("OTHER", "BACKEND")
    )
    return model(done, pending=0, more=more) + failures


@asynccontextmanager
async def reading(
    server: PrometheusServer, *pods: str, settings: PrometheusSettings = SETTINGS
) -> AsyncIterator[PrometheusScraper]:
    targets = Targets()
    shown = [Target(PodKey("prod", pod, ""), None, None, Phase.RUNNING, ready=True) for pod in pods]
    targets.replace({target.key: target for target in shown})
    async with scrape_session() as session, PrometheusSource(server.url) as source:
        yield PrometheusScraper(targets, FAMILIES, [WINDOW], settings, source, session, time.monotonic)


async def tick(scraper: PrometheusScraper) -> Sequence[PodState]:
    await scraper.tick()
    return list(scraper.pods("prod"))


async def _is(scraper: PrometheusScraper, failure: str | None) -> bool:
    await asyncio.sleep(0.3)
    return {state.failure for state in await tick(scraper)} == {failure}


@pytest.mark.parametrize("honor_labels", [False, True])
async def test_labels_of_the_page_are_found_where_prometheus_moved_them(
    prometheus_tools: PrometheusTools, tmp_path: Path, honor_labels: bool
) -> None:
    """A collector shows the pods' series with their labels; without honor_labels Prometheus puts `exported_` before them."""
    shown = partial(growing, ',namespace="prod",pod="a"')
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(page(shown))
        collector = Scraped(address, {"namespace": "monitoring", "pod": "collector-0"})
        server = PrometheusServer(prometheus_tools, tmp_path, [collector], honor_labels=honor_labels)
        await stack.enter_async_context(server)
        await server.until_scraped(5)
        scraper = await stack.enter_async_context(reading(server, "a"))
        (state,) = await tick(scraper)
        row = state.windows[WINDOW].rows[M]
        assert state.failure is None
        assert 8 <= row.increase[SUCCESS] / row.seconds <= 12
        assert row.increase[FAILURE] in (4.0, 6.0, 8.0), "both kinds of failure, added"


async def test_what_two_prometheus_replicas_tell_of_a_pod_counts_once_and_two_clusters_are_refused(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(page(growing))
        told = [
            Scraped(address, {"namespace": "prod", "pod": "a", "prometheus_replica": "0"}),
            Scraped(
                address.replace("127.0.0.1", "localhost"),
                {"namespace": "prod", "pod": "a", "prometheus_replica": "1"},
            ),
        ]
        server = await stack.enter_async_context(PrometheusServer(prometheus_tools, tmp_path, told))
        await server.until_scraped(5)
        scraper = await stack.enter_async_context(reading(server, "a"))
        (state,) = await tick(scraper)
        row = state.windows[WINDOW].rows[M]
        assert 8 <= row.increase[SUCCESS] / row.seconds <= 12
        clusters = [Scraped(one.address, {**one.labels, "cluster": f"eu{n}"}) for n, one in enumerate(told)]
        server.set_targets(clusters)
        await eventually(lambda: _is(scraper, IN_CLUSTERS), seconds=20)
        narrowed = PrometheusSettings(1.0, 1.0, 0.9, 0.1, 'cluster="eu1"', ("prod",))
        scraper = await stack.enter_async_context(reading(server, "a", settings=narrowed))
        await eventually(lambda: _is(scraper, None), seconds=10)


async def test_a_replica_that_died_does_not_hide_that_a_container_began_anew(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """Two replicas count to 2400; one dies without a marker, and a minute later the container restarts, as busy as before."""
    start, death, restart, end = 1_790_000_000, 60, 120, 300
    samples = Samples(start, start + death)
    labels = {"namespace": "prod", "pod": "a", "model": "m", "version": "1"}
    samples.add(SUCCESS, {**labels, "replica": "0"}, lambda at: 1200 + 10 * at)
    samples.end = start + end
    samples.add(
        SUCCESS,
        {**labels, "replica": "1"},
        lambda at: 10 * (at - restart) if at >= restart else 1200 + 10 * at,
    )
    samples.add(PENDING, {**labels, "replica": "1"}, lambda at: 0)
    async with past(prometheus_tools, tmp_path, samples) as (source, scraper):
        increases = []
        for at in range(62, end, 15):
            source.now = start + at
            (state,) = await tick(scraper)
            increases.append(state.windows[30.0].rows[M].increase[SUCCESS])
    assert all(150 <= increase <= 450 for increase in increases), increases


async def test_after_an_outage_prometheus_tells_what_was_missed(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """Four minutes are longer than a history remembers; without the past the pod would be unknown for a window more."""
    start = 1_790_000_000
    samples = Samples(start, start + 600)
    labels = {"namespace": "prod", "pod": "a", "model": "m", "version": "1"}
    samples.add(SUCCESS, labels, lambda at: 5000 + 10 * at)
    samples.add(PENDING, labels, lambda at: 0)
    async with past(prometheus_tools, tmp_path, samples) as (source, scraper):
        for at in range(92, 600, 15):
            source.now = start + at
            source.away = 182 <= at < 422
            (state,) = await tick(scraper)
            window = state.windows[30.0]
            assert (state.failure is None) == (not source.away), at
            assert (window.full, window.rows[M].increase[SUCCESS] / window.rows[M].seconds) == (True, 10.0), (
                at
            )


@asynccontextmanager
async def past(
    tools: PrometheusTools, folder: Path, samples: Samples
) -> AsyncIterator[tuple[PastPrometheus, PrometheusScraper]]:
    """Pod a read at times of the past, with the usual settings and a window of 30 s."""
    async with AsyncExitStack() as stack:
        server = PrometheusServer(tools, folder)
        await server.backfill(str(samples))
        await stack.enter_async_context(server)
        targets = Targets()
        target = Target(PodKey("prod", "a", ""), None, None, Phase.RUNNING, ready=True)
        targets.replace({target.key: target})
        session = await stack.enter_async_context(scrape_session())
        source = await stack.enter_async_context(PastPrometheus(server.url))
        yield (
            source,
            PrometheusScraper(
                targets,
                FAMILIES,
                [30.0],
                PrometheusSettings(),
                source,
                session,
                lambda: source.now - samples.start,
            ),
        )


async def test_a_pod_whose_scrapes_fail_is_missing_within_an_interval(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """Prometheus would give its last value for five minutes, but for the marker that a failed scrape leaves."""
    async with AsyncExitStack() as stack:
        serving = AsyncExitStack()
        address = await serving.enter_async_context(page(growing))
        scraped = [Scraped(address, {"namespace": "prod", "pod": "a"})]
        server = await stack.enter_async_context(PrometheusServer(prometheus_tools, tmp_path, scraped))
        await server.until_scraped(3)
        scraper = await stack.enter_async_context(reading(server, "a"))
        (state,) = await tick(scraper)
        assert (state.failure, state.windows[WINDOW].rows[M].increase[SUCCESS] > 0) == (None, True)
        await serving.aclose()
        gone = time.monotonic()
        await eventually(lambda: _is(scraper, NO_SAMPLE), seconds=10)
        assert time.monotonic() - gone < 4.0


async def test_a_triton_without_a_model_answers_and_serves_nothing(
    triton_install: TritonInstall, prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """It is not silent: a fleet whose models are all unloaded is not an outage."""
    async with AsyncExitStack() as stack:
        empty = tmp_path / "repository"
        empty.mkdir()
        explicit = TritonServer(
            triton_install, empty, tmp_path / "triton", arguments=["--model-control-mode=explicit"]
        )
        triton = await stack.enter_async_context(explicit)
        scraped = [Scraped(f"{triton.address}:{triton.ports.metrics}", {"namespace": "prod", "pod": "a"})]
        server = PrometheusServer(prometheus_tools, tmp_path / "prometheus", scraped)
        await stack.enter_async_context(server)
        await server.until_scraped(3)
        scraper = await stack.enter_async_context(reading(server, "a"))
        (state,) = await tick(scraper)
        assert (state.failure, state.windows[WINDOW].rows) == (None, {})
        assert MEMORY not in await triton.metrics()
