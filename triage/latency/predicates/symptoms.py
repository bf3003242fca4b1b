"""What callers feel: whether it moved, where, whether it is over, and whether it is usual. Pure."""

from collections.abc import Sequence

from triage.answers import Answer, Value
from triage.latency.history import View
from triage.latency.incident import Incident, Movement
from triage.latency.kinds import By
from triage.latency.number import amount
from triage.latency.onset import Found
from triage.latency.points import last, median
from triage.latency.predicates.failing import gap_grew
from triage.latency.shift import rose, shift
from triage.latency.spells import above_more_often
from triage.latency.transition import Moment
from triage.wording import names

_COVERS = 0.8
"""Of the window, for finding nothing to mean that there was nothing."""
_ENOUGH = 12
"""Points: with fewer a shift would hide."""
_LATELY = 4
"""Points, for what is still up."""
EARLIER: tuple[tuple[View, str], ...] = (("1d", "a day ago"), ("7d", "a week ago"))


def moved(incident: Incident) -> Answer:
    """Did anything that a caller feels get worse?"""
    if incident.onset is not None:
        reading = incident.read(incident.symptom)
        return Answer("yes", f"{incident.quantities[incident.symptom].says} rose", reading.evidence)
    untold = _not_covered(incident)
    if not untold:
        readings = [incident.read(name) for name in ("latency", "p99", "gateway_tail", "waiting")]
        seen = tuple(e for reading in readings if reading.trace for e in reading.evidence)
        return Answer("no", incident.no_onset or "nothing rose", seen)
    whole = incident.movement("latency")
    if whole.known and whole.before:
        if whole.during and whole.during >= 1.3 * whole.before:
            return Answer("yes", f"{whole.quantity.says}: {whole.from_to}", whole.evidence)
        return Answer(
            "unknown",
            f"without a history only the server's life is there to compare with: {whole.from_to}",
            whole.evidence,
        )
    return Answer("unknown", untold)


def _not_covered(incident: Incident) -> str:
    """Why Triton's time per request is not known of most of the window that was asked about, in words; empty where it is. A capture
    of its last seconds shows no shift either."""
    reading, asked = incident.read("latency"), incident.snapshot.asked
    there = reading.trace.present() if reading.trace else []
    says = incident.quantities["latency"].says
    if len(there) < _ENOUGH:
        return reading.missing or f"too few points of the {says}"
    if asked.start is not None and asked.end is not None:
        covered = (there[-1][0] - there[0][0]) / max(asked.end - asked.start, 1.0)
        if covered < _COVERS:
            return f"{says}: known of {covered:.0%} of the window only"
    return ""


