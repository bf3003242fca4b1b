"""A snapshot of a simulated fleet: what the probes of the p99 tree would have brought."""

from collections.abc import Mapping, Sequence

import msgspec

from tests.fleetsim.cluster_evidence import cluster_evidence
from tests.fleetsim.evidence import evidence_of, utc
from tests.fleetsim.exporter_ranges import gateway_ranges, platform_ranges
from tests.fleetsim.fleet import CLOSE_SCRAPE_SECONDS, SCRAPE_SECONDS, Fleet
from tests.fleetsim.grid import Grid
from tests.fleetsim.triton_ranges import triton_ranges
from triage.evidence import Asked, Evidence, IndexRow, Missing, Readiness, RepositoryIndex, Snapshot
from triage.latency.facts import Batch, ModelStatistics, Ranges, RepositoryChanges, Statistics
from triage.probes.prometheus import CLOSE_MEASURES

STEP_SECONDS = 30.0
DAY = 86400.0
PROMETHEUS_PROBES = ("triton", "triton_pods", "close", "past", "platform", "gateway")
CLUSTER_PROBES = ("placements", "rollouts", "hpa", "cluster_events", "nodes", "log")
LIVE_PROBES = ("settings", "index", "readiness", "metadata", "statistics", "lifetime", "capture")
SOURCES: Mapping[str, Sequence[str]] = {
    "prometheus": PROMETHEUS_PROBES,
    "kubernetes": CLUSTER_PROBES,
    "live": LIVE_PROBES,
    **{probe: (probe,) for probe in (*PROMETHEUS_PROBES, *CLUSTER_PROBES, *LIVE_PROBES, "repository")},
}


def observe(fleet: Fleet, past: Sequence[Fleet] = ()) -> Snapshot:
    """All evidence of a fleet whose time has run out; `past` are the same hours of earlier days."""
    grid = _grid(fleet)
    found = [evidence_of(f"triton/{name}", "triton", "Prometheus", facts, fleet)
             for name, facts in _triton(fleet, grid).items()]  # fmt: skip
    found += _close(fleet)
    for earlier in past:
        days = f"{round(earlier.ago / DAY)}d"
        old = _triton(earlier, _grid(earlier), ago=earlier.ago, by_pod=False)
        found += [
            evidence_of(f"past/{name}/{days}", "past", "Prometheus", facts, fleet)
            for name, facts in old.items()
        ]
    found += [evidence_of(f"platform/{facts.measure}", "platform", "Prometheus", facts, fleet)
              for facts in platform_ranges(fleet.samples, grid)]  # fmt: skip
    found += [evidence_of(f"gateway/{facts.measure}", "gateway", "Prometheus", facts, fleet)
              for facts in gateway_ranges(fleet.gateway.pages, grid)]  # fmt: skip
    found += _live(fleet)
    found += cluster_evidence(fleet)
    return Snapshot(
        asked=Asked(
            tree="p99",
            target=f"deployment/{fleet.workload}",
            namespace=fleet.namespace,
            model=fleet.setup.model,
            start=fleet.begin,
            end=fleet.end,
        ),
        collected_at=utc(fleet.end),
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


def _close(fleet: Fleet) -> list[Evidence]:
    """All pods together, scrape by scrape."""
    grid = Grid(fleet.begin, SCRAPE_SECONDS, int(fleet.setup.window / SCRAPE_SECONDS) + 1, 2 * SCRAPE_SECONDS)
    told = dict(_triton(fleet, grid, by_pod=False))
    told |= {facts.measure: facts for facts in gateway_ranges(fleet.gateway.pages, grid)}
    return [
        evidence_of(f"close/{name}", "close", "Prometheus", told[name], fleet)
        for name in CLOSE_MEASURES
        if name in told
    ]


def _cached(fleet: Fleet) -> frozenset[str]:
    return frozenset(model.name for model in fleet.template.models if model.cache_entries)


def _live(fleet: Fleet) -> list[Evidence]:
    seconds = fleet.setup.capture_seconds
    grid = Grid(
        fleet.end - seconds,
        CLOSE_SCRAPE_SECONDS,
        int(seconds / CLOSE_SCRAPE_SECONDS) + 1,
        4 * CLOSE_SCRAPE_SECONDS,
    )
    captured = triton_ranges(fleet.pods, grid, _cached(fleet), close=True)
    found = [
        evidence_of(f"capture/{name}", "capture", "live Tritons", facts, fleet)
        for name, facts in captured.items()
    ]
    found += [
        evidence_of(f"settings:{model.name}", "settings", "live Triton", model.settings(), fleet)
        for model in fleet.template.models
    ]
    for pod in fleet.pods:
        answers = fleet.samples.statistics_of.get(pod.name, [])
        if len(answers) >= 2:
            (first_at, first), (last_at, last) = answers[0], answers[-1]
            facts = Statistics(last_at - first_at, first, _since(first, last))
            found.append(
                evidence_of(f"statistics:{pod.name}", "statistics", "live Triton", facts, fleet, pod)
            )
        if pod.phase == "Running":
            rows = tuple(
                IndexRow(one.model.name, one.model.version, "READY") for one in pod.server.models.values()
            )
            found.append(
                evidence_of(f"index:{pod.name}", "index", "live Triton", RepositoryIndex(rows), fleet, pod)
            )
            ready = Readiness(200 if pod.ready else 400)
            found.append(evidence_of(f"readiness:{pod.name}", "readiness", "live Triton", ready, fleet, pod))
    changes = RepositoryChanges(fleet.begin - DAY, fleet.end, tuple(fleet.repository))
    found.append(evidence_of("repository", "repository", "recorder", changes, fleet))
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
