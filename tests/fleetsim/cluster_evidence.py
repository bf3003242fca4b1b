"""What Kubernetes tells of a simulated fleet."""

import msgspec

from tests.fleetsim.evidence import evidence_of
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.hosts import Pod
from triage.cluster_views import (
    ClusterEvent,
    ClusterEvents,
    Nodes,
    NodeView,
    NoHpa,
    PodPlacement,
    PodPlacements,
    Rollouts,
)
from triage.evidence import Evidence, Facts, LogExcerpt, LogLine

EVENTS_LAST_SECONDS = 3600.0


def cluster_evidence(fleet: Fleet) -> list[Evidence]:
    facts: list[tuple[str, Facts]] = [
        ("placements", PodPlacements(tuple(map(_placement, fleet.pods)))),
        ("rollouts", _rollouts(fleet)),
        ("hpa", fleet.autoscaler.view() if fleet.autoscaler else NoHpa()),
        ("cluster_events", _events(fleet)),
        ("nodes", Nodes(tuple(NodeView(node.name, True, node.ready_since) for node in fleet.nodes))),
    ]
    found = [evidence_of(name, name, "Kubernetes", one, fleet) for name, one in facts]
    for pod in fleet.pods:
        lines = tuple(LogLine(number, line) for number, line in enumerate(pod.log, 1))
        excerpt = LogExcerpt(lines, len(lines), sum(map(len, pod.log)))
        found.append(evidence_of(f"log:{pod.name}/triton", "log", "Kubernetes", excerpt, fleet, pod))
    return found


def _rollouts(fleet: Fleet) -> Rollouts:
    living = [pod for pod in fleet.pods if pod.removed_at is None]
    counts = {
        revision.hash: sum(pod.revision == revision.hash for pod in living) for revision in fleet.revisions
    }
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
        kept[key] = (
            event
            if before is None
            else msgspec.structs.replace(event, first_at=before.first_at, count=before.count + 1)
        )
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
