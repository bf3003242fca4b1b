"""What really happened in a window, by the load generator's and the test model's own records, and how far an answer
read from
Triton's counters may be from it.

No number here comes from Triton or from the program under test, but for the moments at which it took its samples. A
tolerance
is a sum of named errors that nobody who reads these counters at these moments can avoid; each is worked out from the
records of the same window, so a slow machine widens it by as much as it was slow.

For request *i*: `sent` <= `entered` Triton's queue <= leaves it <= `started` <= `ended` <= `counted_by` Triton. An instance
is busy until its request before has ended, so *i* certainly waits from entering until then (`free`). What lies between
`max(entered, free)` and `started` (front end, copying in, waking the model's process) is *unseen*: partly in Triton's
queue time
and partly not.

`entered` is no earlier than `sent`, and no earlier than the sending of any request that was executed before: the queue
is first
in, first out. Nor did any request enter before one to which the server said that it has no such model. It matters while
a model
is loaded by call: the call holds one of Triton's HTTP threads, and requests on connections of that thread stand still before
the queue, seconds long, where no counter can see them. One that was sent during a call and not answered before the call
ended
may have stood there for all of its time (`stood_still`).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tests.groundtruth.generator import BROKEN, Request

REPORT_SECONDS: Final = 0.01
"""Triton's Python backend counts a request just after it has sent the answer: a scheduler's slice or two on a busy machine."""
MICROSECOND: Final = 1e-6
"""Triton's counters are whole microseconds, truncated a request."""

NO_SUCH_MODEL: Final = (400, 404)
NEVER: Final = float("-inf")
TRACE_SECONDS: Final = 0.001
"""An answer's trace gives its times in whole milliseconds."""


@dataclass(frozen=True, slots=True)
class Served:
    """A request that the model executed. Times in monotonic seconds."""

    sent: float
    entered: float
    started: float
    ended: float
    counted_by: float
    """Triton has counted it by then: its answer was read, or its instance had begun another."""
    answered: bool
    free: float
    """When its instance had ended the request before it; before all times for the instance's first."""
    stood_still: bool

    @property
    def queued(self) -> float:
        return self.started - self.entered

    @property
    def unseen(self) -> float:
        return self.queued if self.stood_still else self.started - max(self.entered, self.free)


@dataclass(frozen=True, slots=True)
class Presence:
    """When a request was in the server's queue and then in its model: all that were executed, and those that a crash took."""

    entered: float
    started: float
    ended: float


class Scrape(NamedTuple):
    """A successful sample: the page was made between `at` and `at + took`."""

    at: float
    took: float


class Truth(NamedTuple):
    """The true number and how far a right answer may be from it, in the signal's unit."""

    value: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class Window:
    """What an answer of the sample at `at` rested on. Counters moved in (`end - seconds`, `end`]; `gauges`: the samples of the
    gauge's mean, several sets where the answer may be the mean of any of them."""

    at: float
    end: float
    seconds: float
    gauges: Sequence[Sequence[Scrape]]


@dataclass(slots=True)
class Disturbance:
    """What was done to the server meanwhile, in monotonic seconds."""

    calls: list[tuple[float, float]] = field(default_factory=list)
    """From when until when a load or unload call ran."""
    removals: list[float] = field(default_factory=list)
    """When counters began to be taken away, by an unload or a crash."""


