"""Pods that are replaced: whether they were, what callers feel of it, and whether that ends with it. Pure."""

from triage.answers import Answer
from triage.latency.incident import Incident
from triage.latency.points import median
from triage.latency.predicates.failing import gateway_sees_errors
from triage.wording import names

_NEAR_SECONDS = 60.0
_LASTS_SECONDS = 120.0
"""At least, after the last pod was replaced: connections are made anew, and what waited is worked off."""


def pods_replaced(incident: Incident) -> Answer:
    """Pods went as others came, when it began: by a rollout or a restart, or by what answers."""
    if incident.onset is None:
        return Answer("unknown", "when it began is not known")
    low, high = incident.onset.onset.earliest - 60, incident.onset.onset.latest
    near = [c for c in incident.changes if c.earliest <= high and c.at >= low]
    told = [c for c in near if c.kind in ("rollout", "restart")]
    if told:
        return Answer("yes", told[-1].what, told[-1].evidence)
    born = [c for c in near if c.kind == "scale" and c.pods]
    before, now = set(incident.pods("before")), set(incident.pods())
    gone = before - now
    if born and gone:
        said = f"{names(sorted(gone))} went, {names([pod for c in born for pod in c.pods])} came"
        return Answer("yes", said, born[-1].evidence)
    if not before:
        return Answer("unknown", "no source tells one pod from another")
    return Answer("no", "no pod was replaced as it began", incident.read("throughput").evidence)


_SHORT_POINTS = 3
"""In a row: pods come and go within one or two."""


def fewer_pods_serve(incident: Incident) -> Answer:
    """Fewer pods are ready than before and than are wanted, for several steps in a row."""
    ready, wanted = incident.read("replicas_ready"), incident.read("replicas_wanted")
    if incident.onset is None:
        return Answer("unknown", "when it began is not known")
    if ready.trace is None or wanted.trace is None:
        return Answer("unknown", ready.missing or wanted.missing)
    evidence = ready.evidence + wanted.evidence
    before = median(incident.values(ready, "before"))
    asked, began = dict(wanted.trace.present()), incident.onset.onset.earliest
    since = [(have, asked[time]) for time, have in ready.trace.present() if time >= began and time in asked]
    if before is None or len(since) < _SHORT_POINTS:
        return Answer("unknown", "too few points of the replicas", evidence)
    run = _longest([have < min(before, want) for have, want in since])
    least = min(have for have, _ in since)
    said = f"ready replicas: {before:g} before, {least:g} at the lowest since it began"
    return Answer("yes" if run >= _SHORT_POINTS else "no", said, evidence)


def _longest(flags: list[bool]) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def replacing_felt(incident: Incident) -> Answer:
    """What callers feel of pods that are replaced: errors that only the gateway sees, or a queue before the pods that are left."""
    errors, fewer = gateway_sees_errors(incident), fewer_pods_serve(incident)
    if errors.value == "yes":
        return errors
    if fewer.value == "yes" and incident.movement("queue").up(1.5, 1.0) == "yes":
        queue = incident.movement("queue")
        said = f"{fewer.because}; {queue.quantity.says}: {queue.from_to}"
        return Answer("yes", said, fewer.evidence + queue.evidence)
    return fewer if errors.value == "no" else errors


def outlasts_replacing(incident: Incident) -> Answer:
    """It goes on after the last pod was replaced for longer than that took: the last of those that are gone has ended, and as many
    are ready as before."""
    found = incident.onset
    if found is None:
        return Answer("unknown", "when it began is not known")
    before = set(incident.pods("before"))
    if not before:
        return Answer("unknown", "no source tells one pod from another")
    low = found.onset.earliest - _NEAR_SECONDS
    whole, ready = incident.read("throughput"), incident.read("replicas_ready")
    answered = whole.trace.present() if whole.trace else []
    usual = median(incident.values(ready, "before"))
    gone = [at for pod in before if answered and (at := _gone_at(incident, pod, low, answered[-1][0]))]
    if not answered or (usual is None and not gone):
        return Answer("unknown", "no source tells when the last pod was replaced", ready.evidence)
    short = [time for time, have in ready.trace.present() if have < usual] if ready.trace and usual else []
    changed = [c.latest for c in incident.changes if c.kind in ("rollout", "restart")]
    ends = [time for time in (*gone, *short, *changed) if time >= low]
    if not ends:
        return Answer("unknown", "no pod was seen to be replaced", ready.evidence)
    over = answered[-1][0]
    end = found.ended.earliest if found.ended else over
    took, after = max(ends) - found.onset.earliest, end - max(ends)
    said = f"it went on for {max(after, 0):.0f} s after the last pod was replaced"
    evidence = whole.evidence + ready.evidence
    return Answer("yes" if after > max(took, _LASTS_SECONDS) + whole.smear else "no", said, evidence)


def _gone_at(incident: Incident, pod: str, low: float, over: float) -> float | None:
    """When it answered last, where that is between the two and it is gone since."""
    trace = incident.read("throughput", by="pod", group=pod).trace
    there = trace.present() if trace else []
    return there[-1][0] if there and low <= there[-1][0] < over - _NEAR_SECONDS else None
