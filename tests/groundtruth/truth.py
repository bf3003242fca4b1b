"""The true number behind each signal, and how far an answer read from Triton's counters may be from it.

No number here comes from Triton or from the program under test, but for the moments at which it took its samples. A tolerance
is a sum of named errors that nobody who reads these counters at these moments can avoid; each is worked out from the records of
the same window, so a slow machine widens it by as much as it was slow:

- edges: a request that ended around a sample, that a removal hid, or that nobody saw end, may be counted or not;
- unseen: time between processes (served.py), which Triton's durations may hold or not, and its whole microseconds; of a request
  that had to wait the front end's part is hidden behind the wait, and taken for the others' mean and three of its errors;
- sampling: a gauge is read at moments (`_sampling`);
- crediting: a request's computation counts whole when it completes (`_crediting`);
- failures: Triton adds nothing of a failed request to any duration; the Python backend counts its execution and no inference;
- duplicates: of requests to a cache that ask the same and wait together, only the one whose answer is stored counts as a miss.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from tests.groundtruth.records import Record, Scrape, Window
from tests.groundtruth.served import Served

MICROSECOND: Final = 1e-6
"""Triton's counters are whole microseconds, truncated a request."""
TRACE_SECONDS: Final = 0.001
"""An answer's trace gives its times in whole milliseconds."""


class Truth(NamedTuple):
    """The true number and how far a right answer may be from it, in the signal's unit."""

    value: float
    tolerance: float


class Part(NamedTuple):
    """One pod's share in an answer."""

    record: Record
    window: Window


def request_rate(record: Record, window: Window) -> Truth:
    """Requests finished a second, failed ones too."""
    return _finished(record, window, lambda served: True)


def throughput(record: Record, window: Window) -> Truth:
    """Inferences done a second: every request is one here, and one that failed or came out of the cache is none."""
    return _finished(record, window, lambda served: not (served.failed or served.cached))


def _finished(record: Record, window: Window, counts: Callable[[Served], bool]) -> Truth:
    counted, uncertain = record.completed(window)
    rate = sum(map(counts, counted)) / window.seconds
    return Truth(rate, (sum(map(counts, uncertain)) + rate * TRACE_SECONDS) / window.seconds)


def pending(record: Record, window: Window) -> Truth:
    """Requests waiting, averaged over the window's time."""
    start, end = window.at - window.seconds, window.at
    present = record.present_in(start, end)
    waiting = sum(_overlap(p.entered, p.started, start, end) for p in present) / window.seconds
    return Truth(waiting, _sampling(record, window, start, end))


def concurrency(record: Record, window: Window) -> Truth:
    """Requests waiting or executing, averaged over the window's time."""
    start, end = window.at - window.seconds, window.at
    present = record.present_in(start, end)
    value = sum(_overlap(p.entered, p.ended, start, end) for p in present) / window.seconds
    counted, _ = record.completed(window)
    overheads = sum(s.unseen + s.reporting + 3 * MICROSECOND for s in counted) / window.seconds
    failed = sum(s.executed for s in counted if s.failed) / window.seconds
    named = _sampling(record, window, start, end), _crediting(record, window), overheads, failed
    return Truth(value, sum(named))


def _sampling(record: Record, window: Window, start: float, end: float) -> float:
    """The gauge is read at moments: what that costs here, and requests that entered or left around those moments."""
    present = record.present_in(start, end)
    lasting = sum(_overlap(p.entered, p.started, start, end) for p in present) / window.seconds
    errors = [0.0]
    for gauges in filter(None, window.gauges):
        seen = sum(
            p.entered <= scrape.at < p.started
            for scrape in gauges
            for p in record.present_in(scrape.at, scrape.at)
        )
        unsure = sum(_unsure(record, scrape) for scrape in gauges)
        mean = window.lived * seen / len(gauges)
        rounded = (mean + lasting) * TRACE_SECONDS / window.seconds
        errors.append(abs(mean - lasting) + window.lived * unsure / len(gauges) + rounded)
    return max(errors)


def _unsure(record: Record, scrape: Scrape) -> int:
    """Requests of which nobody can say whether the gauge counted them at this sample."""
    until = scrape.at + scrape.took
    possible = sum(p.entered <= until and p.started > scrape.at for p in record.present_in(scrape.at, until))
    sure = sum(
        s.entered + record.front_end_seconds <= scrape.at and s.due > until
        for s in record.served_in(scrape.at, until)
        if not s.stood_still
    )
    return possible - sure


def _crediting(record: Record, window: Window) -> float:
    """At each end of the window at most one service time an instance is moved; a stalled row's window is moved by the stall; what
    a removal hid is missing."""
    counted, uncertain = record.completed(window)
    longest = max((s.executed for s in counted), default=0.0)
    moved = record.instances * (longest + window.at - window.end)
    return (moved + sum(s.executed for s in uncertain)) / window.seconds


class _Item(NamedTuple):
    """What one request adds above and below the line of a ratio, and how much of each may be missing or too much."""

    above: float
    below: float
    above_slack: float = 0.0
    below_slack: float = 0.0
    above_spread: float = 0.0
    """Standard deviation of what may be missing above."""
    perhaps: bool = False
    """Triton may not have counted it at all."""


