"""The true quantile of a fleet's request durations, and whether the bounds of an answer hold it.

An answer is made of each pod's summary, which is of Triton's last 60 s in five slices of 12 s
(prometheus-cpp:core/src/detail/time_window_quantiles.cc), so of the last 48 to 60, and no more than since the model was loaded.
What else may be off is as in `truth.py`: requests that ended around the sample, and time between processes. How wrong a summary is
in rank is the program's to know."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.groundtruth.records import Record, Window
from tests.groundtruth.served import Served
from tests.groundtruth.truth import MICROSECOND, Part

SUMMARY_SECONDS: Final = (48.0, 54.0, 60.0)
QUANTILES: Final = {"triton_request_duration_p95_ms": 0.95, "triton_request_duration_p99_ms": 0.99}
"""Of the signals that are one, in milliseconds."""


class TrueQuantile(NamedTuple):
    """Milliseconds. The quantile is `value` by the records, and no less than `least` and no more than `most` to a summary."""

    value: float
    least: float
    most: float


class _Duration(NamedTuple):
    """Of one request, in Triton. Seconds."""

    value: float
    least: float
    most: float
    weight: float


def true_quantile(parts: Sequence[Part], quantile: float) -> TrueQuantile | None:
    """Of all pods' requests, each pod with as many as it answered in its window; None without any."""
    weights = [sum(served.answered for served in record.completed(window)[0]) for record, window in parts]
    if not sum(weights):
        return None
    found = []
    for seconds in SUMMARY_SECONDS:
        durations: list[_Duration] = []
        error = 0.0
        for (record, window), weight in zip(parts, weights, strict=True):
            since = max((removed for removed in record.removals if removed < window.at), default=-math.inf)
            inside, unsure = record.completed(Window(window.at, window.at, min(seconds, window.at - since)))
            answered = [served for served in inside if served.answered]
            if weight and answered:
                share = weight / sum(weights)
                each = share / len(answered)
                error += each * sum(not served.failed for served in unsure)
                durations += [_duration(record, served, each) for served in answered]
        if durations:
            found.append(
                (
                    _at([(d.value, d.weight) for d in durations], quantile),
                    _at([(d.least, d.weight) for d in durations], quantile - error),
                    _at([(d.most, d.weight) for d in durations], quantile + error),
                )
            )
    if not found:
        return None
    return TrueQuantile(found[-1][0] * 1e3, min(f[1] for f in found) * 1e3, max(f[2] for f in found) * 1e3)


def _duration(record: Record, served: Served, weight: float) -> _Duration:
    inside = served.ended - served.entered
    front_end = served.unseen + (record.front_end_seconds if served.due > served.sent else 0.0)
    return _Duration(inside, inside - front_end - MICROSECOND, inside + served.reporting, weight)


def _at(durations: list[tuple[float, float]], quantile: float) -> float:
    """The least duration that at least this share of the weight does not exceed."""
    wanted = quantile * sum(weight for _, weight in durations)
    reached = 0.0
    for duration, weight in sorted(durations):
        reached += weight
        if reached >= wanted - 1e-12:
            return duration
    return max(durations)[0]