class Record:
    """One run: every request, every execution, every sample, and when models or servers went away."""

    def __init__(
        self,
        requests: Iterable[Request],
        executions: Sequence[Sequence[tuple[int, float, float]]],
        scrapes: Sequence[Scrape],
        disturbance: Disturbance,
        instances: int,
    ) -> None:
        """`executions`: number, start and end of each request of one instance's life, a life a sequence."""
        self.requests = list(requests)
        self.scrapes = scrapes
        self._instances = instances
        executed = {number for life in executions for number, _, _ in life}
        by_number = {request.number: request for request in self.requests}
        turned_away = [request for request in self.requests if request.status in NO_SUCH_MODEL]
        self.served = _serve(by_number, executions, turned_away, disturbance)
        taken = [
            request
            for number, request in by_number.items()
            if request.error == BROKEN and number not in executed
        ]
        self.present = [Presence(s.entered, s.started, s.ended) for s in self.served]
        self.present += [Presence(r.sent, r.done, r.done) for r in taken if r.done is not None]
        self.hidden = {id(served) for served in self.served if self._is_hidden(served, disturbance.removals)}
        found_free = [s.unseen for s in self.served if s.free <= s.sent == s.entered and not s.stood_still]
        self.front_end_seconds = sum(found_free) / len(found_free)
        """Mean time from sending to executing of the requests that found a free instance: nothing but overhead."""

    def longest_stall(self) -> float:
        """Seconds for which a request stood before the queue while later ones passed it."""
        return max(served.entered - served.sent for served in self.served)

    def lateness(self) -> float:
        """Seconds by which the latest request missed its schedule."""
        return max(request.sent - request.due for request in self.requests)

    def moved(self, window: Window) -> bool:
        """True if a request may have completed between the window's end and the sample."""
        return any(
            s.counted_by > window.end and s.ended < window.at + self._took(window.at) for s in self.served
        )

    def rate(self, window: Window) -> Truth:
        """Answers a second. An answer near a sample may fall on either side of it; one that a removal hid is lost."""
        counted, uncertain = self._completed(window)
        rate = len(counted) / window.seconds
        return Truth(rate, (len(uncertain) + rate * TRACE_SECONDS) / window.seconds)

    def queue_ms(self, window: Window) -> Truth | None:
        """Mean from sending to executing over the requests answered, None without any. What is unseen may be missing from
        Triton's number, and for one that had to wait also the front end's time, hidden behind the wait."""
        counted, uncertain = self._completed(window)
        certain = [served for served in counted if served not in uncertain]
        if not certain:
            return None
        mean = sum(served.queued for served in counted) / len(counted)
        waited = sum(served.free > served.sent for served in counted)
        overhead = sum(served.unseen for served in counted) + waited * self.front_end_seconds
        edges = sum(abs(served.queued - mean) for served in uncertain) / len(certain)
        return Truth(mean * 1000, (overhead / len(counted) + edges + MICROSECOND) * 1000)

    def concurrency(self, window: Window) -> Truth:
        """Requests waiting or executing, averaged over the window's time. See `_sampling` and `_crediting`."""
        start, end = window.at - window.seconds, window.at
        value = sum(_overlap(p.entered, p.ended, start, end) for p in self.present) / window.seconds
        return Truth(
            value, self._sampling(window, start, end) + self._crediting(window) + self._overheads(window)
        )

    def _sampling(self, window: Window, start: float, end: float) -> float:
        """The gauge is read at moments: what that costs here, and requests that entered or left around those moments."""
        lasting = sum(_overlap(p.entered, p.started, start, end) for p in self.present) / window.seconds
        # Before the first sample of all nothing waited: that part of the window is seen, as zero.
        lived = (end - max(start, self.scrapes[0].at)) / window.seconds
        errors = [0.0]
        for gauges in filter(None, window.gauges):
            seen = sum(p.entered <= scrape.at < p.started for p in self.present for scrape in gauges)
            unsure = sum(self._unsure(scrape) for scrape in gauges)
            errors.append(abs(lived * seen / len(gauges) - lasting) + lived * unsure / len(gauges))
        return max(errors)

    def _unsure(self, scrape: Scrape) -> int:
        """Requests of which nobody can say whether the gauge counted them at this sample."""
        until = scrape.at + scrape.took
        possible = sum(p.entered <= until and p.started > scrape.at for p in self.present)
        sure = sum(
            s.entered + self.front_end_seconds <= scrape.at and max(s.entered, s.free) > until
            for s in self.served
            if not s.stood_still
        )
        return possible - sure

    def _crediting(self, window: Window) -> float:
        """A request's computation counts whole when it completes, so at each end at most one service time an instance is
        moved; a stalled row's window is moved by the stall; what a removal hid is missing."""
        counted, uncertain = self._completed(window)
        longest = max((s.ended - s.started for s in counted), default=0.0)
        moved = self._instances * (longest + window.at - window.end)
        return (moved + sum(s.ended - s.started for s in uncertain)) / window.seconds

    def _overheads(self, window: Window) -> float:
        """Time between processes before and after executing, which Triton's computation may or may not hold."""
        counted, _ = self._completed(window)
        return sum(s.unseen + s.counted_by - s.ended + 3 * MICROSECOND for s in counted) / window.seconds

    def _completed(self, window: Window) -> tuple[list[Served], list[Served]]:
        """Answered in the window; and those that the counters' increase may count otherwise, inside or outside it."""
        start, end = window.end - window.seconds, window.end
        opened, closed = self._took(start), self._took(end)
        counted: list[Served] = []
        uncertain: list[Served] = []
        for served in self.served:
            if served.answered and start < served.ended <= end:
                counted.append(served)
            possible = served.counted_by > start and served.ended < end + closed
            sure = served.ended > start + opened and served.counted_by < end
            if possible and (not sure or id(served) in self.hidden or not served.answered):
                uncertain.append(served)
        return counted, uncertain

    def _took(self, at: float) -> float:
        return next((scrape.took for scrape in self.scrapes if abs(scrape.at - at) < 0.002), 0.0)

    def _is_hidden(self, served: Served, removals: Sequence[float]) -> bool:
        """True where no sample was taken between its completion and the removal of its counters: nobody can have seen it."""
        for removed in removals:
            last = max((scrape.at for scrape in self.scrapes if scrape.at < removed), default=NEVER)
            if served.counted_by > last and served.sent < removed:
                return True
        return False


