"""Small sums over points. Pure."""

from collections.abc import Sequence

from triage.latency.history import Reading


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
