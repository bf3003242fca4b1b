"""What was changed, and when: rollouts, models, replicas, restarts, nodes, readiness. A suspect each, and no culprit. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from triage.cluster_views import (
    ClusterEvents,
    Nodes,
    NodeView,
    PodPlacement,
    PodPlacements,
    Revision,
    Rollouts,
)
from triage.evidence import Evidence, LogExcerpt
from triage.latency.change import Change
from triage.latency.facts import RepositoryChanges
from triage.latency.history import History
from triage.latency.log_changes import changes_of_logs
from triage.latency.looked_again import changes_while_looking


def changes(evidence: Sequence[Evidence], history: History) -> list[Change]:
    """Every change that the evidence shows, oldest first."""
    found: list[Change] = []
    logs: list[tuple[Evidence, LogExcerpt]] = []
    for one in evidence:
        match one.facts:
            case Rollouts():
                found += _rollouts(one, one.facts)
            case RepositoryChanges(changes=rows):
                found += (
                    Change(r.seen_at, r.after, "repository", f"{r.model}: {r.what}", (one.id,), r.model)
                    for r in rows
                )
            case ClusterEvents():
                found += _events(one, one.facts)
            case PodPlacements():
                found += _pods(one, one.facts)
            case Nodes(nodes=nodes):
                found += (change for node in nodes for change in _node(one, node))
            case LogExcerpt():
                logs.append((one, one.facts))
            case _:
                continue
    logged = list(changes_of_logs(logs))
    found += logged
    found += changes_while_looking(evidence)
    found += (born for born in _births(history) if not any(_explains(one, born) for one in logged))
    return sorted(found, key=lambda change: (change.at, change.kind, change.what))


def _rollouts(evidence: Evidence, rollouts: Rollouts) -> Iterator[Change]:
    for place, revision in enumerate(rollouts.revisions[1:], start=1):
        at = rolled_out_at(rollouts.revisions, place)
        if at is None:
            continue
        what = f"{rollouts.workload} revision {revision.number}"
        if revision.changes:
            what += f": {'; '.join(revision.changes[:3])}"
        # What was returned to came after all that was made before it, and no later than its first sign.
        earliest = min(at, _made_before(rollouts.revisions, place)) if revision.earlier_numbers else at
        yield Change(at, earliest, "rollout", what, (evidence.id,), revision=revision.hash)


def rolled_out_at(revisions: Sequence[Revision], place: int) -> float | None:
    """Seconds since 1970. What was returned to keeps its birthday, and was rolled out on another day; None: nothing tells when."""
    revision = revisions[place]
    if revision.rolled_out_at is not None:
        return revision.rolled_out_at
    is_newest = not revision.earlier_numbers and revision.created_at >= _made_before(revisions, place)
    return revision.created_at if is_newest else None


def _made_before(revisions: Sequence[Revision], place: int) -> float:
    return max((each.created_at for each in revisions[:place]), default=float("-inf"))


def _events(evidence: Evidence, facts: ClusterEvents) -> Iterator[Change]:
    for event in facts.events:
        if event.reason == "SuccessfulRescale" or event.reason == "ScalingReplicaSet":
            yield Change(event.at, event.first_at, "scale", event.message, (evidence.id,))
        elif event.reason in ("NodeNotReady", "NodeNotSchedulable"):
            yield Change(event.at, event.first_at, "node", f"{event.object}: {event.message}", (evidence.id,))
        elif event.reason == "Unhealthy":
            pod = (event.object.removeprefix("pod/"),)
            yield Change(
                event.at,
                event.first_at,
                "readiness",
                f"{event.object}: {event.message}",
                (evidence.id,),
                pods=pod,
            )


def _pods(evidence: Evidence, facts: PodPlacements) -> Iterator[Change]:
    for pod in facts.pods:
        if pod.ended_at is not None:
            how = f" ({pod.ended_by})" if pod.ended_by else ""
            what = f"Triton in pod {pod.pod} ended{how}"
            yield Change(pod.ended_at, pod.ended_at, "restart", what, (evidence.id,), pods=(pod.pod,))
        if not pod.ready and pod.ready_since is not None and not _still_starts(pod):
            what = f"pod {pod.pod} became not ready"
            yield Change(pod.ready_since, pod.ready_since, "readiness", what, (evidence.id,), pods=(pod.pod,))


def _node(evidence: Evidence, node: NodeView) -> Iterator[Change]:
    if not node.ready and node.since is not None:
        yield Change(node.since, node.since, "node", f"node {node.name} is not ready", (evidence.id,))
    for name, at in node.pressures_since.items():
        yield Change(at, at, "node", f"node {node.name} reports {name}", (evidence.id,))


def _still_starts(pod: PodPlacement) -> bool:
    """Whether it has never been ready: it was not already when its present, first run began."""
    began = pod.started_at if pod.started_at is not None else pod.created_at
    return (
        pod.ended_at is None
        and began is not None
        and pod.ready_since is not None
        and pod.ready_since <= began
    )


def _explains(logged: Change, born: Change) -> bool:
    """Whether a log tells of the load by which these series began, and tells it better."""
    same = logged.kind == born.kind == "load" and logged.model == born.model
    return same and born.earliest <= logged.latest <= born.at


_LOADS_SECONDS = 120.0
"""Before a version is served it is loaded, which no series shows: so long ago the load may have begun."""


def _births(history: History) -> Iterator[Change]:
    """A series that begins within the window: a version that was loaded, or a pod that started. Triton makes a version's series, at
    zero, when it has loaded it."""
    seen: dict[tuple[str, str, str], _Birth] = {}
    for ranges in history.of_measure("success"):
        facts = ranges.facts
        for series in facts.series:
            first = next((place for place, value in enumerate(series.values) if value is not None), None)
            if first is not None:
                key = (
                    series.labels.get("pod", ""),
                    series.labels.get("model", ""),
                    series.labels.get("version", ""),
                )
                at = facts.start + facts.step * first
                # A rate's first value is the second scrape's: what has one by then was there before.
                born = _Birth(at, at - facts.step - facts.smear, ranges.id, within=first > 1)
                seen[key] = min(seen.get(key, born), born)
    pods: dict[str, _Birth] = {}
    for (pod, _, _), born in seen.items():
        pods[pod] = min(pods.get(pod, born), born)
    looked_since = min((born.at for born in pods.values()), default=0.0)
    for pod, born in pods.items():
        # Pods that are all there at the first look did not begin then: the looking did.
        if pod and born.within and born.earliest > looked_since:
            what = f"pod {pod} begins to answer"
            yield Change(born.at, born.earliest, "scale", what, (born.evidence,), pods=(pod,))
    versions: dict[tuple[str, str], _Birth] = {}
    for (pod, model, version), born in seen.items():
        if born.within and born.at > pods[pod].at + 1:  # else it came with its pod
            versions[model, version] = min(versions.get((model, version), born), born)
    for (model, version), born in versions.items():
        what = f"{model} version {version} begins to be served"
        yield Change(born.at, born.earliest - _LOADS_SECONDS, "load", what, (born.evidence,), model)


class _Birth(NamedTuple):
    at: float
    earliest: float
    evidence: str
    within: bool
    """The window shows a time before it."""
