"""Who sends the added requests, where the gateway tells callers apart. Pure.

A gateway that all callers come through tells one caller, and so nothing: a caller is named only where others are known beside it
and its part of what was added is larger than its part of what there was."""

from collections.abc import Mapping
from dataclasses import dataclass

from triage.answers import Answer
from triage.latency.facts import Ranges
from triage.latency.incident import Incident
from triage.latency.number import amount
from triage.latency.points import median

_MOST_TOLD = 3
_LEAST_ADDED = 0.1
"""Of the requests before: less is no change of load."""


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    """As in a sentence: `prod/batch-scorer`, `host batch.example.com (ingress batch)`, `router batch@kubernetes`."""
    known: bool
    """The gateway knows who it is."""
    before: float
    during: float
    evidence: str

    @property
    def added(self) -> float:
        return self.during - self.before

    @property
    def from_to(self) -> str:
        return f"from {amount(self.before, 'requests/s')} to {amount(self.during, 'requests/s')}"


def callers_seen(incident: Incident) -> Answer:
    """The requests that were added, by who sends them."""
    callers = _callers(incident)
    if not callers or incident.onset is None:
        return Answer("unknown", _unseen(incident) if not callers else "when it began is not known")
    evidence = (callers[0].evidence,)
    added, before = _added(incident, callers), sum(one.before for one in callers)
    if added <= _LEAST_ADDED * before:
        return Answer("no", "no more requests come than before", evidence)
    grew = sorted(
        (one for one in callers if one.added > 0.05 * added), key=lambda one: (-one.added, one.name)
    )
    if not grew:
        return Answer("unknown", "the ten largest callers send no more than before", evidence)
    told = [f"{_number(one.added)} from {one.name}" for one in grew[:_MOST_TOLD]]
    rest = added - sum(one.added for one in grew[:_MOST_TOLD])
    if rest > 0.05 * added:
        told.append(f"{_number(rest)} from others")
    whose = (
        "in proportion to what each sent before: " if len(callers) > 1 and caller(incident) is None else ""
    )
    return Answer("yes", f"of the +{amount(added, 'requests/s')}, {whose}{', '.join(told)}", evidence)


def caller(incident: Incident) -> Caller | None:
    """The one that sends most of what was added, and more of that than of what there was."""
    callers = _callers(incident)
    if len(callers) < 2 or incident.onset is None:
        return None
    most = max(callers, key=lambda one: (one.added, one.name))
    added, before = _added(incident, callers), sum(one.before for one in callers)
    share, usual = most.added / added if added > 0 else 0.0, most.before / before if before else 0.0
    singled_out = added > _LEAST_ADDED * before and share >= 0.5 and share >= 1.5 * usual
    return most if most.known and singled_out else None


def _callers(incident: Incident) -> list[Caller]:
    found = []
    for evidence, ranges in incident.facts(Ranges):
        if ranges.measure != "gateway_callers" or evidence.probe != "gateway":
            continue
        if incident.onset and not any(incident.within(ranges, one, "before") for one in ranges.series):
            continue  # a gateway that is scraped only since then does not tell what was added
        for series in ranges.series:
            name, known = _named(series.labels)
            # Who has no series, where others have one, does not send.
            was, now = (median(incident.within(ranges, series, when)) or 0.0 for when in ("before", "during"))
            if name:
                found.append(Caller(name, known, was, now, evidence.id))
    return found


def _named(labels: Mapping[str, str]) -> tuple[str, bool]:
    """The name, and whether it is somebody's; empty: none is told. Istio writes `unknown` of a caller outside of the mesh."""
    source, namespace = labels.get("source", ""), labels.get("source_namespace", "")
    if source == "unknown":
        return "callers outside of the mesh", False
    if source:
        return (f"{namespace}/{source}" if namespace else source), True
    if host := labels.get("host", ""):
        return (
            f"host {host} (ingress {labels['ingress']})" if labels.get("ingress") else f"host {host}"
        ), True
    for kind in ("ingress", "router"):
        if labels.get(kind):
            return f"{kind} {labels[kind]}", True
    return "", False


def _added(incident: Incident, callers: list[Caller]) -> float:
    """Of all callers, those included that are not among the largest."""
    traffic = incident.movement("gateway_traffic")
    return traffic.difference if traffic.known else sum(one.added for one in callers)


def _number(value: float) -> str:
    return amount(value, "").rstrip()


def _unseen(incident: Incident) -> str:
    for one in incident.snapshot.evidence:
        if one.missing and one.id == "gateway/gateway_callers":
            return one.missing.remedy
        if isinstance(one.facts, Ranges) and one.facts.measure == "gateway_callers" and one.facts.series:
            return "who sent requests before it began is not known"
    return incident.history.missing("gateway_callers")
