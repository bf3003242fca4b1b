"""What else the servers compute: another model that takes the hardware. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from triage.answers import Answer
from triage.latency.history import Reading, Who
from triage.latency.incident import Incident, Movement
from triage.latency.number import amount
from triage.latency.points import median

_FULL = 0.85
"""Of the time or the cores: what is left is lost between executions."""
_LEAST_GAIN = 0.1
"""Of what all models computed before. Work that shares full hardware takes longer by as much as more is wanted of it (processor
sharing: Kleinrock, Queueing Systems, volume 2, 1976, section 4.4), and a tenth is the least that counts as longer."""


@dataclass(frozen=True, slots=True)
class Crowding:
    """Another model of the same servers, and what it gained."""

    model: str
    load: Movement
    """Its requests or inferences a second."""
    gain: float
    """Executions at once that it wants more than before, at the speed of before."""

    @property
    def from_to(self) -> str:
        unit = self.load.quantity.unit
        return f"from {amount(self.load.before, unit)} to {amount(self.load.during, unit)}"


def another_model_grew(incident: Incident) -> Answer:
    """Another model on the same servers wants more of the hardware than before, by more requests or larger ones. Its time of
    computing alone shows nothing: what is slowed takes longer too."""
    if not incident.model or not incident.models:
        return Answer("unknown", incident.read("throughput").missing or "no model is known")
    beside = list(_beside(incident))
    evidence = incident.read("throughput", "all").evidence
    if not beside:
        return Answer("no", f"no other model answers on the servers of {incident.model}", evidence)
    if found := crowding(incident):
        said = f"{found.model} went {found.from_to}"
        return Answer(
            "yes", said, found.load.evidence + incident.movement_of(found.model, "computing").evidence
        )
    unknown = [one for model in beside if not (one := _movement(incident, model, "arrivals")).known]
    if unknown or not incident.movement("infer").known:
        because = (
            next((one.missing for one in unknown if one.missing), "") or incident.movement("infer").missing
        )
        return Answer("unknown", because or "what the other models were asked before is not known", evidence)
    return Answer(
        "no", f"no other model on the servers of {incident.model} wants much more than before", evidence
    )


def crowding(incident: Incident) -> Crowding | None:
    """The other model that gained most, where it gained more than the one in question itself."""
    infer = incident.movement("infer")
    if not (infer.before and infer.during) or infer.during <= infer.before:
        return None
    slowdown = infer.during / infer.before
    models = [*_beside(incident), incident.model]
    wanted = {model: _wanted(incident, model, slowdown) for model in models}
    before = sum(was for was, _ in wanted.values())
    own = wanted[incident.model][1] - wanted[incident.model][0]
    found: list[Crowding] = []
    for model in models[:-1]:
        was, now = wanted[model]
        load = _load(incident, model)
        if load and now - was > max(_LEAST_GAIN * before, own):
            found.append(Crowding(model, load, now - was))
    return max(found, key=lambda one: (one.gain, one.model), default=None)


def _beside(incident: Incident) -> Iterator[str]:
    """Models that compute in the same pods, and neither call the one in question nor are called by it, as far as settings tell."""
    pods = set(incident.pods())
    for model in incident.models:
        settings = incident.settings.get(model)
        there = set(incident.history.groups("throughput", "pod", Who(model, "model")))
        apart = bool(pods and there) and not pods & there
        ensemble = bool(settings and settings.parts)
        if not apart and not ensemble and model not in {incident.model, *_called(incident, incident.model)}:
            yield model


def _called(incident: Incident, model: str) -> set[str]:
    """Its parts, at any depth."""
    found: set[str] = set()
    waiting = [model]
    while waiting:
        settings = incident.settings.get(waiting.pop())
        new = set(settings.parts if settings else ()) - found
        found |= new
        waiting += new
    return found


def _load(incident: Incident, model: str) -> Movement | None:
    """What of it grew: its requests, or the inferences in them."""
    for quantity in ("arrivals", "inferences"):
        load = _movement(incident, model, quantity)
        if load.up(1.3, 0.1) == "yes":
            return load
    return None


def _movement(incident: Incident, model: str, quantity: str) -> Movement:
    """A model that had no series before was not there, and did nothing."""
    moved = incident.movement_of(model, quantity)
    reading = incident.history.read(quantity, Who(model, "model"))
    if moved.during is None or incident.onset is None or incident.values(reading, "before"):
        return moved
    return replace(moved, before=0.0, missing="")


def _wanted(incident: Incident, model: str, slowdown: float) -> tuple[float, float]:
    """Executions at once before, and those that it wants now, without what they are slowed by; 0 where it did nothing. The
    duration counters have each request's time, so a batch counts once for each of its requests."""
    computing, executions, done = (
        _movement(incident, model, name) for name in ("computing", "executions", "throughput")
    )

    def at(when: str) -> float:
        value, runs, requests = (getattr(one, when) or 0.0 for one in (computing, executions, done))
        return value / max(1.0, requests / runs) if runs else value

    return at("before"), at("during") / slowdown


def hardware_full(incident: Incident) -> Answer:
    """What the model runs on has hardly any time left: the GPU of a model that runs on one; else the pods' CPU limit, the CPU of
    their nodes, or their quota in many periods."""
    settings = incident.settings.get(incident.model)
    on_gpu = any("GPU" in kind for kind in settings.instance_kinds) if settings else None
    answers = []
    if on_gpu is not False:
        answers = [found for name in ("gpu_busy", "gpu_sm_busy") if (found := _level(incident, name, _FULL))]
        if on_gpu and not answers:
            return Answer("unknown", "no source tells how busy the GPU is")
    if not answers:
        limits = (("cpu_share", _FULL), ("node_cpu", _FULL), ("host_cpu", _FULL), ("throttled", 0.1))
        answers = [found for name, bound in limits if (found := _level(incident, name, bound))]
        seen = {name for name, _ in limits if incident.values(incident.read(name, "all"), "during")}
        if not seen & {"node_cpu", "host_cpu"} and all(one.value == "no" for one in answers):
            return Answer("unknown", "no source tells how busy the CPU of the nodes is")
    return next((one for one in answers if one.value == "yes"), answers[0])


def _level(incident: Incident, quantity: str, bound: float) -> Answer | None:
    reading: Reading = incident.read(quantity, "all")
    value = median(incident.values(reading, "during"))
    if value is None:
        return None
    said = f"{incident.quantities[quantity].says}: {amount(value, 'share')}"
    return Answer("yes" if value >= bound else "no", said, reading.evidence)
