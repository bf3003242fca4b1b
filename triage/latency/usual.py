"""Usual: whether now is like this hour of other days, so that a rise each morning pages nobody."""

from dataclasses import dataclass
from typing import Literal

from triage.answers import Value
from triage.latency.shift import fell, rose, shift
from triage.latency.trace import Trace

Baseline = Literal["hour before", "day ago", "week ago"]


@dataclass(frozen=True, slots=True)
class Usual:
    value: Value
    """`no`: it rose against the hour before and against another day, or fell against both."""
    rose_against: tuple[Baseline, ...] = ()
    fell_against: tuple[Baseline, ...] = ()
    missing: tuple[Baseline, ...] = ()
    """Nothing was measured there."""
    unclear: tuple[Baseline, ...] = ()
    """Measured, and too few points or too noisy to tell."""


def usual_for_this_hour(
    now: Trace,
    hour_before: Trace | None,
    day_ago: Trace | None,
    week_ago: Trace | None,
    *,
    smear: float = 0.0,
    min_ratio: float = 1.3,
    min_abs: float = 0.0,
) -> Usual:
    """Abnormal is what differs from the hour before and, in the same direction, from at least one of the other days that exist.
    A difference from the hour before that no other day could confirm is `unknown`."""
    traces: dict[Baseline, Trace | None] = {
        "hour before": hour_before,
        "day ago": day_ago,
        "week ago": week_ago,
    }
    ups: dict[Baseline, Value] = {}
    downs: dict[Baseline, Value] = {}
    for name, trace in traces.items():
        if trace is not None and trace.present():
            against = shift(trace.values, now.values, smear=smear, step=now.step)
            ups[name], downs[name] = rose(against, min_ratio, min_abs), fell(against, min_ratio, min_abs)
    abnormal = {_abnormal(ups), _abnormal(downs)}
    return Usual(
        "no" if "yes" in abnormal else "unknown" if "unknown" in abnormal else "yes",
        tuple(name for name in ups if ups[name] == "yes"),
        tuple(name for name in downs if downs[name] == "yes"),
        tuple(name for name in traces if name not in ups),
        tuple(
            name
            for name in ups
            if "yes" not in (ups[name], downs[name]) and "unknown" in (ups[name], downs[name])
        ),
    )


def _abnormal(moved: dict[Baseline, Value]) -> Value:
    """Strong three-valued logic, but for a day that does not exist: it counts as no day, unless there is none at all."""
    before = moved.get("hour before", "unknown")
    days = {moved[name] for name in moved if name != "hour before"}
    other: Value = "yes" if "yes" in days else "unknown" if "unknown" in days or not days else "no"
    both = {before, other}
    return "no" if "no" in both else "unknown" if "unknown" in both else "yes"
