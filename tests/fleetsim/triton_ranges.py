"""The measures of `source: triton` out of a fleet's scrapes."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.fleetsim.counters import Page
from tests.fleetsim.grid import Column, Grid, pooled
from tests.fleetsim.hosts import Pod, Scrape
from triage.latency.facts import Ranges, Series

REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
"""Triton shows each of them from the start."""

Labels = tuple[tuple[str, str], ...]


class Counter(NamedTuple):
    measure: str
    read: Callable[[Page], float]


COUNTERS = (
    Counter("success", lambda page: page.success),
    Counter("inferences", lambda page: page.inferences),
    Counter("executions", lambda page: page.executions),
    Counter("request_time", lambda page: page.request_ms),
    Counter("queue_time", lambda page: page.queue_ms),
    Counter("input_time", lambda page: page.input_ms),
    Counter("infer_time", lambda page: page.infer_ms),
    Counter("output_time", lambda page: page.output_ms),
)
CACHE_COUNTERS = (
    Counter("cache_hits", lambda page: page.hits),
    Counter("cache_misses", lambda page: page.misses),
    Counter("cache_miss_time", lambda page: page.miss_ms),
)
QUANTILES = ("request_p99", "request_p50", "queue_p99", "queue_p50", "infer_p99", "infer_p50")
MEASURES = (
    *(counter.measure for counter in (*COUNTERS, *CACHE_COUNTERS)),
    "failure", "pending", "pending_peak", "pending_least", *QUANTILES, "gpu_busy", "gpu_memory_used", "gpu_memory_total",
    "node_cpu_busy",
)  # fmt: skip
MAXIMA = frozenset(QUANTILES)
MEANS = frozenset({"gpu_busy", "node_cpu_busy"})


def triton_ranges(
    pods: Sequence[Pod],
    grid: Grid,
    cached: frozenset[str],
    *,
    close: bool = False,
    ago: float = 0.0,
    by_pod: bool = True,
) -> dict[str, Ranges]:
    """All measures by name. `cached`: the models with a response cache. `close`: from the scrapes of the live servers."""
    columns: dict[str, dict[Labels, Column]] = {measure: {} for measure in MEASURES}
    for pod in pods:
        scrapes = pod.close_scrapes if close else pod.scrapes
        rows: dict[tuple[str, str], list[tuple[float, Page]]] = defaultdict(list)
        for scrape in scrapes:
            for key, page in scrape.models.items():
                rows[key].append((scrape.at, page))
        for (model, version), pages in rows.items():
            labels = {"model": model, "version": version, "pod": pod.name}
            _model(columns, labels, pages, grid, model in cached)
        _devices(columns, pod, scrapes, grid)
    return {measure: _ranges(measure, columns[measure], grid, ago, by_pod) for measure in MEASURES}


def _model(
    columns: Mapping[str, dict[Labels, Column]],
    labels: Mapping[str, str],
    pages: Sequence[tuple[float, Page]],
    grid: Grid,
    cached: bool,
) -> None:
    key = _labels(labels)
    for counter in (*COUNTERS, *(CACHE_COUNTERS if cached else ())):
        columns[counter.measure][key] = grid.rates([(at, counter.read(page)) for at, page in pages])
    for reason in REASONS:
        failures = [(at, float(page.failures.get(reason, 0))) for at, page in pages]
        columns["failure"][_labels({**labels, "reason": reason})] = grid.rates(failures)
    pending = [(at, float(page.pending)) for at, page in pages]
    columns["pending"][key] = grid.means(pending)
    columns["pending_peak"][key] = grid.peaks(pending)
    columns["pending_least"][key] = grid.leasts(pending)
    # A summary that is off, or of a model with a response cache, is not there at all.
    if any(page.quantiles for _, page in pages):
        for place, measure in enumerate(QUANTILES):
            points = [(at, page.quantiles[place] if page.quantiles else None) for at, page in pages]
            columns[measure][key] = grid.as_it_stood(points)


def _devices(
    columns: Mapping[str, dict[Labels, Column]], pod: Pod, scrapes: Sequence[Scrape], grid: Grid
) -> None:
    key = _labels({"pod": pod.name})
    columns["node_cpu_busy"][key] = grid.means([(scrape.at, scrape.node_cpu_busy) for scrape in scrapes])
    if pod.gpu is None:
        return
    key = _labels({"pod": pod.name, "gpu": pod.gpu.id})
    busy = [(scrape.at, scrape.gpu_busy) for scrape in scrapes if scrape.gpu_busy is not None]
    columns["gpu_busy"][key] = grid.means(busy)
    columns["gpu_memory_used"][key] = grid.means([(scrape.at, scrape.gpu_memory_used) for scrape in scrapes])
    columns["gpu_memory_total"][key] = grid.means([(scrape.at, pod.gpu.memory) for scrape in scrapes])


def _ranges(measure: str, columns: Mapping[Labels, Column], grid: Grid, ago: float, by_pod: bool) -> Ranges:
    shown = {
        labels: column for labels, column in columns.items() if any(value is not None for value in column)
    }
    if not by_pod:
        groups: dict[Labels, list[Column]] = defaultdict(list)
        for labels, column in shown.items():
            groups[tuple(pair for pair in labels if pair[0] not in ("pod", "gpu"))].append(column)
        how = "max" if measure in MAXIMA else "mean" if measure in MEANS else "sum"
        shown = {labels: pooled(group, how) for labels, group in groups.items()}
    series = tuple(Series(dict(labels), column) for labels, column in sorted(shown.items()))
    smear = 0.0 if measure in MAXIMA else grid.smear
    return Ranges(measure, grid.start, grid.step, grid.steps, smear, series, ago=ago)


def _labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))
