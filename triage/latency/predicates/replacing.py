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
    """Fewer pods are ready than before, and as many are wanted; by what answers, where no source counts the replicas."""
    ready, wanted = incident.read("replicas_ready"), incident.read("replicas_wanted")
    if incident.onset is None:
        return Answer("unknown", "when it began is not known")
    if ready.trace is not None and wanted.trace is not None:
        short = [
            have is not None and want is not None and have < want
            for have, want in zip(ready.trace.values, wanted.trace.values, strict=False)
        ]
        times = [ready.trace.start + place * ready.trace.step for place in range(len(short))]
        before = median(incident.values(ready, "before"))
        since = [
            (lacks, have or 0.0)
            for time, lacks, have in zip(times, short, ready.trace.values, strict=False)
            if time >= incident.onset.onset.earliest
        ]
        run = _longest([lacks and before is not None and have < before for lacks, have in since])
        least = min((have for lacks, have in since if lacks), default=before)
        if before is None:
            return Answer("unknown", "too few points of the replicas", ready.evidence)
        said = f"ready replicas: {before:g} before, {least:g} at the lowest since it began"
        return Answer("yes" if run >= _SHORT_POINTS else "no", said, ready.evidence + wanted.evidence)
    return Answer("unknown", ready.missing or wanted.missing)


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
    ends = [c.latest for c in incident.changes if c.kind in ("rollout", "restart") and c.latest >= low]
    whole = incident.read("throughput")
    over = whole.trace.present()[-1][0] if whole.trace and whole.trace.present() else None
    for pod in sorted(before):
        trace = incident.read("throughput", by="pod", group=pod).trace
        there = trace.present() if trace else []
        if there and over is not None and low <= there[-1][0] < over - _NEAR_SECONDS:
            ends.append(there[-1][0])
    ready = incident.read("replicas_ready")
    usual = median(incident.values(ready, "before"))
    if usual is not None and ready.trace is not None:
        ends += [time for time, value in ready.trace.present() if time >= low and value < usual][-1:]
    if not ends or over is None:
        return Answer("unknown", "no source tells when the last pod was replaced")
    end = found.ended.earliest if found.ended else over
    took, after = max(ends) - found.onset.earliest, end - max(ends)
    said = f"it went on for {max(after, 0):.0f} s after the last pod was replaced"
    evidence = whole.evidence + ready.evidence
    return Answer("yes" if after > max(took, _LASTS_SECONDS) + whole.smear else "no", said, evidence)