def tail_stayed(incident: Incident) -> Answer:
    """What callers wait at the gateway in the last quarter of the window is no more than in its first half, which the points
    exclude, and is high no more often: a tail that is too scattered to tell shows nothing."""
    reading = incident.read("gateway_tail")
    trace = reading.trace
    if trace is None:
        return Answer("unknown", reading.missing)
    first, final = trace.values[: len(trace.values) // 2], trace.values[-(len(trace.values) // 4) :]
    moved = rose(shift(first, final, smear=reading.smear, step=trace.step), 1.3, 0.0)
    early, late = _present(first), _present(final)
    usual, span = median(early) or 0.0, reading.smear / trace.step
    if usual and any(above_more_often(early, late, ratio * usual, span) for ratio in (1.3, 2.0)):
        moved = "yes"
    stayed: Value = {"yes": "no", "no": "yes", "unknown": "unknown"}[moved]  # type: ignore[assignment]
    told = {"yes": "rose", "no": "did not rise", "unknown": "is too scattered to tell"}[moved]
    says = incident.quantities["gateway_tail"].says
    return Answer(stayed, f"{says} {told} from the window's first half to its last quarter", reading.evidence)


def _present(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


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
    if untold := incident.onset.ended and _not_covered(incident):
        return Answer("unknown", untold, evidence)
    if incident.onset.ended and incident.intermittent:
        return Answer("unknown", "it comes and goes, and may come again", evidence)
    if incident.onset.ended is None:
        return Answer("no", "it has not fallen back", evidence)
    says = incident.quantities[incident.symptom].says
    if _comes_again(incident, incident.onset, incident.onset.ended):
        return Answer("unknown", f"{says} fell back, and rises again and again", evidence)
    if others := _still_up(incident, incident.onset):
        told = names([incident.quantities[name].says for name in others])
        return Answer("no", f"{says} fell back, and {told} did not", evidence)
    return Answer("yes", f"{says} fell back", evidence)


def _still_up(incident: Incident, found: Found) -> list[str]:
    """What callers feel that is beyond nearly all of before in each of its last points."""
    up = []
    for name in ("latency", "gateway_tail", "gateway_errors"):
        reading = incident.read(name)
        points = reading.trace.present() if reading.trace else []
        before = sorted(value for time, value in points if time <= found.onset.earliest)
        lately = last(reading, _LATELY)
        if before and len(lately) == _LATELY and min(lately) > 1.3 * before[-1 - len(before) // 10]:
            up.append(name)
    return up


def _comes_again(incident: Incident, found: Found, ended: Moment) -> bool:
    """Whether what fell back is high more often since than before it began."""
    reading = incident.read(incident.symptom)
    points = reading.trace.present() if reading.trace else []
    before = [value for time, value in points if time <= found.onset.earliest]
    since = [value for time, value in points if time >= ended.latest + reading.smear]
    span = reading.smear / reading.trace.step if reading.trace else 1.0
    return above_more_often(before, since, (found.before + found.during) / 2, span)


def stalled(incident: Incident) -> Answer:
    """Requests wait and none completes, in all pods or in some, for longer than three times what a slow request usually takes."""
    waiting, done = incident.read("waiting"), incident.read("throughput")
    if waiting.trace is None or done.trace is None:
        return Answer("unknown", waiting.missing or done.missing)
    evidence = waiting.evidence + done.evidence
    if len(last(waiting, 4)) < 3 or len(last(done, 3)) < 3:
        return Answer("unknown", "the last points of the window are not there", evidence)
    pods = incident.history.groups("waiting", "pod", incident.who()) or [""]
    times = {pod: _stood_still(incident, pod) for pod in pods}
    stood = {pod: seconds for pod, seconds in times.items() if seconds}
    if stood:
        where = f" in {names(sorted(stood))}" if "" not in stood else ""
        return Answer(
            "yes", f"requests waited and none completed for {max(stood.values()):.0f} s{where}", evidence
        )
    if None in times.values():
        return Answer("unknown", "how long a request usually takes is not known", evidence)
    return Answer("no", "requests complete in every pod that has some", evidence)


def _stood_still(incident: Incident, pod: str) -> float | None:
    """The longest time, in seconds, in which a pod that had answered before had requests waiting and its backend answered none, be
    it with an error; 0 where that is no longer than requests may take, None where it is not known how long that is. What times
    out in the queue was not answered."""
    by: By | None = "pod" if pod else None
    waiting = incident.read("waiting", by=by, group=pod).trace
    done = incident.read("throughput", by=by, group=pod).trace
    reasons = {
        s.labels.get("reason") for one in incident.history.of_measure("failure") for s in one.facts.series
    }
    told = reasons - {None, ""}  # since Triton 24.07
    failed = incident.read("backend_failures" if told else "failures", by=by, group=pod).trace
    if waiting is None or done is None:
        return 0.0
    errors = failed.values if failed and len(failed.values) == len(done.values) else [0.0] * len(done.values)
    longest = run = 0
    answered = False
    for waits, completes, fails in zip(waiting.values, done.values, errors, strict=False):
        none = completes is not None and completes + (fails or 0.0) <= 0
        run = run + 1 if answered and waits is not None and waits > 0.5 and none else 0
        longest = max(longest, run)
        answered = answered or (completes or 0.0) > 0
    if longest < 4:
        return 0.0
    usual = _usual_ms(incident)
    if usual is None:
        return None
    seconds = longest * waiting.step
    return seconds if seconds > 3 * usual / 1000 else 0.0


def _usual_ms(incident: Incident) -> float | None:
    """How long a slow request takes when all is well, or a mean one where that is not known."""
    for name in ("p99", "latency"):
        before = incident.values(incident.read(name), "before")
        usual = median(before) if before else incident.movement(name).before
        if usual is not None:
            return usual
    return None


def usual_for_this_hour(incident: Incident) -> Answer:
    """The same hours of yesterday or a week ago look the same: in all that rose and has a history, what shows the incident or the
    mean time per request among it. A tail alone is high by chance now and then."""
    risen = {
        name: now
        for name in dict.fromkeys((incident.symptom, "latency", "gateway_tail", "p99"))
        if name and (now := incident.movement(name)).up(1.3, 0.0) == "yes"
    }
    compared = False
    for ago, when in EARLIER:
        then = {name: level for name in risen if (level := _level_then(incident, name, ago)) is not None}
        if not then.keys() & {incident.symptom, "latency"}:
            continue
        compared = True
        if all(_alike(incident, risen[name], level, ago) for name, level in then.items()):
            name = incident.symptom if incident.symptom in then else "latency"
            now, unit = risen[name], risen[name].quantity.unit
            said = f"{now.quantity.says}: {amount(then[name], unit)} at this time {when}, {amount(now.during, unit)} now"
            past = incident.history.read(name, incident.who(), ago)
            return Answer("yes", said, now.evidence + past.evidence)
    if compared:
        evidence = tuple(each for now in risen.values() for each in now.evidence)
        return Answer("no", "at this time of earlier days it was lower", evidence)
    return Answer("unknown", "there is no history of this hour on earlier days")


def _level_then(incident: Incident, quantity: str, ago: View) -> float | None:
    """The median at the incident's hour of that earlier day; None: too little is known of it."""
    past = incident.history.read(quantity, incident.who(), ago)
    then = incident.then(past.trace, ago) if past.trace else []
    return median(then) if len(then) >= 3 else None


def _alike(incident: Incident, now: Movement, level: float, ago: View) -> bool:
    if now.during is None or now.before is None or level <= 1.3 * now.before:
        return False
    return level >= now.during / 1.2 or (_same_traffic(incident, ago) and level >= 0.3 * now.during)


def _same_traffic(incident: Incident, ago: View) -> bool:
    """As many requests came then as come now: how long a queue grows under them is chance."""
    now = incident.movement("arrivals")
    past = incident.history.read("throughput", incident.who(), ago)
    then = sorted(incident.then(past.trace, ago)) if past.trace else []
    if not then or not now.during:
        return False
    return 0.85 <= then[len(then) // 2] / now.during <= 1.18