def _of_all(item: Callable[[Record, Served], _Item]) -> Callable[[Sequence[Part]], Truth | None]:
    """The ratio of sums over all pods' requests in their windows; None without any. A request that may be counted or not, of
    which there are few, moves the ratio by what it differs from the others; or by what it adds to one side alone, where the page
    was made while Triton added it to one counter after the other."""

    def ratio(parts: Sequence[Part]) -> Truth | None:
        certain: list[_Item] = []
        uncertain: list[_Item] = []
        counted: list[_Item] = []
        for record, window in parts:
            inside, unsure = record.completed(window)
            unsure_ids = {id(served) for served in unsure}
            counted += [item(record, served) for served in inside]
            uncertain += [item(record, served) for served in unsure]
            for served in inside:
                if id(served) not in unsure_ids:
                    each = item(record, served)
                    (uncertain if each.perhaps else certain).append(each)
        below, least = sum(i.below for i in counted), sum(i.below for i in certain)
        if least <= 0:
            return None
        value = max(0.0, sum(i.above for i in counted)) / below
        edges = sum(
            max(abs(i.above), value * abs(i.below), abs(i.above - value * i.below)) for i in uncertain
        )
        slack = sum(i.above_slack + value * i.below_slack for i in (*certain, *uncertain))
        spread = 3 * math.sqrt(sum(i.above_spread**2 for i in (*certain, *uncertain)))
        return Truth(value, (edges + slack + spread) / least)

    return ratio


def _queued_slack(record: Record, served: Served) -> float:
    """Of a request's wait: what lies between processes, and for one that had to wait also the front end's time, behind it."""
    return served.unseen + (record.front_end_seconds if served.due > served.sent else 0.0) + MICROSECOND


def _spread(record: Record, served: Served) -> float:
    return record.front_end_spread if served.due > served.sent else 0.0


def _queue_duration(record: Record, served: Served) -> _Item:
    if served.failed:
        return _Item(0.0, 0.0)
    return _Item(served.queued, 1.0, _queued_slack(record, served), above_spread=_spread(record, served))


def _queue_to_compute(record: Record, served: Served) -> _Item:
    if served.failed:
        return _Item(0.0, 0.0)
    computing = served.unseen + served.reporting
    slack, spread = _queued_slack(record, served), _spread(record, served)
    return _Item(served.queued, served.executed, slack, computing, spread)


def _queue_share(record: Record, served: Served) -> _Item:
    if served.failed:
        return _Item(0.0, 0.0)
    waited = served.queued - record.batching.delay_seconds
    slack = _queued_slack(record, served)
    spread = _spread(record, served)
    return _Item(waited, waited + served.executed, slack, slack + served.reporting, spread)


def _failure(record: Record, served: Served) -> _Item:
    return _Item(float(served.failed), 1.0)


def _cache_hit(record: Record, served: Served) -> _Item:
    duplicate = not served.cached and served.number % record.new_every != 0
    return _Item(float(served.cached), 1.0, perhaps=duplicate)


def _batch_size(record: Record, served: Served) -> _Item:
    """Each of a batch of k is a k-th of an execution."""
    one = 1.0 / served.batch
    return _Item(0.0, 0.0, below_slack=one) if served.failed else _Item(1.0, one)


def busy_fraction(parts: Sequence[Part]) -> Truth | None:
    """Time in which instances executed over the time that they had."""
    above = below = tolerance = 0.0
    for record, window in parts:
        start, end = window.end - window.seconds, window.end
        above += sum(_overlap(s.started, s.ended, start, end) / s.batch for s in record.served_in(start, end))
        below += record.instances * window.seconds
        counted, _ = record.completed(window)
        overheads = sum((s.unseen + s.reporting) / s.batch + 3 * MICROSECOND for s in counted)
        failed = sum(s.executed / s.batch for s in counted if s.failed)
        tolerance += _crediting(record, window) * window.seconds + overheads + failed
    return Truth(above / below, tolerance / below) if below else None


RATIOS: Final[Mapping[str, Callable[[Sequence[Part]], Truth | None]]] = {
    "triton_queue_duration_ms": _of_all(_queue_duration),
    "avg_time_queue_us": _of_all(_queue_duration),
    "triton_queue_share": _of_all(_queue_share),
    "triton:queue_compute:ratio": _of_all(_queue_to_compute),
    "triton_failure_ratio": _of_all(_failure),
    "triton_batch_size": _of_all(_batch_size),
    "triton_cache_hit_ratio": _of_all(_cache_hit),
    "triton_busy_fraction": busy_fraction,
}
"""Over the pods that answered."""
SCALES: Final = {"triton_queue_duration_ms": 1e3, "avg_time_queue_us": 1e6}
"""From seconds into the signal's unit; 1 for all others."""
TOTALS: Final[Mapping[str, Callable[[Record, Window], Truth]]] = {
    "triton_inference_concurrency": concurrency,
    "triton_pending_requests": pending,
    "triton_request_rate": request_rate,
    "triton_inference_throughput": throughput,
}
"""Of one pod; a fleet's is the sum."""


def _overlap(begin: float, finish: float, start: float, end: float) -> float:
    return max(0.0, min(finish, end) - max(begin, start))
