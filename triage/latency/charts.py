"""The charts of a report: what moved, the most telling first. Pure."""

from triage.latency.incident import Incident
from triage.latency.kinds import Part, Shift, Skew, Split
from triage.latency.walk import Candidate
from triage.report import Chart, Curve, Mark, Onset
from triage.tree import AnyTest
from triage.wording import short

_MOST = 5
_MOST_CURVES = 6
_MOST_MARKS = 6


def charts(incident: Incident, first: Candidate) -> tuple[Chart, ...]:
    """The symptom, what its time is made of, and what the verdict rests on."""
    drawn: dict[str, Chart] = {}

    def draw(name: str, title: str, quantities: tuple[str, ...]) -> None:
        if name not in drawn and (chart := _chart(incident, title, quantities)):
            drawn[name] = chart

    if incident.symptom:
        draw(incident.symptom, incident.quantities[incident.symptom].says, (incident.symptom,))
    draw("parts", "a request's time in Triton", ("latency", "queue", "infer", "residual"))
    for quantity in _telling(first):
        if len(drawn) < _MOST and quantity not in ("queue", "infer", "latency", "residual"):
            draw(quantity, incident.quantities[quantity].says, (quantity,))
    if len(drawn) < _MOST:
        draw("throughput", "requests", ("throughput", "failures"))
    if len(drawn) < _MOST:
        draw("waiting", incident.quantities["waiting"].says, ("waiting",))
    return tuple(drawn.values())[:_MOST]


def _telling(first: Candidate) -> list[str]:
    """The quantities that the verdict's checks look at."""
    found: list[str] = []
    for check in (*first.mechanism, *first.requires):
        if check.answer.value == "yes":
            found += _quantities(check.test)
    return list(dict.fromkeys(found))


def _quantities(test: AnyTest | None) -> list[str]:
    return [test.quantity] if isinstance(test, Shift | Part | Split | Skew) else []


def _chart(incident: Incident, title: str, quantities: tuple[str, ...]) -> Chart | None:
    readings = [(name, incident.read(name)) for name in quantities]
    there = [
        (name, r, r.trace)
        for name, r in readings
        if r.trace is not None and any(v is not None for v in r.trace.values)
    ]
    if not there:
        return None
    _, first, trace = there[0]
    curves = tuple(
        Curve(label=incident.quantities[name].says.removesuffix(" per request"), values=tuple(t.values))
        for name, _, t in there
        if (t.start, t.step, len(t.values)) == (trace.start, trace.step, len(trace.values))
    )
    calm = sorted(incident.values(first, "before"))
    end = trace.start + trace.step * len(trace.values)
    return Chart(
        title=title,
        unit=incident.quantities[there[0][0]].unit,
        start=trace.start,
        step=trace.step,
        curves=curves[:_MOST_CURVES],
        usual=(calm[len(calm) // 20], calm[-1 - len(calm) // 20]) if len(calm) >= 8 else None,
        onset=_onset(incident),
        marks=tuple(
            Mark(at=c.at, kind="change", what=short(c.what, 200))
            for c in incident.changes
            if trace.start <= c.at <= end
        )[-_MOST_MARKS:],
        evidence=tuple(dict.fromkeys(e for _, r, _ in there for e in r.evidence))[:_MOST_CURVES],
    )


def _onset(incident: Incident) -> Onset | None:
    found = incident.onset
    if found is None:
        return None
    return Onset(
        at=found.onset.at,
        earliest=found.onset.earliest,
        latest=found.onset.latest,
        of=incident.quantities[incident.symptom].says,
    )