def read_lives(folder: Path) -> list[list[tuple[int, float, float]]]:
    """The model's records: one list for each life of an instance."""
    lives: dict[Path, list[tuple[int, float, float]]] = defaultdict(list)
    for file in folder.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            number, started, ended = json.loads(line)
            lives[file].append((number, started, ended))
    return list(lives.values())


def _serve(
    requests: Mapping[int, Request],
    lives: Iterable[Sequence[tuple[int, float, float]]],
    turned_away: Sequence[Request],
    disturbance: Disturbance,
) -> list[Served]:
    """The executed requests in the order of execution."""
    executions: list[tuple[float, float, float, float, float, Request]] = []
    for life in lives:
        ordered = sorted(life, key=lambda execution: execution[1])
        born = max((r.sent for r in turned_away if (r.done or 0.0) < ordered[0][1]), default=NEVER)
        ends = [NEVER, *(ended for _, _, ended in ordered)]
        begins = [*(started for _, started, _ in ordered[1:]), -NEVER]
        for (number, started, ended), free, following in zip(ordered, ends, begins, strict=False):
            executions.append((started, ended, free, following, born, requests[number]))
    served: list[Served] = []
    entered = NEVER
    for started, ended, free, following, born, request in sorted(executions, key=lambda found: found[0]):
        entered = max(entered, request.sent, born)
        read = ended if request.done is None else request.done
        counted_by = max(ended, min(read + REPORT_SECONDS, following))
        served.append(
            Served(
                request.sent,
                entered,
                started,
                ended,
                counted_by,
                request.status == 200,
                free,
                any(
                    begun <= request.sent <= over and read > over - REPORT_SECONDS
                    for begun, over in disturbance.calls
                ),
            )
        )
    return served


def _overlap(begin: float, finish: float, start: float, end: float) -> float:
    return max(0.0, min(finish, end) - max(begin, start))
