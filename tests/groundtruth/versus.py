"""Ours and NVIDIA's rules beside the truth, at moments of the same run.

The truth of a moment is over all requests that the fleet answered in the rule's window before it, whichever pod answered; ours is
asked for the same window. Moments begin when the load is 30 s old. A rule's number is the mean over the pods that the HPA has then,
of those of which the rule says something."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

from autoscaler.answer import Value
from tests.groundtruth.compare import AllCompared
from tests.groundtruth.fleet import Run
from tests.groundtruth.nvidia import RULES, Rule
from tests.groundtruth.records import Window
from tests.groundtruth.scenario import ALL, SETTLED, Scenario
from tests.groundtruth.truth import RATIOS, SCALES, Part

OURS = "ours"


class _Moment(NamedTuple):
    at: float
    value: float | None
    truth: float


@dataclass(frozen=True)
class Side:
    """One of two that say the same signal, over a scenario. Means over its moments; errors are shares of the truth."""

    scenario: str
    signal: str
    by: str
    truth: float
    value: float
    error: float
    worst: float
    moments: int
    silent: int
    """Moments without a value; an HPA holds then."""


@dataclass(frozen=True)
class SignalError:
    """How far one signal was from the truth of its own samples' moments, over a scenario."""

    scenario: str
    signal: str
    answers: int
    outside: int
    """Further from the truth than tolerated."""
    truth: float
    value: float
    error: float
    """Mean distance, as a share of the mean truth; 0 where both are 0."""
    tolerance: float
    """The same of what is tolerated."""


def sides(run: Run) -> list[Side]:
    """For each rule, ours of that name and the rule."""
    found = []
    for rule in RULES:
        ours = [
            (reading.asked_at, reading.answer.value if isinstance(reading.answer, Value) else None)
            for reading in run.observed.readings
            if reading.signal == rule.ours
        ]
        theirs = [(told.at, _averaged(told.pods, run.pods_at(told.at))) for told in run.told[rule.name]]
        found.append(_side(run, rule.signal, OURS, _moments(run, rule, ours)))
        found.append(_side(run, rule.signal, rule.name, _moments(run, rule, theirs)))
    return found


def _averaged(pods: dict[str, float], current: Sequence[str]) -> float | None:
    told = [pods[pod] for pod in current if pod in pods and not math.isnan(pods[pod])]
    return mean(told) if told else None


def _moments(run: Run, rule: Rule, told: Iterable[tuple[float, float | None]]) -> list[_Moment]:
    moments = []
    for at, value in told:
        if not run.began + SETTLED <= at <= run.began + run.scenario.seconds:
            continue
        truth = RATIOS[rule.signal](
            [Part(record, Window(at, at, rule.window)) for record in run.records.values()]
        )
        if truth is not None:
            moments.append(_Moment(at, value, truth.value * SCALES.get(rule.signal, 1.0)))
    return moments


def _side(run: Run, signal: str, by: str, moments: Sequence[_Moment]) -> Side:
    told = [(moment.value, moment.truth) for moment in moments if moment.value is not None]
    errors = [abs(value - truth) / truth for value, truth in told]
    return Side(
        run.scenario.name,
        signal,
        by,
        mean(truth for _, truth in told) if told else math.nan,
        mean(value for value, _ in told) if told else math.nan,
        mean(errors) if errors else math.nan,
        max(errors, default=math.nan),
        len(moments),
        len(moments) - len(told),
    )


def signal_errors(scenario: Scenario, of: AllCompared) -> list[SignalError]:
    """Of every signal, over all of its answers."""
    found = []
    for (signal, selector), compared in of.items():
        if not compared or selector != ALL:
            continue
        truth = mean(each.truth for each in compared)
        error, tolerance = (
            mean(abs(each.error) for each in compared),
            mean(each.tolerance for each in compared),
        )
        found.append(
            SignalError(
                scenario.name,
                signal,
                len(compared),
                sum(each.share > 1 for each in compared),
                truth,
                mean(each.ours for each in compared),
                error / truth if truth else error,
                tolerance / truth if truth else tolerance,
            )
        )
    return found
