"""The charts of a report: what moved, the most telling first. Pure."""

from collections.abc import Sequence

from triage.latency.history import Reading
from triage.latency.incident import Incident
from triage.latency.kinds import Part, Predicate, Shift, Skew, Split
from triage.latency.predicates.gpu_devices import group_of
from triage.latency.predicates.gpus import slow_gpus
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
    for quantity in _telling_of_gpus(first):
        if len(drawn) < _MOST and (chart := _chart_of_gpus(incident, quantity)):
            drawn[quantity] = chart
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


_BY_GPU = {"a_clock_fell": "gpu_clock", "gpu_held_down": "gpu_throttled"}
"""What these predicates look at, device by device."""


def _telling_of_gpus(first: Candidate) -> list[str]:
    tests = [check.test for check in (*first.mechanism, *first.requires) if check.answer.value == "yes"]
    return [_BY_GPU[t.name] for t in tests if isinstance(t, Predicate) and t.name in _BY_GPU]


def _chart_of_gpus(incident: Incident, quantity: str) -> Chart | None:
    """A curve for each GPU whose clock fell: the mean of all would hide it."""
    found = [
        (one.device.name, incident.read(quantity, "all", by="gpu", group=group_of(one.device)))
        for one in slow_gpus(incident)[:_MOST_CURVES]
    ]
    return _drawn(incident, quantity, incident.quantities[quantity].says, found)


def _quantities(test: AnyTest | None) -> list[str]:
    return [test.quantity] if isinstance(test, Shift | Part | Split | Skew) else []


def _chart(incident: Incident, title: str, quantities: tuple[str, ...]) -> Chart | None:
    readings = [
        (incident.quantities[name].says.removesuffix(" per request"), incident.read(name))
        for name in quantities
    ]
    first = next((n for n, (_, r) in zip(quantities, readings, strict=True) if _is_there(r)), "")
    return _drawn(incident, first, title, readings)


def _is_there(reading: Reading) -> bool:
    return reading.trace is not None and any(value is not None for value in reading.trace.values)


def _drawn(
    incident: Incident, quantity: str, title: str, readings: Sequence[tuple[str, Reading]]
) -> Chart | None:
    """Each reading under its label; `quantity` gives the unit."""
    there = [(name, r, r.trace) for name, r in readings if r.trace is not None and _is_there(r)]
    if not there:
        return None
    _, first, trace = there[0]
    curves = tuple(
        Curve(label=name, values=tuple(t.values))
        for name, _, t in there
        if (t.start, t.step, len(t.values)) == (trace.start, trace.step, len(trace.values))
    )
    calm = sorted(incident.values(first, "before"))
    end = trace.start + trace.step * len(trace.values)
    return Chart(
        title=title,
        unit=incident.quantities[quantity].unit,
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
