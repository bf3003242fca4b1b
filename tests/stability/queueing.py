"""One model's queue in one Triton, exactly: first in, first out, before N instances that each compute one request at a time.

A request waits until the instance that is free first is free (Lindley 1952, "The theory of queues with a single server"; for N
instances Kiefer and Wolfowitz 1955, "On the theory of queues with many servers"). So a wait is known when its request comes, and
nothing needs to happen between two looks: a fleet of these costs a few microseconds a request. A fluid model would cost less and
know no queue below full load, which is where queue share and queue duration have their targets. Pure: times are arguments, in
seconds on one clock."""

import heapq
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99, 0.999)
"""Of Triton's summaries, when nobody chose others."""
SUMMARY_BUCKETS: Final = 5
"""A summary's window moves on in such parts of itself (prometheus-cpp, which Triton uses)."""


class _Inside(NamedTuple):
    """A request that was not answered yet."""

    ends: float
    starts: float
    came: float


@dataclass(frozen=True, slots=True)
class Counters:
    """What Triton has counted, in seconds: a request counts whole when it completes."""

    success: int = 0
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0


class Queue:
    """Requests are offered in the order in which they come."""

    def __init__(self, instances: int = 1, *, summary_seconds: float = 60.0) -> None:
        self._free = [-math.inf] * instances  # a heap: when each instance is free again
        self._inside: list[_Inside] = []  # a heap, by end
        self._success = 0
        self._queue_seconds = self._compute_seconds = 0.0
        self._recent: deque[tuple[float, float]] = deque()  # end, and seconds in the server
        self._summary_seconds = summary_seconds

    def offer(self, at: float, service: float) -> float:
        """The seconds that this request waits; then it is computed for `service` seconds."""
        starts = max(at, self._free[0])
        heapq.heapreplace(self._free, starts + service)
        heapq.heappush(self._inside, _Inside(starts + service, starts, at))
        return starts - at

    def counters(self, now: float) -> Counters:
        self._complete(now)
        return Counters(self._success, self._queue_seconds, self._compute_seconds)

    def pending(self, now: float) -> int:
        """Requests that wait: Triton's gauge leaves out those that are computed."""
        self._complete(now)
        return sum(request.starts > now for request in self._inside)

    def inside(self, now: float) -> int:
        """Requests that wait or are computed."""
        self._complete(now)
        return len(self._inside)

    def quantiles(self, now: float) -> Mapping[float, float]:
        """Of the seconds that the requests of the summary's window spent in the server; NaN without any."""
        self._complete(now)
        bucket = self._summary_seconds / SUMMARY_BUCKETS
        since = now - now % bucket - (self._summary_seconds - bucket)
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        ordered = sorted(seconds for _, seconds in self._recent)
        return {share: _quantile(ordered, share) for share in QUANTILES}

    def _complete(self, now: float) -> None:
        while self._inside and self._inside[0].ends <= now:
            request = heapq.heappop(self._inside)
            self._success += 1
            self._queue_seconds += request.starts - request.came
            self._compute_seconds += request.ends - request.starts
            self._recent.append((request.ends, request.ends - request.came))


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def mean_wait(rate: float, service: float, variation: float, instances: int = 1) -> float:
    """Seconds in the queue with random arrivals, `rate` a second. `variation` is the service time's standard deviation over its
    mean.

    One instance: Pollaczek and Khinchine's formula (Kleinrock 1975, Queueing Systems, volume 1, chapter 5). More: Erlang's C for
    the chance to wait (chapter 3 there), and Allen and Cunneen's (1 + variation^2) / 2 where service times are not exponential
    (Allen 1990, Probability, Statistics and Queueing Theory, chapter 5), which is an approximation."""
    offered = rate * service
    busy = offered / instances
    if busy >= 1:
        return math.inf
    below = sum(offered**n / math.factorial(n) for n in range(instances))
    full = offered**instances / math.factorial(instances) / (1 - busy)
    waits = full / (below + full)
    return waits * service / (instances * (1 - busy)) * (1 + variation**2) / 2


def page(queue: Queue, model: str, now: float) -> Iterable[str]:
    """The model's rows as Triton's own page has them (docs/user_guide/metrics.md of triton-inference-server/server), with
    `--metrics-config summary_latencies=true`."""
    label = f'model="{model}",version="1"'
    done = queue.counters(now)
    waited, computed = done.queue_seconds * 1e6, done.compute_seconds * 1e6
    counters = {
        "nv_inference_request_success": done.success,
        "nv_inference_count": done.success,
        "nv_inference_exec_count": done.success,
        "nv_inference_request_duration_us": waited + computed,
        "nv_inference_queue_duration_us": waited,
        "nv_inference_compute_input_duration_us": 0,
        "nv_inference_compute_infer_duration_us": computed,
        "nv_inference_compute_output_duration_us": 0,
    }
    for family, value in counters.items():
        yield f"# TYPE {family} counter"
        yield f"{family}{{{label}}} {value:.0f}"
    yield "# TYPE nv_inference_pending_request_count gauge"
    yield f"nv_inference_pending_request_count{{{label}}} {queue.pending(now)}"
    family = "nv_inference_request_summary_us"
    yield f"# TYPE {family} summary"
    yield f"{family}_count{{{label}}} {done.success}"
    yield f"{family}_sum{{{label}}} {waited + computed:.0f}"
    for share, seconds in queue.quantiles(now).items():
        said = "Nan" if math.isnan(seconds) else f"{seconds * 1e6:.0f}"
        yield f'{family}{{{label},quantile="{share:g}"}} {said}'
