"""A snapshot of a simulated fleet: what the probes of the p99 tree would have brought."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from tests.fleetsim.fleet import CLOSE_SCRAPE_SECONDS, SCRAPE_SECONDS, Fleet
from tests.fleetsim.gateway import GatewayPage, histogram_quantile
from tests.fleetsim.grid import Column, Grid, Points
from tests.fleetsim.hosts import Pod
from tests.fleetsim.triton_ranges import triton_ranges
from triage.evidence import Asked, Evidence, Facts, IndexRow, LogExcerpt, LogLine, Missing, Readiness, RepositoryIndex
from triage.evidence import Snapshot
from triage.latency.facts import (
    Batch,
    ClusterEvent,
    ClusterEvents,
    ModelStatistics,
    NodeView,
    Nodes,
    NoHpa,
    PodPlacement,
    PodPlacements,
    Ranges,
    RepositoryChanges,
    Rollouts,
    Series,
    Statistics,
)

STEP_SECONDS = 30.0
EVENTS_LAST_SECONDS = 3600.0
DAY = 86400.0
PROMETHEUS_PROBES = ("triton", "triton_pods", "past", "platform", "gateway")
CLUSTER_PROBES = ("placements", "rollouts", "hpa", "cluster_events", "nodes", "log")
LIVE_PROBES = ("settings", "index", "readiness", "metadata", "statistics", "lifetime", "capture")
SOURCES: Mapping[str, Sequence[str]] = {
    "prometheus": PROMETHEUS_PROBES,
    "kubernetes": CLUSTER_PROBES,
    "live": LIVE_PROBES,
    **{probe: (probe,) for probe in (*PROMETHEUS_PROBES, *CLUSTER_PROBES, *LIVE_PROBES, "repository")},
}
PLATFORM_COUNTS = frozenset({"restarts", "hpa_desired", "hpa_current", "hpa_max", "hpa_min", "replicas_wanted", "replicas_ready",
                             "pods_pending", "gpu_xid", "llm_waiting", "llm_active"})  # fmt: skip
"""Gauges as they stood; a mean of them would be no count."""
PLATFORM_MEASURES = (
    "cpu_throttled", "cpu_used", "cpu_limit", "memory_used", "memory_limit", "restarts", "network_received", "network_sent",
    "gpu_clock", "gpu_power", "gpu_power_limit", "gpu_temperature", "gpu_throttled", "gpu_sm_busy", "gpu_device_memory_used",
    "gpu_device_memory_free", "gpu_xid", "hpa_desired", "hpa_current", "hpa_max", "hpa_min", "replicas_wanted",
    "replicas_ready", "pods_pending", "node_cpu_used", "node_cpu_stolen", "node_disk_busy", "network_retransmits", "dns_p99",
    "kv_cache_used", "llm_waiting", "llm_active",
)  # fmt: skip


def observe(fleet: Fleet, past: Sequence[Fleet] = ()) -> Snapshot:
    """All evidence of a fleet whose time has run out; `past` are the same hours of earlier days."""
    grid = _grid(fleet)
    found = [_evidence(f"triton/{name}", "triton", "Prometheus", facts, fleet)
             for name, facts in _triton(fleet, grid).items()]  # fmt: skip
    for earlier in past:
        days = f"{round(earlier.ago / DAY)}d"
        old = _triton(earlier, _grid(earlier), ago=earlier.ago, by_pod=False)
        found += [
            _evidence(f"past/{name}/{days}", "past", "Prometheus", facts, fleet) for name, facts in old.items()
        ]
    found += [_evidence(f"platform/{facts.measure}", "platform", "Prometheus", facts, fleet)
              for facts in _platform(fleet, grid)]  # fmt: skip
    found += [_evidence(f"gateway/{facts.measure}", "gateway", "Prometheus", facts, fleet)
              for facts in _gateway(fleet.gateway.pages, grid)]  # fmt: skip
    found += _live(fleet)
    found += _cluster(fleet)
    return Snapshot(
        asked=Asked(
            tree="p99",
            target=f"deployment/{fleet.workload}",
            namespace=fleet.namespace,
            model=fleet.setup.model,
            start=fleet.begin,
            end=fleet.end,
        ),
        collected_at=_utc(fleet.end),
        took_seconds=4.0,
        evidence=tuple(found),
    )


def without(snapshot: Snapshot, *sources: str) -> Snapshot:
    """The same with nothing of those sources: keys of `SOURCES`."""
    probes = {probe for source in sources for probe in SOURCES[source]}
    missing = Missing("unreachable", "no answer within 10 s", "look whether it is up, and ask again")
    return msgspec.structs.replace(
        snapshot,
        evidence=tuple(
            msgspec.structs.replace(one, facts=None, missing=missing) if one.probe in probes else one
            for one in snapshot.evidence
        ),
    )


def without_measures(snapshot: Snapshot, *ids: str) -> Snapshot:
    """The same without the evidence whose id is one of `ids`, or begins with one that ends in a slash."""
    missing = Missing("no_series", "no series", "look whether it is scraped")
    return msgspec.structs.replace(
        snapshot,
        evidence=tuple(
            msgspec.structs.replace(one, facts=None, missing=missing)
            if any(one.id == name or (name.endswith("/") and one.id.startswith(name)) for name in ids)
            else one
            for one in snapshot.evidence
        ),
    )


def _grid(fleet: Fleet) -> Grid:
    steps = int(fleet.setup.window / STEP_SECONDS) + 1
    return Grid(fleet.begin, STEP_SECONDS, steps, max(4 * SCRAPE_SECONDS, STEP_SECONDS))


def _triton(fleet: Fleet, grid: Grid, ago: float = 0.0, by_pod: bool = True) -> Mapping[str, Ranges]:
    return triton_ranges(fleet.every_pod(), grid, _cached(fleet), ago=ago, by_pod=by_pod)


def _cached(fleet: Fleet) -> frozenset[str]:
    return frozenset(model.name for model in fleet.template.models if model.cache_entries)


def _platform(fleet: Fleet, grid: Grid) -> Iterable[Ranges]:
    for measure in PLATFORM_MEASURES:
        stood = measure in PLATFORM_COUNTS
        series = [
            Series(dict(labels), grid.as_it_stood(points) if stood else grid.means(points))
            for (name, labels), points in sorted(fleet.samples.rows.items())
            if name == measure
        ]
        yield _ranges(measure, grid, _seen(series), smear=0.0 if stood else grid.smear)


def _gateway(pages: Sequence[GatewayPage], grid: Grid) -> Iterable[Ranges]:
    codes = sorted({code for page in pages for code in page.codes})
    requests = [
        Series({"code": code}, grid.rates([(page.at, float(page.codes.get(code, 0))) for page in pages]))
        for code in codes
    ]
    yield _ranges("gateway_requests", grid, requests)
    clients = [(page.at, page.clients) for page in pages]
    upstream = [(page.at, page.upstream) for page in pages]
    yield _ranges("gateway_p99", grid, [Series({}, _quantiles(clients, grid, 0.99))])
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


def _live(fleet: Fleet) -> list[Evidence]:
    seconds = fleet.setup.capture_seconds
    grid = Grid(
        fleet.end - seconds, CLOSE_SCRAPE_SECONDS, int(seconds / CLOSE_SCRAPE_SECONDS) + 1, 4 * CLOSE_SCRAPE_SECONDS
    )
    captured = triton_ranges(fleet.pods, grid, _cached(fleet), close=True)
    found = [_evidence(f"capture/{name}", "capture", "live Tritons", facts, fleet) for name, facts in captured.items()]
    found += [
        _evidence(f"settings:{model.name}", "settings", "live Triton", model.settings(), fleet)
        for model in fleet.template.models
    ]
    for pod in fleet.pods:
        answers = fleet.samples.statistics_of.get(pod.name, [])
        if len(answers) >= 2:
            (first_at, first), (last_at, last) = answers[0], answers[-1]
            facts = Statistics(last_at - first_at, first, _since(first, last))
            found.append(_evidence(f"statistics:{pod.name}", "statistics", "live Triton", facts, fleet, pod))
        if pod.phase == "Running":
            rows = tuple(
                IndexRow(one.model.name, one.model.version, "READY") for one in pod.server.models.values()
            )
            found.append(_evidence(f"index:{pod.name}", "index", "live Triton", RepositoryIndex(rows), fleet, pod))
            ready = Readiness(200 if pod.ready else 400)
            found.append(_evidence(f"readiness:{pod.name}", "readiness", "live Triton", ready, fleet, pod))
    changes = RepositoryChanges(fleet.begin - DAY, fleet.end, tuple(fleet.repository))
    found.append(_evidence("repository", "repository", "recorder", changes, fleet))
    return found


def _since(first: Sequence[ModelStatistics], last: Sequence[ModelStatistics]) -> tuple[ModelStatistics, ...]:
    """What was counted between two answers; a model that was loaded anew counts from nothing."""
    before = {(row.model, row.version): row for row in first}
    found = []
    for row in last:
        old = before.get((row.model, row.version))
        if old is None or old.executions > row.executions:
            found.append(row)
            continue
        sizes = {batch.size: batch for batch in old.batches}
        batches = (_batch_since(sizes.get(batch.size), batch) for batch in row.batches)
        found.append(
            msgspec.structs.replace(
                row,
                executions=row.executions - old.executions,
                inferences=row.inferences - old.inferences,
                failures=row.failures - old.failures,
                failure_ms=row.failure_ms - old.failure_ms,
                batches=tuple(batch for batch in batches if batch.executions),
            )
        )
    return tuple(found)


def _batch_since(old: Batch | None, new: Batch) -> Batch:
    if old is None:
        return new
    return Batch(
        new.size,
        new.executions - old.executions,
        new.input_ms - old.input_ms,
        new.infer_ms - old.infer_ms,
        new.output_ms - old.output_ms,
    )


def _cluster(fleet: Fleet) -> list[Evidence]:
    facts: list[tuple[str, Facts]] = [
        ("placements", PodPlacements(tuple(map(_placement, fleet.pods)))),
        ("rollouts", _rollouts(fleet)),
        ("hpa", fleet.autoscaler.view() if fleet.autoscaler else NoHpa()),
        ("cluster_events", _events(fleet)),
        ("nodes", Nodes(tuple(NodeView(node.name, True, node.ready_since) for node in fleet.nodes))),
    ]
    found = [_evidence(name, name, "Kubernetes", one, fleet) for name, one in facts]
    for pod in fleet.pods:
        if pod.log:
            lines = tuple(LogLine(number, line) for number, line in enumerate(pod.log, 1))
            excerpt = LogExcerpt(lines, len(lines), sum(map(len, pod.log)))
            found.append(_evidence(f"log:{pod.name}/triton", "log", "Kubernetes", excerpt, fleet, pod))
    return found


def _rollouts(fleet: Fleet) -> Rollouts:
    living = [pod for pod in fleet.pods if pod.removed_at is None]
    counts = {revision.hash: sum(pod.revision == revision.hash for pod in living) for revision in fleet.revisions}
    return Rollouts(
        workload=f"deployment/{fleet.workload}",
        replicas=fleet.wanted,
        updated=counts[fleet.revision],
        available=sum(pod.ready for pod in living),
        revisions=tuple(
            msgspec.structs.replace(revision, replicas=counts[revision.hash]) for revision in fleet.revisions
        ),
    )


def _events(fleet: Fleet) -> ClusterEvents:
    """Kubernetes forgets after an hour, and tells a repeated event once, with its count."""
    kept: dict[tuple[str, str, str], ClusterEvent] = {}
    for event in fleet.events:
        if event.at < fleet.end - EVENTS_LAST_SECONDS:
            continue
        key = (event.object, event.reason, event.message)
        before = kept.get(key)
        if before is not None:
            event = msgspec.structs.replace(event, first_at=before.first_at, count=before.count + 1)
        kept[key] = event
    return ClusterEvents(tuple(sorted(kept.values(), key=lambda one: one.at)))


def _placement(pod: Pod) -> PodPlacement:
    return PodPlacement(
        pod=pod.name,
        node="" if pod.phase == "Pending" else pod.node.name,
        created_at=pod.created_at,
        started_at=pod.started_at,
        ready=pod.ready,
        ready_since=pod.ready_since,
        phase=pod.phase,
        revision=pod.revision,
        restarts=pod.restarts,
        ended_by=pod.ended_by,
        ended_at=pod.ended_at,
        unschedulable=pod.unschedulable,
        gpus=1 if pod.gpu else 0,
        cpu_limit=pod.cpu_limit,
    )


def _seen(series: Iterable[Series]) -> list[Series]:
    return [one for one in series if any(value is not None for value in one.values)]


def _ranges(measure: str, grid: Grid, series: Sequence[Series], smear: float | None = None) -> Ranges:
    return Ranges(
        measure, grid.start, grid.step, grid.steps, grid.smear if smear is None else smear, tuple(series)
    )


def _evidence(
    id: str, probe: str, source: str, facts: Facts, fleet: Fleet, pod: Pod | None = None
) -> Evidence:
    return Evidence(
        id=id,
        probe=probe,
        source=source,
        query=id,
        command=f"ask {id}",
        fetched_at=_utc(fleet.end),
        subject=pod.name if pod else "",
        facts=facts,
    )


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
