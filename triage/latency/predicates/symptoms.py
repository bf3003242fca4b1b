"""What callers feel: whether it moved, where, whether it is over, and whether it is usual. Pure."""

from triage.answers import Answer, Value
from triage.latency.history import Reading, View
from triage.latency.incident import Incident, Movement
from triage.latency.kinds import By
from triage.latency.number import amount
from triage.latency.points import last
from triage.latency.predicates.failing import gap_grew
from triage.wording import names

_ENOUGH = 12
"""Points: with fewer a shift would hide."""

EARLIER: tuple[tuple[View, str], ...] = (("1d", "a day ago"), ("7d", "a week ago"))


def moved(incident: Incident) -> Answer:
    """Did anything that a caller feels get worse?"""
    if incident.onset is not None:
        reading = incident.read(incident.symptom)
        return Answer("yes", f"{incident.quantities[incident.symptom].says} rose", reading.evidence)
    readings = {name: incident.read(name) for name in ("latency", "p99", "gateway_tail", "waiting")}
    seen = [each for each in readings.values() if _shows_the_window(incident, each)]
    # A tail alone comes and goes: that nothing rose is said where what Triton itself measured shows it too.
    if readings["latency"] in seen or readings["p99"] in seen:
        return Answer("no", incident.no_onset or "nothing rose", tuple(e for r in seen for e in r.evidence))
    whole = incident.movement("latency")
    if whole.known and whole.before:
        if whole.during and whole.during >= 1.3 * whole.before:
            return Answer("yes", f"{whole.quantity.says}: {whole.from_to}", whole.evidence)
        return Answer(
            "unknown",
            f"without a history only the server's life is there to compare with: {whole.from_to}",
            whole.evidence,
        )
    return Answer("unknown", incident.no_onset or "nothing was measured for long enough")


def _shows_the_window(incident: Incident, reading: Reading) -> bool:
    """Whether it was measured for most of the time that was asked about: a capture of its last seconds shows no shift either."""
    asked, there = incident.snapshot.asked, reading.trace.present() if reading.trace else []
    if asked.start is None or asked.end is None:
        return len(there) >= _ENOUGH
    return len(there) >= _ENOUGH and there[-1][0] - there[0][0] >= (asked.end - asked.start) / 2


def nothing_rose(incident: Incident) -> Answer:
    found = moved(incident)
    flipped: Value = {"yes": "no", "no": "yes", "unknown": "unknown"}[found.value]  # type: ignore[assignment]
    return Answer(flipped, found.because, found.evidence)


def inside(incident: Incident) -> Answer:
    """Is the time that was added spent in Triton?"""
    latency, tail, gateway = (incident.movement(name) for name in ("latency", "p99", "gateway_tail"))
    callers_wait = latency.up(1.3, 0.0) != "yes" and gateway.up(1.3, 0.0) == "yes"
    if callers_wait and tail.known and tail.difference < 0.1 * gateway.difference:
        # Requests that were held before Triton come to it together, and then wait a little for each other in it as well.
        said = f"{gateway.quantity.says}: {gateway.from_to}; {tail.quantity.says}: {tail.from_to}"
        return Answer("no", said, gateway.evidence + tail.evidence)
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
    """Requests wait and none completes, in all pods or in some, for longer than three times what a slow request usually takes."""
    waiting, done = incident.read("waiting"), incident.read("throughput")
    if waiting.trace is None or done.trace is None:
        return Answer("unknown", waiting.missing or done.missing)
    evidence = waiting.evidence + done.evidence
    if len(last(waiting, 4)) < 3 or len(last(done, 3)) < 3:
        return Answer("unknown", "the last points of the window are not there", evidence)
    pods = incident.history.groups("waiting", "pod", incident.who()) or [""]
    stood = {pod: seconds for pod in pods if (seconds := _stood_still(incident, pod)) > 0}
    if stood:
        where = f" in {names(sorted(stood))}" if "" not in stood else ""
        return Answer(
            "yes", f"requests waited and none completed for {max(stood.values()):.0f} s{where}", evidence
        )
    return Answer("no", "requests complete in every pod that has some", evidence)


def _stood_still(incident: Incident, pod: str) -> float:
    """The longest time, in seconds, in which a pod that had answered before had requests waiting and completed none; 0 where that
    is no longer than requests may take."""
    by: By | None = "pod" if pod else None
    waiting = incident.read("waiting", by=by, group=pod).trace
    done = incident.read("throughput", by=by, group=pod).trace
    if waiting is None or done is None:
        return 0.0
    usual = incident.movement("p99").before or incident.movement("latency").before or 0.0
    longest = run = 0
    answered = False
    for waits, completes in zip(waiting.values, done.values, strict=False):
        still = answered and waits is not None and waits > 0.5 and completes is not None and completes <= 0
        run = run + 1 if still else 0
        longest = max(longest, run)
        answered = answered or (completes or 0.0) > 0
    seconds = longest * waiting.step
    return seconds if longest >= 4 and seconds > 3 * usual / 1000 else 0.0


def usual_for_this_hour(incident: Incident) -> Answer:
    """The same hours of yesterday or a week ago look the same, by whatever of the symptoms has a history."""
    seen: Movement | None = None
    for symptom in dict.fromkeys((incident.symptom, "latency", "gateway_tail", "p99")):
        now = incident.movement(symptom) if symptom else None
        if now is None or now.during is None or now.before is None or now.up(1.3, 0.0) != "yes":
            continue
        for ago, when in EARLIER:
            past = incident.history.read(symptom, incident.who(), ago)
            then = sorted(incident.then(past.trace, ago)) if past.trace else []
            if len(then) < 3:
                continue
            seen = now
            level, unit = then[len(then) // 2], now.quantity.unit
            alike = level >= now.during / 1.2 or (_same_traffic(incident, ago) and level >= 0.3 * now.during)
            if alike and level > 1.3 * now.before:
                said = f"{now.quantity.says}: {amount(level, unit)} at this time {when}, {amount(now.during, unit)} now"
                return Answer("yes", said, now.evidence + past.evidence)
    if seen is not None:
        return Answer("no", "at this time of earlier days it was lower", seen.evidence)
    return Answer("unknown", "there is no history of this hour on earlier days")


def _same_traffic(incident: Incident, ago: View) -> bool:
    """As many requests came then as come now: how long a queue grows under them is chance."""
    now = incident.movement("arrivals")
    past = incident.history.read("throughput", incident.who(), ago)
    then = sorted(incident.then(past.trace, ago)) if past.trace else []
    if not then or not now.during:
        return False
    return 0.85 <= then[len(then) // 2] / now.during <= 1.18
