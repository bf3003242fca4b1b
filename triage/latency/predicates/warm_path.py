"""How soon capacity that is added now answers at full speed: from the start of the newest pods to their readiness, and whether the
model warms up before that. Pure."""

import statistics

from triage.answers import Answer
from triage.cluster_views import HpaView, NoHpa, PodPlacement, PodPlacements
from triage.latency.incident import Incident
from triage.wording import count, names

_NEWEST = 3
"""Pods: images, nodes and models change, so what took long ago tells little."""
_LONGEST_SECONDS = 3600.0
"""Readiness that came later is not of the start: it was lost and came back."""


def warm_path_seen(incident: Incident) -> Answer:
    """How long a new pod takes to be ready here is known."""
    seconds, _, evidence = _start_seconds(incident)
    said = "; ".join([warm_path(incident), *_now(incident)])
    if incident.model in incident.settings:
        evidence += (f"settings:{incident.model}",)
    evidence += tuple(one.id for one, _ in incident.facts(HpaView))
    return Answer("yes" if seconds is not None else "unknown", said, evidence)


def warm_path(incident: Incident) -> str:
    """As in a sentence; what is not known is said."""
    seconds, seen, _ = _start_seconds(incident)
    if seconds is not None:
        ready = f"a new pod takes about {_rounded(seconds)} to be ready here ({count(seen, 'pod')} seen)"
    else:
        why = incident.missing("placements") or "no pod is seen that is ready since its start"
        ready = f"how long a new pod takes to be ready is not known ({why})"
    return f"{ready}, and {_warm_up(incident)}"


def _start_seconds(incident: Incident) -> tuple[float | None, int, tuple[str, ...]]:
    """From creation to readiness of the newest pods, in the lower median; of how many; by what. A pod that lost its readiness and
    got it back seems to have taken longer, never shorter."""
    for evidence, facts in incident.facts(PodPlacements):
        starts = sorted(
            ((pod.created_at, seconds) for pod in facts.pods if (seconds := _took(pod)) is not None),
            key=lambda start: start[0] or 0.0,
        )[-_NEWEST:]
        if starts:
            return statistics.median_low(seconds for _, seconds in starts), len(starts), (evidence.id,)
        return None, 0, (evidence.id,)
    return None, 0, ()


def _took(pod: PodPlacement) -> float | None:
    if not pod.ready or pod.restarts or pod.created_at is None or pod.ready_since is None:
        return None
    seconds = pod.ready_since - pod.created_at
    return seconds if 0 < seconds < _LONGEST_SECONDS else None


def _warm_up(incident: Incident) -> str:
    """Of an ensemble its parts decide: it computes nothing itself."""
    settings = incident.settings.get(incident.model)
    if settings is None:
        return f"whether {incident.model or 'the model'} has a model_warmup is not known"
    known = [
        incident.settings[name] for name in settings.parts or (incident.model,) if name in incident.settings
    ]
    cold = [one.model for one in known if not one.warm_up]
    if cold:
        have = "has" if len(cold) == 1 else "have"
        return f"{names(cold)} {have} no model_warmup: its first requests will be slow"
    if len(known) < len(settings.parts):
        return f"whether all parts of {incident.model} have a model_warmup is not known"
    return f"{incident.model} has a model_warmup"


def _now(incident: Incident) -> list[str]:
    """Whether pods come by themselves, and whether any node takes them."""
    found = []
    for _, facts in incident.facts(PodPlacements):
        if waiting := [pod for pod in facts.pods if pod.unschedulable]:
            found.append(f"no node takes {count(len(waiting), 'pod')} that should run already")
        starting = [
            p
            for p in facts.pods
            if not p.ready and not p.unschedulable and not p.restarts and not p.terminating_since
        ]
        if starting:
            found.append(f"{count(len(starting), 'pod')} not ready yet")
    for _, hpa in incident.facts(HpaView):
        room = hpa.max_replicas - hpa.desired
        more = f"adds up to {count(room, 'pod')} by itself" if room > 0 else "adds none: it is at its maximum"
        found.append(f"autoscaler {hpa.name} {more}")
    if any(True for _ in incident.facts(NoHpa)):
        found.append("no autoscaler adds pods")
    return found


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
