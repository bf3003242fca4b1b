"""One line for each piece of evidence: who was asked what, how to ask it by hand, and how much came back. Pure."""

from triage.cluster_views import (
    Canary,
    ClusterEvents,
    HpaView,
    NoCanary,
    Nodes,
    NoHpa,
    PodPlacements,
    Rollouts,
)
from triage.evidence import (
    Evidence,
    GpuHolders,
    GpuMemory,
    LogExcerpt,
    ModelConfig,
    PodEvents,
    PodList,
    PodUse,
    PodView,
    Readiness,
    RepositoryIndex,
    RepositoryView,
    ServerMetadata,
)
from triage.latency.facts import Lifetime, ModelSettings, Ranges, RepositoryChanges, Statistics
from triage.report import EvidenceLine
from triage.wording import MAX_NAME, count, short


def evidence_line(evidence: Evidence) -> EvidenceLine:
    """What a source was asked and what came of it."""
    match evidence.facts:
        case None:
            got = f"nothing: {evidence.missing.reason.replace('_', ' ')}" if evidence.missing else "nothing"
        case LogExcerpt(lines=lines, lines_read=read):
            got = count(read, "line") if len(lines) == read else f"{len(lines)} of {read} lines kept"
        case RepositoryIndex(rows=rows, error=error):
            got = "an error" if error else count(len(rows), "row")
        case Readiness(status=status):
            got = f"HTTP {status}"
        case ServerMetadata(name=name, version=version):
            got = f"{name} {version}"
        case ModelConfig(loaded=loaded):
            got = "loaded" if loaded else "not loaded"
        case PodList(names=pods, unready=unready):
            got = f"{count(len(pods), 'pod')}, {len(unready)} not ready"
        case PodView(phase=phase):
            got = phase
        case PodEvents(events=events):
            got = count(len(events), "event")
        case RepositoryView(models=models_read, problems=problems):
            got = f"{count(len(models_read), 'model')}, {count(len(problems), 'finding')}"
        case PodUse(containers=containers):
            got = count(len(containers), "container")
        case GpuMemory(gpus=gpus):
            got = count(len(gpus), "GPU")
        case GpuHolders(pods=holders):
            got = f"{count(len(holders), 'pod')} with GPUs"
        case Ranges(series=series, steps=steps):
            got = f"{len(series)} series of {steps} points" if series else "no series"
        case Lifetime(totals=totals):
            got = count(len(totals), "measure")
        case Statistics(during=models):
            got = count(len(models), "model version")
        case ModelSettings(model=model):
            got = short(model, MAX_NAME)
        case PodPlacements(pods=placed):
            got = count(len(placed), "pod")
        case Rollouts(revisions=revisions):
            got = count(len(revisions), "revision")
        case HpaView(current=current, desired=desired):
            got = f"{current} replicas, wants {desired}"
        case Canary(name=name, phase=phase):
            got = f"{name}, {phase}" if phase else name
        case NoCanary():
            got = "none"
        case NoHpa():
            got = "no autoscaler"
        case ClusterEvents(events=told):
            got = count(len(told), "event")
        case Nodes(nodes=nodes):
            got = count(len(nodes), "node")
        case RepositoryChanges(changes=changes):
            got = count(len(changes), "change")
    return EvidenceLine(
        id=evidence.id,
        source=evidence.source,
        query=evidence.query,
        command=evidence.command,
        fetched_at=evidence.fetched_at,
        got=got,
        masked=evidence.masked,
        sha256=evidence.sha256,
    )
