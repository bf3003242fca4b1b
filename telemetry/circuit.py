"""When to ask a peer again that did not answer: soon at first, then rarely, and never in step with others."""

from dataclasses import dataclass
from typing import Final

OPENS_AFTER: Final = 3
"""Failures in a row. By then samples are about as old as `max_age` and answers are errors: a question more would save none of them,
and would weigh on a peer that is perhaps just coming up."""
LONGEST_INTERVALS: Final = 4
"""Intervals between two tries at most: a minute with the default interval, four syncs of an HPA."""


@dataclass(slots=True)
class Circuit:
    """`interval` in seconds."""

    interval: float
    failures: int = 0

    @property
    def is_open(self) -> bool:
        return self.failures >= OPENS_AFTER

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self) -> None:
        self.failures += 1

    def wait(self, draw: float) -> float:
        """Seconds until the next try, from the beginning of the last one. `draw` in [0, 1) spreads those who lost the same peer at
        the same moment over half of the time."""
        if self.failures == 0:
            return self.interval
        doubled = self.interval * float(2 ** min(max(0, self.failures - OPENS_AFTER + 1), 10))
        return min(doubled, LONGEST_INTERVALS * self.interval) * (1 - draw / 2)
