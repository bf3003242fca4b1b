"""What callers feel: whether it moved, where, whether it is over, and whether it is usual. Pure."""

from triage.answers import Answer, Value
from triage.latency.incident import Incident, Movement
from triage.latency.kinds import By
from triage.latency.number import amount
from triage.latency.points import last
from triage.latency.predicates.failing import gap_grew
from triage.wording import names


def moved(incident: Incident) -> Answer:
    """Did anything that a caller feels get worse?"""
    if incident.onset is not None:
        reading = incident.read(incident.symptom)
        return Answer("yes", f"{incident.quantities[incident.symptom].says} rose", reading.evidence)
    whole = incident.movement("latency")
    if whole.known and whole.before:
        if whole.during and whole.during >= 1.3 * whole.before:
            return Answer("yes", f"{whole.quantity.says}: {whole.from_to}", whole.evidence)
        return Answer(
            "unknown",
            f"without a history only the server's life is there to compare with: {whole.from_to}",
            whole.evidence,
        )
    readings = [incident.read(name) for name in ("latency", "p99", "gateway_tail", "waiting")]
    seen = [
        reading
        for reading in readings
        if reading.trace is not None and len(incident.values(reading, "ever")) >= 12
    ]
    if seen:
        return Answer("no", incident.no_onset or "nothing rose", tuple(e for r in seen for e in r.evidence))
    return Answer("unknown", incident.no_onset or "nothing was measured for long enough")


def nothing_rose(incident: Incident) -> Answer:
    found = moved(incident)
    flipped: Value = {"yes": "no", "no": "yes", "unknown": "unknown"}[found.value]  # type: ignore[assignment]
    return Answer(flipped, found.because, found.evidence)


def inside(incident: Incident) -> Answer:
    """Is the time that was added spent in Triton?"""
    latency, tail, gateway = (incident.movement(name) for name in ("latency", "p99", "gateway_tail"))
    for one in (latency, tail):
        if one.up(1.3, 0.0) == "yes":
            return Answer("yes", f"{one.quantity.says}: {one.from_to}", one.evidence)
    if not latency.known:
        return Answer("unknown", latency.missing, latency.evidence)
    said = f"{latency.quantity.says}: {latency.from_to}"
    if latency.clear and gateway.known and latency.difference > 0.1 * gateway.difference > 0:
        return Answer("yes", said, latency.evidence + gateway.evidence)
    if tail.known:
        return Answer("no", f"{said}; {tail.quantity.says}: {tail.from_to}", latency.evidence + tail.evidence)
    grew = gap_grew(incident)
    if gateway.known and grew.value != "yes":
        return Answer("unknown", f"{said}; {grew.because}", latency.evidence)
    return Answer("no", said, latency.evidence)


def ended(incident: Incident) -> Answer:
    if incident.onset is None:
        return Answer("unknown", incident.no_onset or "when it began is not known")
    evidence = incident.read(incident.symptom).evidence
    if incident.onset.ended is not None:
        return Answer("yes", f"{incident.quantities[incident.symptom].says} fell back", evidence)
    return Answer("no", "it has not fallen back", evidence)


def stalled(incident: Incident) -> Answer:
    """Requests wait and none completes, in all pods or in some: by the last points of the window."""
    waiting, done = incident.read("waiting"), incident.read("throughput")
    if waiting.trace is None or done.trace is None:
        return Answer("unknown", waiting.missing or done.missing)
    evidence = waiting.evidence + done.evidence
    pods = incident.history.groups("waiting", "pod", incident.who()) or [""]
    stuck = [pod for pod in pods if _is_stuck(incident, pod)]
    if stuck:
        there = incident.read("waiting", by="pod", group=stuck[0]) if stuck[0] else waiting
        where = f" in {names(stuck)}" if stuck[0] else ""
        return Answer("yes", f"{last(there, 4)[-1]:.3g} requests wait and none completes{where}", evidence)
    if len(last(waiting, 4)) < 3 or len(last(done, 3)) < 3:
        return Answer("unknown", "the last points of the window are not there", evidence)
    return Answer("no", "requests complete in every pod that has some", evidence)


def _is_stuck(incident: Incident, pod: str) -> bool:
    by: By | None = "pod" if pod else None
    waiting, done = incident.read("waiting", by=by, group=pod), incident.read("throughput", by=by, group=pod)
    waits, completes = last(waiting, 4), last(done, 3)
    if len(waits) < 3 or len(completes) < 3 or min(waits) <= 0.5 or max(completes) > 0:
        return False
    return any(value > 0 for value in incident.values(done, "ever"))


def usual_for_this_hour(incident: Incident) -> Answer:
    """The same hours of yesterday or a week ago look the same, by whatever of the symptoms has a history."""
    seen: Movement | None = None
    for symptom in dict.fromkeys((incident.symptom, "latency", "gateway_tail", "p99")):
        now = incident.movement(symptom) if symptom else None
        if now is None or now.during is None or now.before is None or now.up(1.3, 0.0) != "yes":
            continue
        for ago, when in (("1d", "a day ago"), ("7d", "a week ago")):
            past = incident.history.read(symptom, incident.who(), ago)
            then = sorted(incident.then(past.trace, ago)) if past.trace else []
            if len(then) < 3:
                continue
            seen = now
            level, unit = then[len(then) // 2], now.quantity.unit
            if level >= now.during / 1.2 and level > 1.3 * now.before:
                said = f"{now.quantity.says}: {amount(level, unit)} at this time {when}, {amount(now.during, unit)} now"
                return Answer("yes", said, now.evidence + past.evidence)
    if seen is not None:
        return Answer("no", "at this time of earlier days it was lower", seen.evidence)
    return Answer("unknown", "there is no history of this hour on earlier days")
