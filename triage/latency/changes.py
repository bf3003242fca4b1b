"""What was changed, and when: rollouts, models, replicas, restarts, nodes, readiness. A suspect each, and no culprit. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from triage.evidence import Evidence, LogExcerpt
from triage.latency.facts import (
    ClusterEvents,
    Nodes,
    PodPlacements,
    RepositoryChanges,
    Revision,
    Rollouts,
)
from triage.latency.history import History
from triage.latency.kinds import ChangeKind

_LOADS = (
    (re.compile(r"\] \"?loading: (?P<model>[^\s:\"]+):(?P<version>\d+)"), "load", "begins to load"),
    (re.compile(r"\] \"?successfully loaded '(?P<model>[^']+)'"), "load", "is loaded"),
    (
        re.compile(r"\] \"?successfully unloaded '(?P<model>[^']+)' version (?P<version>\d+)"),
        "unload",
        "is unloaded",
    ),
)
_GLOG = re.compile(r"(?:^|\s)[IWE](?P<month>\d\d)(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d\.\d+)")
_ISO = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)Z?")


@dataclass(frozen=True, slots=True)
class Change:
    at: float
    """Seconds since 1970. It surely lies between `earliest` and `at`."""
    earliest: float
    kind: ChangeKind
    what: str
    evidence: tuple[str, ...]
    model: str = ""
    pods: tuple[str, ...] = ()
    revision: str = ""


def changes(evidence: Sequence[Evidence], history: History) -> list[Change]:
    """Every change that the evidence shows, oldest first."""
    found: list[Change] = []
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
                found += (
                    Change(n.since, n.since, "node", f"node {n.name} is not ready", (one.id,))
                    for n in nodes
                    if not n.ready and n.since is not None
                )
            case LogExcerpt():
                found += _loads(one, one.facts)
            case _:
                continue
    found += _births(history)
    return sorted(found, key=lambda change: (change.at, change.kind, change.what))


def _rollouts(evidence: Evidence, rollouts: Rollouts) -> Iterator[Change]:
    for revision in rollouts.revisions[1:]:
        what = f"{rollouts.workload} revision {revision.number}"
        if revision.changes:
            what += f": {'; '.join(revision.changes[:3])}"
        at = rolled_out_at(revision)
        yield Change(at, at, "rollout", what, (evidence.id,), revision=revision.hash)


def rolled_out_at(revision: Revision) -> float:
    """A revision that was returned to keeps its birthday, and has a day on which it was rolled out again."""
    again: float | None = getattr(revision, "rolled_out_at", None)
    return again if again is not None else revision.created_at


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
        if not pod.ready and pod.ready_since is not None:
            what = f"pod {pod.pod} became not ready"
            yield Change(pod.ready_since, pod.ready_since, "readiness", what, (evidence.id,), pods=(pod.pod,))


def _loads(evidence: Evidence, log: LogExcerpt) -> Iterator[Change]:
    """Of a server that has long been up: Triton's own lines, which say when, and not who asked."""
    for line in log.lines:
        for pattern, kind, says in _LOADS:
            found = pattern.search(line.text)
            at = _time_of(line.text, evidence.fetched_at) if found else None
            if found and at is not None:
                model = found["model"]
                pods = (evidence.subject,) if evidence.subject else ()
                yield Change(at, at, kind, f"{model} {says}", (evidence.id,), model, pods)  # type: ignore[arg-type]


def _time_of(line: str, fetched_at: str) -> float | None:
    """glog's stamp has no year: that of the fetch, or the year before where it would lie in the future."""
    if iso := _ISO.search(line):
        return datetime.fromisoformat(iso["at"]).replace(tzinfo=UTC).timestamp()
    if (glog := _GLOG.search(line)) is None:
        return None
    fetched = datetime.fromisoformat(fetched_at.replace("Z", "+00:00"))
    try:
        told = datetime.fromisoformat(
            f"{fetched.year}-{glog['month']}-{glog['day']}T{glog['clock']}"
        ).replace(tzinfo=UTC)
    except ValueError:
        return None
    if told.timestamp() > fetched.timestamp() + 86_400:
        told = told.replace(year=fetched.year - 1)
    return told.timestamp()


def _births(history: History) -> Iterator[Change]:
    """A series that begins within the window: a version that was loaded, or a pod that started. Triton makes a version's series, at
    zero, when it has loaded it."""
    seen: dict[tuple[str, str, str], tuple[float, float, str]] = {}
    began = ended = 0.0
    for ranges in history.of_measure("success"):
        facts = ranges.facts
        began, ended = facts.start, facts.start + facts.step * (facts.steps - 1)
        for series in facts.series:
            there = [index for index, value in enumerate(series.values) if value is not None]
            if there:
                key = (
                    series.labels.get("pod", ""),
                    series.labels.get("model", ""),
                    series.labels.get("version", ""),
                )
                at = facts.start + facts.step * there[0]
                seen[key] = (at, at - facts.step - facts.smear, ranges.id)
    if ended <= began:
        return
    pods: dict[str, tuple[float, float, str]] = {}
    for (pod, _, _), born in seen.items():
        pods[pod] = min(pods.get(pod, born), born)
    for pod, (at, earliest, source) in pods.items():
        if pod and at > began + 1:
            yield Change(at, earliest, "scale", f"pod {pod} begins to answer", (source,), pods=(pod,))
    versions: dict[tuple[str, str], tuple[float, float, str]] = {}
    for (pod, model, version), born in seen.items():
        if born[0] > pods[pod][0] + 1:  # else it came with its pod
            versions[model, version] = min(versions.get((model, version), born), born)
    for (model, version), (at, earliest, source) in versions.items():
        yield Change(at, earliest, "load", f"{model} version {version} begins to be served", (source,), model)
