"""The fleet and its autoscaler. Pure."""

from triage.answers import Answer
from triage.cluster_views import HpaView, NoHpa, PodPlacements, Rollouts
from triage.latency.changes import rolled_out_at
from triage.latency.incident import Incident
from triage.latency.points import mean


def _no_autoscaler(incident: Incident) -> Answer | None:
    """The cluster's answer that there is none; None: there is one, or nobody said."""
    for evidence, _ in incident.facts(NoHpa):
        return Answer("no", "the workload has no autoscaler", (evidence.id,))
    return None


def hpa_at_max(incident: Incident) -> Answer:
    if none := _no_autoscaler(incident):
        return none
    for evidence, hpa in incident.facts(HpaView):
        limited = [
            c
            for c in hpa.conditions
            if c.type == "ScalingLimited" and c.status == "True" and c.reason == "TooManyReplicas"
        ]
        full = hpa.desired >= hpa.max_replicas
        said = f"{hpa.name} wants {hpa.desired} of at most {hpa.max_replicas} replicas"
        return Answer("yes" if full or limited else "no", said, (evidence.id,))
    reading = incident.read("hpa_room")
    values = incident.values(reading, "during")
    if values:
        room = sorted(values)[len(values) // 2]
        return Answer(
            "yes" if room <= 0 else "no",
            f"{room:g} replicas up to the autoscaler's maximum",
            reading.evidence,
        )
    return Answer("unknown", incident.missing("hpa") or "no source tells of an autoscaler")


def hpa_blind(incident: Incident) -> Answer:
    if none := _no_autoscaler(incident):
        return none
    for evidence, hpa in incident.facts(HpaView):
        for condition in hpa.conditions:
            if condition.type in ("ScalingActive", "AbleToScale") and condition.status == "False":
                return Answer("yes", f"{hpa.name}: {condition.reason}: {condition.message}", (evidence.id,))
        return Answer("no", f"{hpa.name} gets its metrics", (evidence.id,))
    return Answer("unknown", incident.missing("hpa") or "no autoscaler was seen")


def hpa_flapping(incident: Incident) -> Answer:
    """The replicas that are to run went down and up again, several times."""
    reading = incident.read("replicas_wanted")
    values = [v for v in reading.trace.values if v is not None] if reading.trace else []
    if len(values) < 12:
        return Answer("unknown", reading.missing or "too few points of the wanted replicas", reading.evidence)
    swing = max(1.0, 0.4 * sorted(values)[len(values) // 2])
    turns = _swings(values, swing)
    said = f"the wanted replicas went up and down {turns // 2} times by {swing:.2g} or more"
    return Answer("yes" if turns >= 4 else "no", said, reading.evidence)


def _swings(values: list[float], least: float) -> int:
    """Turns between rises and falls of at least so much (a zigzag of that threshold)."""
    turns, low, high, direction = 0, values[0], values[0], 0
    for value in values[1:]:
        low, high = min(low, value), max(high, value)
        if direction >= 0 and high - value >= least:
            turns, direction, low, high = turns + 1, -1, value, value
        elif direction <= 0 and value - low >= least:
            turns, direction, low, high = turns + 1, 1, value, value
    return turns


def hpa_late(incident: Incident) -> Answer:
    """More replicas were wanted than were ready, for a while after it began, and they came."""
    ready, wanted = incident.read("replicas_ready"), incident.read("replicas_wanted")
    if ready.trace is None or incident.onset is None:
        return Answer("unknown", ready.missing or "when it began is not known")
    before, ever = incident.values(ready, "before"), incident.values(ready, "ever")
    asked = incident.values(wanted, "during") or incident.values(wanted, "ever")[-6:]
    there = incident.values(ready, "during") or ever[-6:]
    if not before or not ever or not asked or not there:
        return Answer("unknown", wanted.missing or "too few points of the replicas", ready.evidence)
    lagging = sum(1 for want, have in zip(asked, there, strict=False) if want > 1.1 * have)
    said = f"ready replicas: {before[-1]:g} when it began, {ever[-1]:g} at the end; for {lagging} points fewer than wanted"
    evidence = ready.evidence + wanted.evidence
    return Answer("yes" if lagging >= 3 and max(asked) > before[-1] else "no", said, evidence)


def pods_wait_for_a_node(incident: Incident) -> Answer:
    for evidence, facts in incident.facts(PodPlacements):
        stuck = [pod for pod in facts.pods if pod.unschedulable]
        if stuck:
            return Answer("yes", f"{stuck[0].pod}: {stuck[0].unschedulable}", (evidence.id,))
        return Answer("no", "every pod has a node", (evidence.id,))
    reading = incident.read("pods_pending")
    values = incident.values(reading, "during")
    if values:
        most = sorted(values)[len(values) // 2]
        return Answer("yes" if most >= 1 else "no", f"{most:g} pods pending", reading.evidence)
    return Answer("unknown", incident.missing("placements") or reading.missing)


def out_of_memory(incident: Incident) -> Answer:
    """A Triton was killed for memory within the window."""
    asked = incident.snapshot.asked
    for evidence, facts in incident.facts(PodPlacements):
        for pod in facts.pods:
            recent = pod.ended_at is None or asked.start is None or pod.ended_at >= asked.start
            if pod.ended_by == "OOMKilled" and recent:
                return Answer("yes", f"Triton in {pod.pod} was killed for memory", (evidence.id,))
        return Answer("no", "no Triton was killed for memory", (evidence.id,))
    return Answer("unknown", incident.missing("placements"))


def memory_runs_out(incident: Incident) -> Answer:
    """A Triton was killed for memory, or its memory has grown to its limit."""
    killed = out_of_memory(incident)
    if killed.value == "yes":
        return killed
    for pod in incident.history.groups("memory_used", "pod", incident.who("all")):
        reading = incident.read("memory_share", "all", by="pod", group=pod)
        values = incident.values(reading, "ever")
        if len(values) >= 12:
            start, end = mean(values[: len(values) // 6]), mean(values[-len(values) // 6 :])
            if max(values) > 0.9 and max(values) > 1.2 * start:
                said = f"memory of {pod}: {start:.0%} of its limit at first, {max(values):.0%} at most, {end:.0%} at the end"
                return Answer("yes", said, reading.evidence)
    share = incident.read("memory_share", "all")
    if share.trace is None:
        return Answer(
            "unknown", killed.because if killed.value == "unknown" else share.missing, share.evidence
        )
    return Answer("no", "no container's memory has grown to its limit", share.evidence)


_OBSERVING = (
    "--trace",
    "--log-verbose",
    "--log-info",
    "--metrics-config",
    "--metrics-interval",
    "log_verbose",
    "trace",
)
"""Arguments that make Triton measure or write more (triton-inference-server/server:docs/user_guide/trace.md, metrics.md)."""


def observing_changed(incident: Incident) -> Answer:
    """A revision that came within the hour before changed what is logged, traced or measured."""
    if incident.onset is None:
        return Answer("unknown", "when it began is not known")
    for evidence, rollouts in incident.facts(Rollouts):
        recent = [
            change
            for place, revision in enumerate(rollouts.revisions)
            if -3600 < (rolled_out_at(rollouts.revisions, place) or 0.0) - incident.onset.onset.latest < 60
            for change in revision.changes
            if any(word in change for word in _OBSERVING)
        ]
        if recent:
            return Answer("yes", recent[0], (evidence.id,))
        return Answer("no", "no revision changed what is logged, traced or measured", (evidence.id,))
    return Answer("unknown", incident.missing("rollouts"))
