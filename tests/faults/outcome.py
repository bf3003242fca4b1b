"""What the real HPA did while something failed, judged by the oracle. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from telemetry.hpa_spec import HpaSpec
from tests.faults.oracle import Look, Scaling, scalings, wanted, wrong

STEADY_SECONDS: Final = 6.0
"""So long it must stay right to be right again."""


@dataclass(frozen=True, slots=True)
class Step:
    """The HPA's side at a moment: the replicas that it wants, and whether it had a value (`ScalingActive`)."""

    at: float
    replicas: int
    active: bool


@dataclass(frozen=True, slots=True)
class Record:
    """All that a row saw, in monotonic seconds: its load came at `loaded`, the fault lasted from `began` to `ended`, and it was
    watched until `last`."""

    steps: tuple[Step, ...]
    looks: tuple[Look, ...]
    loaded: float
    began: float
    ended: float
    last: float


@dataclass(frozen=True)
class Judgement:
    """What the HPA did. Times in seconds after the fault began, but `right_after`: after it ended."""

    replicas: tuple[tuple[float, int], ...]
    """From when on the HPA wanted so many; the first at or before the fault's begin."""
    wrong_downs: tuple[tuple[float, int, int], ...]
    """(when, from, to)."""
    wrong_ups: tuple[tuple[float, int, int], ...]
    wrong_before: tuple[tuple[float, int, int], ...]
    """Scale-downs from when the load came until the fault began; times below zero."""
    held_seconds: float
    """Of the fault, in which the HPA had no value and so held."""
    fault_seconds: float
    right_after: float | None
    """None: not while it was watched."""
    watched_after: float
    """For how long it was watched after the fault."""


@dataclass(frozen=True)
class Outcome:
    """A row with one system."""

    row: str
    system: str
    says: str
    did: Judgement
    failed: int | None
    """Answers that the fault made, where it can count them."""
    error: str = ""
    """What the HPA was told in it."""


def judge(record: Record, spec: HpaSpec, sync_seconds: float) -> Judgement:
    made = scalings((step.at, step.replicas) for step in record.steps if step.at <= record.last)
    made = [scaling for scaling in made if scaling.at > record.loaded]
    against = wrong(spec, record.looks, made, sync_seconds)

    def told(found: Sequence[Scaling]) -> tuple[tuple[float, int, int], ...]:
        return tuple((round(s.at - record.began, 1), s.before, s.after) for s in found)

    first = _at(record.steps, record.began)
    if first is None:
        raise ValueError("the HPA was not seen before the fault")
    moves = [(round(s.at - record.began, 1), s.after) for s in made if s.at > record.began]
    return Judgement(
        replicas=((0.0, first.replicas), *moves),
        wrong_downs=told([s for s in against if s.after < s.before and s.at > record.began]),
        wrong_ups=told([s for s in against if s.after > s.before and s.at > record.began]),
        wrong_before=told([s for s in against if s.after < s.before and s.at <= record.began]),
        held_seconds=round(_held(record.steps, record.began, record.ended), 1),
        fault_seconds=round(record.ended - record.began, 1),
        right_after=right_after(record, spec),
        watched_after=round(record.last - record.ended, 1),
    )


def right_after(record: Record, spec: HpaSpec) -> float | None:
    """Seconds from the fault's end until the HPA had a value and wanted what the oracle wants, and kept to it until `last`."""
    since: float | None = None
    for look in record.looks:
        if record.ended <= look.at <= record.last:
            step = _at(record.steps, look.at)
            right = step is not None and step.active and wanted(spec, look, step.replicas) == step.replicas
            since = (look.at if since is None else since) if right else None
    if since is None or record.last - since < STEADY_SECONDS:
        return None
    return round(max(0.0, since - record.ended), 1)


def is_right(record: Record, spec: HpaSpec) -> bool:
    """The HPA wants what the oracle wants, has for STEADY_SECONDS, and has a value."""
    return right_after(record, spec) is not None


def _held(steps: Sequence[Step], began: float, ended: float) -> float:
    held = 0.0
    for step, until in zip(steps, [*(step.at for step in steps[1:]), ended], strict=True):
        if not step.active:
            held += max(0.0, min(until, ended) - max(step.at, began))
    return held


def _at(steps: Sequence[Step], at: float) -> Step | None:
    return next((step for step in reversed(steps) if step.at <= at), None)
