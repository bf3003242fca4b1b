"""Which model the incident is about, where nobody named one. Pure."""

from collections.abc import Mapping, Sequence

from triage.latency.facts import ModelSettings
from triage.latency.history import History, Who
from triage.latency.points import median
from triage.latency.trace import Trace


def models_of(history: History) -> list[str]:
    """Those that answered or had requests waiting."""
    return history.groups("throughput", "model", Who()) or history.groups("waiting", "model", Who())


def model_in_question(history: History, settings: Mapping[str, ModelSettings]) -> str:
    """The one whose requests take more time than before, in all: an ensemble before what it is made of, since that is what its
    callers see; where none does, one that stands still; else the busiest. Empty: no model is known."""
    models = models_of(history)
    if len(models) < 2:
        return models[0] if models else ""
    added = {model: _seconds_added(history, model) for model in models}
    worst = max(models, key=lambda model: (added[model], _rate(history, model), model))
    if added[worst] <= 0:
        return worst
    above = [
        model
        for model in models
        if model != worst
        and added[model] >= added[worst] / 2
        and _is_ensemble(history, settings, model)
        and _may_call(settings, model, worst)
    ]
    return above[0] if above else worst


def _is_ensemble(history: History, settings: Mapping[str, ModelSettings], model: str) -> bool:
    """By its configuration; else by a queue time that is exactly zero, which only an ensemble has."""
    if model in settings:
        return bool(settings[model].parts)
    known = _known(history.read("queue", Who(model, "model")).trace)
    return bool(known) and not any(known)


def _may_call(settings: Mapping[str, ModelSettings], ensemble: str, model: str) -> bool:
    """By its configuration, at any depth; where that is not known, it may."""
    if ensemble not in settings:
        return True
    called = [*settings[ensemble].parts]
    for part in called:  # grows while it is walked
        if part in settings:
            called += (one for one in settings[part].parts if one not in called)
    return model in called


def _seconds_added(history: History, model: str) -> float:
    """Seconds of waiting a second that were added from the first half of the window to its worst tenth."""
    who = Who(model, "model")
    latency, waiting = history.read("latency", who).trace, history.read("waiting", who).trace
    added = _growth(latency) * _rate(history, model) / 1000 if latency else 0.0
    return max(added, _growth(waiting) if waiting else 0.0)


def _rate(history: History, model: str) -> float:
    """Requests a second, in the median."""
    return median(_known(history.read("throughput", Who(model, "model")).trace)) or 0.0


def _growth(trace: Trace) -> float:
    calm = _known(Trace(trace.start, trace.step, trace.values[: len(trace.values) // 2]))
    worst = sorted(_known(trace), reverse=True)
    tenth = worst[: max(3, len(worst) // 10)]
    return max(0.0, (median(tenth) or 0.0) - (median(calm) or 0.0))


def _known(trace: Trace | None) -> Sequence[float]:
    return [value for value in trace.values if value is not None] if trace else []
