"""One number over time, on an even grid, with gaps where nothing was measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trace:
    start: float
    """Seconds since 1970 of the first step."""
    step: float
    """Seconds between two steps, above zero."""
    values: Sequence[float | None]
    """One for each step; None where nothing was measured."""

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise ValueError(f"a trace has a step of {self.step} s; it must be above zero")
        for place, value in enumerate(self.values):
            if value is not None and not math.isfinite(value):
                raise ValueError(
                    f"a trace has {value} at its step {place}; where nothing was measured stands None"
                )

    @property
    def times(self) -> list[float]:
        """Of every step, in seconds since 1970."""
        return [self.start + place * self.step for place in range(len(self.values))]

    @property
    def end(self) -> float:
        """The time just behind the last step, in seconds since 1970."""
        return self.start + len(self.values) * self.step

    @property
    def coverage(self) -> float:
        """Share of the steps at which something was measured, 0 to 1; 0 for a trace of no steps."""
        return len(self.present()) / len(self.values) if self.values else 0.0

    def present(self) -> list[tuple[float, float]]:
        """Time and value of the steps at which something was measured."""
        return [
            (time, value) for time, value in zip(self.times, self.values, strict=True) if value is not None
        ]

    def between(self, start: float, end: float) -> "Trace":
        """The steps from `start` on and before `end`. None of them: a trace of no steps."""
        first = min(max(math.ceil((start - self.start) / self.step), 0), len(self.values))
        last = min(max(math.ceil((end - self.start) / self.step), first), len(self.values))
        return Trace(self.start + first * self.step, self.step, tuple(self.values[first:last]))
