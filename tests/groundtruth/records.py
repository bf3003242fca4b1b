"""One pod's run: every request, every execution and every sample, and what a sample's window held of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import pstdev
from typing import NamedTuple

from tests.groundtruth.generator import BROKEN, Request
from tests.groundtruth.served import (
    NEVER,
    NO_SUCH_MODEL,
    ONE_BY_ONE,
    Batching,
    Disturbance,
    Served,
    executed_requests,
    from_cache,
)


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


@dataclass(frozen=True, slots=True)
class Window:
    """What an answer of the sample at `at` rested on. Counters moved in (`end - seconds`, `end`]; `gauges`: the samples of the
    gauge's mean, several sets where the answer may be the mean of any of them."""

    at: float
    end: float
    seconds: float
    gauges: Sequence[Sequence[Scrape]] = ((),)
    lived: float = 1.0
    """The share of its time that the gauge's samples stand for; of the time before a pod's first one nothing is counted."""


class Record:
    """One pod's run: every request, every execution, every sample, and when models or servers went away."""

    def __init__(
        self,
        requests: Iterable[Request],
        executions: Sequence[Sequence[tuple[int, float, float]]],
        scrapes: Sequence[Scrape],
        disturbance: Disturbance,
        instances: int,
        batching: Batching = ONE_BY_ONE,
        *,
        new_every: int = 1,
    ) -> None:
        """`executions`: number, start and end of each request of one instance's life, a life a sequence. `new_every`:
        above 1, what was answered without an execution came out of Triton's response cache."""
        self.requests = list(requests)
        self.scrapes = scrapes
        self.instances = instances
        self.batching = batching
        self.new_every = new_every
        executed = {number for life in executions for number, _, _ in life}
        by_number = {request.number: request for request in self.requests}
        turned_away = [request for request in self.requests if request.status in NO_SUCH_MODEL]
        self.served = list(executed_requests(by_number, executions, turned_away, disturbance, batching))
        taken = [
            request
            for number, request in by_number.items()
            if request.error == BROKEN and number not in executed
        ]
        if new_every > 1:
            self.served += [
                from_cache(request) for number, request in by_number.items() if number not in executed
            ]
        self.present = [Presence(s.entered, s.started, s.ended) for s in self.served]
        self.present += [Presence(r.sent, r.done, r.done) for r in taken if r.done is not None]
        self.present.sort(key=lambda presence: presence.entered)
        self._entries = [presence.entered for presence in self.present]
        self._longest_presence = max((p.ended - p.entered for p in self.present), default=0.0)
        self.removals = disturbance.removals
        self.hidden = {id(served) for served in self.served if self._is_hidden(served, disturbance.removals)}
        found_free = [s.unseen for s in self.served if s.free <= s.sent == s.entered and not s.stood_still]
        self.front_end_seconds = sum(found_free) / len(found_free) if found_free else 0.0
        """Mean time from sending to executing of the requests that found a free instance: nothing but overhead."""
        self.front_end_spread = pstdev(found_free) if found_free else 0.0
        self._by_entry = sorted(self.served, key=lambda served: served.entered)
        self._served_entries = [served.entered for served in self._by_entry]
        self._by_end = sorted(self.served, key=lambda served: served.ended)
        self._ends = [served.ended for served in self._by_end]
        self._longest_report = max((served.reporting for served in self.served), default=0.0)
        self._completed: dict[tuple[float, float], tuple[list[Served], list[Served]]] = {}

    def longest_stall(self) -> float:
        """Seconds for which a request stood before the queue while later ones passed it."""
        return max((served.entered - served.sent for served in self.served), default=0.0)

    def lateness(self) -> float:
        """Seconds by which the latest request missed its schedule."""
        return max((request.sent - request.due for request in self.requests), default=0.0)

    def moved(self, window: Window) -> bool:
        """True if a request may have completed between the window's end and the sample."""
        until = window.at + self.took(window.at)
        return any(s.counted_by > window.end for s in self._ended_in(window.end, until))

    def completed(self, window: Window) -> tuple[list[Served], list[Served]]:
        """Finished in the window; and those that the counters' increase may count otherwise, inside or outside it."""
        key = (window.end, window.seconds)
        if key not in self._completed:
            self._completed[key] = self._complete(window)
        return self._completed[key]

    def _complete(self, window: Window) -> tuple[list[Served], list[Served]]:
        start, end = window.end - window.seconds, window.end
        opened, closed = self.took(start), self.took(end)
        counted: list[Served] = []
        uncertain: list[Served] = []
        for served in self._ended_in(start, end + closed):
            finished = served.answered or served.failed
            if finished and start < served.ended <= end:
                counted.append(served)
            possible = served.counted_by > start and served.ended < end + closed
            sure = served.ended > start + opened and served.counted_by < end
            if possible and (not sure or id(served) in self.hidden or not finished):
                uncertain.append(served)
        return counted, uncertain

    def _ended_in(self, start: float, end: float) -> Sequence[Served]:
        """All that ended between the two, and those a little before it that may have been counted after it."""
        first = bisect_left(self._ends, start - self._longest_report)
        return self._by_end[first : bisect_left(self._ends, end)]

    def present_in(self, start: float, end: float) -> Sequence[Presence]:
        """All that were there between the two, and some that were not."""
        first = bisect_left(self._entries, start - self._longest_presence)
        return self.present[first : bisect_right(self._entries, end)]

    def served_in(self, start: float, end: float) -> Sequence[Served]:
        """All that were there between the two, and some that were not."""
        first = bisect_left(self._served_entries, start - self._longest_presence)
        return self._by_entry[first : bisect_right(self._served_entries, end)]

    def took(self, at: float) -> float:
        return next((scrape.took for scrape in self.scrapes if abs(scrape.at - at) < 0.002), 0.0)

    def _is_hidden(self, served: Served, removals: Sequence[float]) -> bool:
        """True where no sample was taken between its completion and the removal of its counters: nobody can have seen it."""
        for removed in removals:
            last = max((scrape.at for scrape in self.scrapes if scrape.at < removed), default=NEVER)
            if served.counted_by > last and served.sent < removed:
                return True
        return False
