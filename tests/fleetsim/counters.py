"""What a model's metrics and statistics have counted, with Triton's semantics: all of it when a request ends."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SUMMARY_SECONDS = 60.0
BUCKET_SECONDS = 12.0
"""The summaries' window moves on in such steps, five of them."""


class Page(NamedTuple):
    """One scrape of one model. Times in milliseconds; quantiles are None without traffic."""

    success: int
    failures: dict[str, int]
    inferences: int
    executions: int
    request_ms: float
    queue_ms: float
    input_ms: float
    infer_ms: float
    output_ms: float
    pending: int
    hits: int
    misses: int
    miss_ms: float
    quantiles: tuple[float, ...] | None
    """p99 and p50 of request, queue and infer, in that order."""


@dataclass(slots=True)
class Counters:
    success: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    failure_ms: float = 0.0
    inferences: int = 0
    executions: int = 0
    request_ms: float = 0.0
    queue_ms: float = 0.0
    input_ms: float = 0.0
    infer_ms: float = 0.0
    output_ms: float = 0.0
    pending: int = 0
    hits: int = 0
    misses: int = 0
    miss_ms: float = 0.0
    batches: dict[int, list[float]] = field(default_factory=dict)
    """By batch size: executions, and the sums of their input, infer and output milliseconds."""
    last_inference: float | None = None
    recent: deque[tuple[float, float, float, float]] = field(default_factory=deque)
    """End, and milliseconds of request, queue and infer, of what the summaries still hold."""

    def succeeded(self, now: float, request_ms: float, queue_ms: float, times: Sequence[float]) -> None:
        """`times`: milliseconds of input, infer and output."""
        self.success += 1
        self.request_ms += request_ms
        self.queue_ms += queue_ms
        self.input_ms += times[0]
        self.infer_ms += times[1]
        self.output_ms += times[2]
        self.last_inference = now
        self.recent.append((now, request_ms, queue_ms, times[1]))

    def failed(self, reason: str, milliseconds: float) -> None:
        """A failed request adds to no duration that a metric shows."""
        self.failures[reason] = self.failures.get(reason, 0) + 1
        self.failure_ms += milliseconds

    def executed(self, items: int, times: Sequence[float]) -> None:
        self.executions += 1
        self.inferences += items
        row = self.batches.setdefault(items, [0, 0.0, 0.0, 0.0])
        row[0] += 1
        for column in range(3):
            row[column + 1] += times[column]

    def page(self, now: float, summaries: bool) -> Page:
        return Page(
            self.success,
            dict(self.failures),
            self.inferences,
            self.executions,
            self.request_ms,
            self.queue_ms,
            self.input_ms,
            self.infer_ms,
            self.output_ms,
            self.pending,
            self.hits,
            self.misses,
            self.miss_ms,
            self._quantiles(now) if summaries else None,
        )

    def _quantiles(self, now: float) -> tuple[float, ...] | None:
        held_since = now - now % BUCKET_SECONDS - (SUMMARY_SECONDS - BUCKET_SECONDS)
        recent = self.recent
        while recent and recent[0][0] < held_since:
            recent.popleft()
        if not recent:
            return None
        columns = [sorted(column) for column in zip(*recent, strict=True)][1:]
        return tuple(quantile(column, share) for column in columns for share in (0.99, 0.5))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
