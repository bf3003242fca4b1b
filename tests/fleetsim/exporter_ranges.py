"""The measures of the platform and of the gateway out of their exporters' samples."""

from collections.abc import Iterable, Mapping, Sequence

from tests.fleetsim.gateway import GatewayPage, histogram_quantile
from tests.fleetsim.grid import Column, Grid, Points
from tests.fleetsim.samples import Samples
from triage.latency.facts import Ranges, Series

PLATFORM_COUNTS = frozenset({"restarts", "hpa_desired", "hpa_current", "hpa_max", "hpa_min", "replicas_wanted", "replicas_ready",
                             "pods_pending", "gpu_xid", "llm_waiting", "llm_active"})  # fmt: skip
"""Gauges as they stood; a mean of them would be no count."""
PLATFORM_MEASURES = (
    "cpu_throttled", "cpu_used", "neighbour_cpu", "gpu_holders", "cpu_limit", "memory_used", "memory_limit",
    "restarts", "network_received", "network_sent", "gpu_clock", "gpu_power", "gpu_power_limit", "gpu_temperature",
    "gpu_throttled", "gpu_sm_busy", "gpu_device_memory_used", "gpu_device_memory_free", "gpu_xid", "hpa_desired",
    "hpa_current", "hpa_max", "hpa_min", "replicas_wanted", "replicas_ready", "pods_pending", "node_cpu_used",
    "node_cpu_stolen", "node_disk_busy", "network_retransmits", "dns_p99", "kv_cache_used", "llm_waiting",
    "llm_active",
)  # fmt: skip


def platform_ranges(samples: Samples, grid: Grid) -> Iterable[Ranges]:
    for measure in PLATFORM_MEASURES:
        stood = measure in PLATFORM_COUNTS
        series = [
            Series(dict(labels), grid.as_it_stood(points) if stood else grid.means(points))
            for (name, labels), points in sorted(samples.rows.items())
            if name == measure
        ]
        yield _ranges(measure, grid, _seen(series), smear=0.0 if stood else grid.smear)


def gateway_ranges(pages: Sequence[GatewayPage], grid: Grid) -> Iterable[Ranges]:
    codes = sorted({code for page in pages for code in page.codes})
    requests = [
        Series({"code": code}, grid.rates([(page.at, float(page.codes.get(code, 0))) for page in pages]))
        for code in codes
    ]
    yield _ranges("gateway_requests", grid, requests)
    senders = [
        Series(
            {"source_namespace": "prod", "source": name},
            grid.rates([(page.at, float(page.callers.get(name, 0))) for page in pages]),
        )
        for name in sorted({name for page in pages for name in page.callers})
    ]
    yield _ranges("gateway_callers", grid, senders)
    clients = [(page.at, page.clients) for page in pages]
    upstream = [(page.at, page.upstream) for page in pages]
    yield _ranges("gateway_p99", grid, [Series({}, _quantiles(clients, grid, 0.99))])
    yield _ranges("gateway_p95", grid, [Series({}, _quantiles(clients, grid, 0.95))])
    yield _ranges("gateway_p50", grid, [Series({}, _quantiles(clients, grid, 0.5))])
    yield _ranges("gateway_upstream_p99", grid, [Series({}, _quantiles(upstream, grid, 0.99))])
    counters: Mapping[str, Points] = {
        "gateway_retries": [(page.at, float(page.retries)) for page in pages],
        "gateway_timeouts": [(page.at, float(page.timeouts)) for page in pages],
        "gateway_request_bytes": [(page.at, page.request_bytes) for page in pages],
    }
    for measure, points in counters.items():
        yield _ranges(measure, grid, [Series({}, grid.rates(points))])
    waiting = [(page.at, float(page.waiting)) for page in pages]
    yield _ranges("gateway_waiting", grid, [Series({}, grid.means(waiting))])


def _quantiles(histograms: Sequence[tuple[float, Sequence[int]]], grid: Grid, share: float) -> Column:
    """Quantiles of the rates of a histogram's buckets, step by step."""
    buckets = [
        grid.rates([(at, float(counts[place])) for at, counts in histograms])
        for place in range(len(histograms[0][1]))
    ]
    found: list[float | None] = []
    for counts in zip(*buckets, strict=True):
        found.append(histogram_quantile([count or 0.0 for count in counts], share))
    return tuple(found)


def _seen(series: Iterable[Series]) -> list[Series]:
    return [one for one in series if any(value is not None for value in one.values)]


def _ranges(measure: str, grid: Grid, series: Sequence[Series], smear: float | None = None) -> Ranges:
    return Ranges(
        measure, grid.start, grid.step, grid.steps, grid.smear if smear is None else smear, tuple(series)
    )
