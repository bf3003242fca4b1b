"""What a look ends with: sentences and the HPA for a person, or all of the evidence as JSON. Pure."""

import textwrap
from typing import Any

from autoscaler.answer import NoData, Value
from autoscaler.trial.manifest import manifest, say_other
from autoscaler.trial.points import Part
from autoscaler.trial.reasons import number, printable, what_it_says, what_was_seen
from autoscaler.trial.seen import Seen, is_absent

SCHEMA = "triton-ops/try/v1"
_WIDTH = 100


def as_text(seen: Seen) -> str:
    """What was seen, each signal, what that says of capacity, and the manifest where there is a target."""
    parts = [
        "\n".join(["SEEN", *_listed(what_was_seen(seen))]),
        "\n".join(["SIGNALS, at the end", *(f"  {line}" for line in signal_lines(seen))]),
        "\n".join(["CAPACITY", *_listed(what_it_says(seen))]),
    ]
    parts += [say_other(other, seen.fleet.workload.name) for other in seen.other_scalers]
    if seen.decision is not None:
        parts.append("The HPA, ready to apply once triton-autoscaler is installed (-o yaml prints it alone):")
        parts.append(manifest(seen).rstrip())
    return "\n\n".join(parts)


def signal_lines(seen: Seen) -> list[str]:
    """One line a signal: the number that an HPA would get, or why none; those that these Tritons do not show stand together."""
    absent = [name for name, shown in seen.signals.items() if is_absent(shown)]
    width = max((len(name) for name in seen.signals if name not in absent), default=0)
    lines = []
    for name, shown in seen.signals.items():
        if name in absent:
            continue
        match shown.answer:
            case NoData(message=message):
                said = f"no data: {message}"
            case Value(value=value, idle=idle):
                over = f", over {shown.window:g} s" if shown.answer.window_seconds else ""
                said = f"{number(value)} {seen.units[name]}{over}{', idle' if idle else ''}"
        lines.append(printable(f"{name:<{width}}  {said}"))
    if absent:
        lines.append("not shown by these Tritons (`triton-autoscaler signals` says what each needs):")
        lines += textwrap.wrap(", ".join(absent), _WIDTH, initial_indent="  ", subsequent_indent="  ")
    return lines


def as_document(seen: Seen) -> dict[str, Any]:
    """The evidence, with a versioned schema."""
    fleet, decision, loads = seen.fleet, seen.decision, seen.loads()
    least, most = seen.replicas
    return {
        "schema": SCHEMA,
        "namespace": fleet.namespace,
        "workload": {"kind": fleet.workload.kind, "name": fleet.workload.name},
        "triton": seen.triton or None,
        "seconds": round(seen.seconds, 1),
        "endedEarly": seen.ended_early,
        "pods": {
            "running": fleet.pods,
            "asked": fleet.asked,
            "answered": fleet.answered,
            "failures": dict(fleet.failures),
        },
        "models": {
            model: {
                "instances": limits.instances,
                "batch": limits.batch,
                "delaySeconds": limits.delay_seconds,
                "decoupled": limits.decoupled,
            }
            for model, limits in sorted(seen.limits.items())
        },
        "signals": {name: _answer(shown.answer, shown.window) for name, shown in seen.signals.items()},
        "concurrencyPerPod": None
        if loads is None
        else dict(zip(("least", "median", "most"), loads, strict=True)),
        "queueShare": seen.together.queue_share,
        "requests": seen.together.requests,
        "failures": seen.together.failures,
        "mostConcurrencyOfTheFleet": seen.most_total,
        "points": [
            {"pod": point.pod, **_part(point.total)}
            for point in sorted(seen.points, key=lambda point: (point.pod, point.at))
        ],
        "decision": None
        if decision is None
        else {
            "averageValue": decision.target,
            "basis": str(decision.basis),
            "calmConcurrency": decision.calm,
            "computingAtTheLimit": decision.computing,
            "configuredLimit": None if decision.limit is None else decision.limit.requests,
            "configuredLimitBy": None if decision.limit is None else decision.limit.model,
            "requests": decision.requests,
            "minReplicas": least,
            "maxReplicas": most,
            "wantedAtMostLoad": seen.wanted(),
        },
        "reasons": [*what_was_seen(seen), *what_it_says(seen)],
        "otherScalers": list(seen.other_scalers),
        "manifest": None if decision is None else manifest(seen),
    }


def _listed(lines: list[str]) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )
    ]


def _part(part: Part) -> dict[str, Any]:
    return {
        "concurrency": part.concurrency,
        "waiting": part.waiting,
        "computing": part.computing,
        "queueShare": part.queue_share,
        "requests": part.requests,
        "failures": part.failures,
    }


def _answer(answer: Value | NoData, window: float) -> dict[str, Any]:
    match answer:
        case NoData(reason=reason, message=message):
            return {"state": "no_data", "reason": str(reason), "message": message}
        case Value(value=value, idle=idle, labels=labels):
            state = "idle" if idle else "value"
            return {"state": state, "value": value, "windowSeconds": window, "labels": dict(labels)}
