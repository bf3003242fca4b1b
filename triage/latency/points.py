"""Small sums over points. Pure."""

import statistics
from collections.abc import Sequence

from triage.latency.history import Reading
from triage.latency.level import SIGMA_OF_MAD


def median(values: Sequence[float]) -> float | None:
    """None of none."""
    return statistics.median(values) if values else None


def spread(values: Sequence[float]) -> float:
    """1.4826 times the median absolute deviation: the standard deviation where they are normal; 0 of none."""
    if not values:
        return 0.0
    middle = statistics.median(values)
    return SIGMA_OF_MAD * statistics.median([abs(value - middle) for value in values])


def mean(values: Sequence[float]) -> float:
    """0 of none."""
    return sum(values) / len(values) if values else 0.0


def last(reading: Reading, count: int) -> list[float]:
    """What was measured at the last steps."""
    return [value for value in reading.trace.values[-count:] if value is not None] if reading.trace else []


def halves(values: Sequence[float]) -> tuple[float, float]:
    """The means of the first half and of the second; 0 of none."""
    middle = len(values) // 2
    return mean(values[:middle]), mean(values[middle:])
