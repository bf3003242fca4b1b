"""Where pods' pages come from, as the configuration says: each pod itself, a Prometheus, or both."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import aiohttp

from autoscaler.config import Config
from autoscaler.own_metrics import OwnMetrics
from telemetry.auto_source import AutoSource, CrossChecks
from telemetry.cross_check import Samples
from telemetry.gateways.kind import GatewayKind
from telemetry.gateways.source import GatewaySource
from telemetry.gpu_exporters.exporter import GpuExporter
from telemetry.gpu_exporters.prometheus_reader import GpuReader
from telemetry.gpu_exporters.scraper import ExporterPods, ExporterTargets, GpuScraper
from telemetry.gpu_exporters.snapshot import GpuSnapshot
from telemetry.http_body import PlainPages
from telemetry.kubernetes_api import KubernetesApi
from telemetry.pod_state import PodState
from telemetry.prometheus import PrometheusSource
from telemetry.prometheus_scrape import PrometheusScraper
from telemetry.scrape import Scraper
from telemetry.target import PodKey, Targets
from telemetry.window import Families


class Source(Protocol):
    """What answers are made of: the pods of a namespace as they are known now."""

    @property
    def interval(self) -> float:
        """Seconds between two rounds."""

    @property
    def reads_past(self) -> bool:
        """Windows are filled with what was measured before it began."""

    @property
    def last_round_at(self) -> float | None:
        """Monotonic second at which it last went round all pods."""

    def pods(self, namespace: str) -> Iterable[PodState]: ...

    async def run(self) -> None: ...


def make_source(
    config: Config,
    targets: Targets,
    families: Families,
    windows: Collection[float],
    session: aiohttp.ClientSession,
    metrics: OwnMetrics,
    clock: Callable[[], float],
) -> Source:
    """One for these targets; `clock` is monotonic."""

    def scraper(on_page: Callable[[PodKey, float, Samples], None]) -> Scraper:
        settings = config.scrape_settings()
        pages = PlainPages(session)
        return Scraper(targets, families, windows, settings, pages, clock, metrics.scraped, on_page)

    def prometheus(on_page: Callable[[PodKey, float, Samples], None]) -> PrometheusScraper:
        section, settings = config.prometheus, config.prometheus_settings()
        assert section is not None  # noqa: S101 -- checked with the configuration
        assert settings is not None  # noqa: S101
        asked = PrometheusSource(section.url, section.access(), timeout_seconds=settings.timeout)
        ticked = metrics.prometheus_ticked
        return PrometheusScraper(targets, families, windows, settings, asked, session, clock, ticked, on_page)

    if config.source == "scrape":
        return scraper(_ignore)
    if config.source == "prometheus":
        return prometheus(_ignore)
    checks = CrossChecks(targets, families)
    both = scraper(checks.scraped), prometheus(checks.told)
    return AutoSource(*both, checks, config.ages(), targets, clock)


class GpuSource(Protocol):
    """What exporters tell of GPUs."""

    snapshot: GpuSnapshot
    last_round_at: float | None

    async def run(self) -> None: ...


def make_gpu_source(
    config: Config,
    exporters: Sequence[GpuExporter],
    window: float,
    targets: Targets,
    api: KubernetesApi,
    session: aiohttp.ClientSession,
    metrics: OwnMetrics,
    clock: Callable[[], float],
) -> GpuSource | None:
    """None where the configuration reads no exporter; `window`: the longest of a signal of devices, in seconds."""
    if config.gpu is not None and config.gpu.exporters:
        found = (ExporterPods(each.namespace, each.selector) for each in config.gpu.exporters)
        return GpuScraper(
            exporters,
            [ExporterTargets(api, pods, clock) for pods in found],
            targets,
            PlainPages(session),
            clock,
            interval=config.gpu.interval,
            timeout=config.gpu.timeout,
            max_age=config.gpu.direct_age,
            window=window,
            on_tick=metrics.gpus_read,
        )
    section, settings = config.prometheus, config.gpu_settings(window)
    if section is None or settings is None:
        return None
    source = PrometheusSource(section.url, section.access(), timeout_seconds=settings.timeout)
    return GpuReader(exporters, settings, source, clock, metrics.gpus_read)


def make_gateway_source(
    config: Config,
    kinds: Mapping[str, GatewayKind],
    windows: Collection[float],
    metrics: OwnMetrics,
    clock: Callable[[], float],
) -> GatewaySource | None:
    """None where no gateway is configured; `clock` is monotonic."""
    section, gateway = config.prometheus, config.gateway
    if gateway is None or section is None or not windows:
        return None
    settings = config.gateway_settings()
    asked = PrometheusSource(section.url, section.access(), timeout_seconds=settings.timeout)
    names = gateway.names(kinds[gateway.kind], section.matchers)
    return GatewaySource(names, windows, settings, asked, clock, metrics.gateways_ticked)


def _ignore(key: PodKey, at: float, page: Samples) -> None:
    """Only two sources can be compared."""
