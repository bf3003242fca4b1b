"""What a test of the latency tree answers on an incident: yes, no or unknown, because of what, by which evidence. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triage.answers import Answer, Value
from triage.cluster_views import Rollouts
from triage.latency.changes import rolled_out_at
from triage.latency.incident import Incident, Movement
from triage.latency.kinds import (
    Answered,
    Change,
    ChangeKind,
    LatencyTests,
    Level,
    Of,
    Part,
    Predicate,
    Setting,
    Shift,
    Skew,
    Split,
)
from triage.latency.number import amount
from triage.latency.predicates import PREDICATES
from triage.wording import count, names


def answer(test: LatencyTests, incident: Incident) -> Answer:
    return _KINDS[type(test)](test, incident)


def _answered(test: Answered, incident: Incident) -> Answer:
    asked = [one for one in incident.snapshot.evidence if one.probe in test.probes]
    there = tuple(one.id for one in asked if one.facts is not None)
    if there:
        return Answer("yes", f"{count(len(there), 'answer')}", there[:3])
    return Answer(
        "no", incident.missing(*test.probes) or "no source answered", tuple(one.id for one in asked[:3])
    )


def _shift(test: Shift, incident: Incident) -> Answer:
    moved = incident.movement(test.quantity, test.of)
    value = {"up": moved.up, "down": moved.down, "flat": moved.flat}[test.to](test.ratio, test.least)
    return _told(value, moved, test.of)


def _told(value: Value, moved: Movement, of: Of) -> Answer:
    whose = "" if of != "others" else " of the other models"
    said = f"{moved.quantity.says}{whose}: {moved.from_to}"
    if value == "unknown" and moved.known:
        return Answer("unknown", f"{said}, too scattered to say", moved.evidence)
    if value == "unknown":
        because = moved.missing or f"the {moved.quantity.says}{whose} is not known on both sides"
        return Answer("unknown", because, moved.evidence)
    return Answer(value, said, moved.evidence)


def _level(test: Level, incident: Incident) -> Answer:
    reading = incident.read(test.quantity, test.of)
    row = incident.quantities[test.quantity]
    values = incident.values(reading, test.when)
    if not values:
        because = (
            reading.missing
            or f"the {row.says} was not measured {test.when if test.when != 'ever' else ''}".strip()
        )
        return Answer("unknown", because, reading.evidence)
    ordered = sorted(values)
    found = {"median": ordered[len(ordered) // 2], "max": ordered[-1], "min": ordered[0]}[test.stat]
    side, bound = ("over", test.over) if test.over is not None else ("under", test.under)
    holds = bound is not None and (found > bound if side == "over" else found < bound)
    said = f"{row.says}: {test.stat} {amount(found, row.unit)}, {'' if holds else 'not '}{side} {amount(bound, row.unit)}"
    return Answer("yes" if holds else "no", said, reading.evidence)


def _part(test: Part, incident: Incident) -> Answer:
    share, moved = incident.part(test.quantity)
    if share is None:
        whole = incident.movement("latency")
        if whole.known and whole.difference <= 0:
            return Answer("no", f"time in Triton per request did not rise: {whole.from_to}", whole.evidence)
        return Answer(
            "unknown", moved.missing or whole.missing or "nothing is known of the increase", moved.evidence
        )
    said = f"{moved.quantity.says} is {share:.0%} of the increase: {moved.from_to}"
    return Answer("yes" if share > test.over else "no", said, moved.evidence)


def _split(test: Split, incident: Incident) -> Answer:
    row = incident.quantities[test.quantity]
    groups = incident.history.groups(test.quantity, test.by, incident.who())
    if len(groups) < 2:
        only = f"only one {test.by}" if groups else f"no source tells one {test.by} from another"
        return Answer("unknown", f"{row.says}: {only}")
    moved, still, evidence = _movers(test, incident, groups)
    if moved and still:
        said = f"{row.says} moved in {names(moved)}, and not in {names(still)}"
        return Answer("yes" if test.moved == "some" else "no", said, evidence)
    if moved and len(moved) == len(groups):
        return Answer(
            "yes" if test.moved == "all" else "no", f"{row.says} moved in every {test.by}", evidence
        )
    if len(still) == len(groups):
        return Answer("no", f"{row.says} moved in no {test.by}", evidence)
    return Answer("unknown", f"{row.says}: too few points by {test.by}", evidence)


def _movers(
    test: Split, incident: Incident, groups: list[str]
) -> tuple[list[str], list[str], tuple[str, ...]]:
    moved, still = [], []
    evidence: tuple[str, ...] = ()
    for group in groups:
        reading = incident.read(test.quantity, by=test.by, group=group)
        movement = incident.movement(test.quantity, by=test.by, group=group)
        evidence = evidence or movement.evidence
        against = movement
        if movement.before is None and incident.covered(reading, "during"):
            # It was not there before: what it does is compared with what the others did.
            rest = incident.movement(test.quantity)
            against = Movement(movement.quantity, rest.before, movement.during, movement.evidence)
        value = (against.up if test.to == "up" else against.down)(test.ratio, test.least)
        if value == "yes":
            moved.append(group)
        elif value == "no":
            still.append(group)
    return moved, still, evidence


def _skew(test: Skew, incident: Incident) -> Answer:
    """Step by step, among those that have answered for a while: what has just come, or is on its way out, is no skew."""
    row = incident.quantities[test.quantity]
    groups = incident.history.groups(test.quantity, test.by, incident.who())
    if len(groups) < 2:
        return Answer("unknown", f"{row.says}: no two of kind {test.by} to compare")
    traces = {group: incident.read(test.quantity, by=test.by, group=group).trace for group in groups}
    evidence = incident.read(test.quantity).evidence
    low, high = incident.during
    ratios: list[tuple[float, float, float, str]] = []
    for place, time in enumerate(next((t.times for t in traces.values() if t), [])):
        if not low <= time <= high:
            continue
        now = [
            (value, group)
            for group, trace in traces.items()
            if trace and (value := _settled(trace.values, place)) is not None
        ]
        if len(now) >= 2:
            ordered = sorted(now)
            middle, (most, largest) = ordered[(len(ordered) - 1) // 2][0], ordered[-1]
            ratios.append((most / max(middle, 1e-9), most, middle, largest))
    if not ratios:
        return Answer("unknown", f"{row.says}: too few points by {test.by}", evidence)
    ratio, most, middle, largest = sorted(ratios)[len(ratios) // 2]
    said = f"{row.says}: {amount(most, row.unit)} in {largest}, {amount(middle, row.unit)} in the median {test.by}"
    return Answer("yes" if ratio > test.over and most > 0 else "no", said, evidence)


_SETTLED = 4


def _settled(values: Sequence[float | None], place: int) -> float | None:
    """The value there, of a group that was there at the steps before and is at the next."""
    around = values[max(0, place - _SETTLED) : place + 2]
    if place < _SETTLED or place >= len(values) or any(value is None for value in around):
        return None
    # What never had a request may not be ready for one.
    return values[place] if any(value for value in values[: place + 1]) else None


def _change(test: Change, incident: Incident) -> Answer:
    kinds = " or ".join(test.what).replace("_", " ")
    if incident.onset is None:
        return Answer("unknown", f"when it began is not known, so no {kinds} can be said to come before it")
    latest, earliest = incident.onset.onset.latest, incident.onset.onset.earliest - test.within
    fitting = [
        c for c in incident.changes if c.kind in test.what and c.earliest <= latest and c.latest >= earliest
    ]
    fitting = [
        c for c in fitting if not c.model or c.model == incident.model or not incident.model
    ] or fitting
    if fitting:
        last = max(fitting, key=lambda change: change.at)
        return Answer("yes", last.what, last.evidence)
    if unseen := _untold(test.what, incident):
        return Answer("unknown", unseen)
    if "rollout" in test.what and (undated := _undated(incident)):
        return Answer("unknown", undated)
    return Answer("no", f"no {kinds} was seen between {test.within / 60:g} min before it and its begin")


def _untold(kinds: Sequence[ChangeKind], incident: Incident) -> str:
    """Why it is not known that there was none: nobody who could have told of one answered. A load of what is served already, and
    an unload, begin no series: only a log that was read to its end has none of them."""
    tellers = dict.fromkeys(probe for kind in kinds for probe in _TELLERS[kind])
    if unseen := incident.missing(*tellers):
        return unseen
    return incident.missing_logs() if {"load", "unload"} & {*kinds} else ""


_TELLERS: Mapping[ChangeKind, tuple[str, ...]] = {
    "rollout": ("rollouts",),
    "repository": ("repository",),
    "load": ("log", "triton", "triton_pods", "capture"),
    "unload": ("log",),
    "scale": ("cluster_events", "triton", "triton_pods", "capture"),
    "restart": ("placements",),
    "node": ("nodes", "cluster_events"),
    "readiness": ("placements", "cluster_events"),
    "backend_death": ("log",),
    "out_of_memory": ("log",),
}
"""The probes of which any can show such a change: where none of them answered, that there was none is not known."""


def _undated(incident: Incident) -> str:
    """Of which rollout nothing tells when it was."""
    for _, rollouts in incident.facts(Rollouts):
        for place, revision in enumerate(rollouts.revisions[1:], start=1):
            if rolled_out_at(rollouts.revisions, place) is None:
                return (
                    f"{rollouts.workload} was returned to revision {revision.number}, and nothing tells when"
                )
    return ""


def _setting(test: Setting, incident: Incident) -> Answer:
    settings = incident.settings.get(incident.model)
    if settings is None:
        because = (
            incident.missing("settings")
            or f"the configuration of {incident.model or 'the model'} was not read"
        )
        return Answer("unknown", because)
    value, name = getattr(settings, test.field), test.field.replace("_", " ")
    evidence = incident.settings_ids(incident.model)
    if value:
        shown = (
            ", ".join(map(str, value)) if isinstance(value, tuple) else "" if value is True else f"{value:g}"
        )
        return Answer("yes", f"{incident.model} is configured with {name} {shown}".strip(), evidence)
    return Answer("no", f"{incident.model} is configured without {name}", evidence)


def _predicate(test: Predicate, incident: Incident) -> Answer:
    ask = PREDICATES.get(test.name)
    return (
        ask(incident)
        if ask
        else Answer("unknown", f"this version does not ask {test.name.replace('_', ' ')!r}")
    )


_KINDS: Mapping[type, Callable[[Any, Incident], Answer]] = {
    Answered: _answered,
    Shift: _shift,
    Level: _level,
    Part: _part,
    Split: _split,
    Skew: _skew,
    Change: _change,
    Setting: _setting,
    Predicate: _predicate,
}
