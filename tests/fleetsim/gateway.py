"""What stands before the fleet: it picks a pod, waits so long and no longer, tries again, and counts what its clients saw."""

import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.fleetsim.hosts import Pod
from tests.fleetsim.loop import Loop
from tests.fleetsim.models import Request

BUCKETS_MS = (0.5, 1, 2.5, 5, 10, 25, 50, 75, 100, 150, 250, 350, 500, 750, 1000, 1500, 2500, 3500, 5000, 7500, 10000, 15000,
              30000, 60000)  # fmt: skip


@dataclass
class GatewaySettings:
    balancing: str = "round_robin"
    """`round_robin`, `least_connections` or `sticky`: a client stays with its pod."""
    timeout_seconds: float = 30.0
    tries: int = 1
    retries_on: frozenset[int] = frozenset({502, 503})
    retries_timeouts: bool = False
    pool: int = 10_000
    """Requests that it passes on at once; the others wait in it."""
    own_ms: float = 1.0
    connections: int = 64
    """To each pod."""


@dataclass
class Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_MS) + 1))

    def observe(self, milliseconds: float) -> None:
        self.counts[bisect_left(BUCKETS_MS, milliseconds)] += 1


def histogram_quantile(counts: Sequence[float], share: float) -> float | None:
    """Milliseconds, linear within a bucket as PromQL's function of that name; None without an observation."""
    total = sum(counts)
    if total <= 0:
        return None
    rank, below = share * total, 0.0
    for place, count in enumerate(counts):
        if below + count >= rank and count:
            if place >= len(BUCKETS_MS):
                return float(BUCKETS_MS[-1])
            lower = BUCKETS_MS[place - 1] if place else 0.0
            return lower + (BUCKETS_MS[place] - lower) * (rank - below) / count
        below += count
    return float(BUCKETS_MS[-1])


@dataclass
class GatewayPage:
    at: float
    codes: dict[str, int]
    clients: list[int]
    upstream: list[int]
    retries: int
    timeouts: int
    waiting: int
    request_bytes: float
    callers: dict[str, int]


class Gateway:
    def __init__(
        self,
        loop: Loop,
        rng: random.Random,
        settings: GatewaySettings,
        endpoints: Callable[[], Sequence[Pod]],
    ) -> None:
        self.loop, self.rng, self.settings, self.endpoints = loop, rng, settings, endpoints
        self.connect_ms: Callable[[], float] = lambda: 0.0
        """Of looking up the fleet's name and the like, before an attempt."""
        self.codes: dict[str, int] = {"2xx": 0, "5xx": 0}
        self.callers: dict[str, int] = {}
        self.clients, self.upstream = Histogram(), Histogram()
        self.retries = self.timeouts = self.active = 0
        self.request_bytes = 0.0
        self.queue: deque[_Exchange] = deque()
        self.pages: list[GatewayPage] = []
        self._turn = 0
        self._watched: deque[tuple[float, _Exchange, Request]] = deque()
        self._pinned: dict[int, Pod] = {}

    def send(self, request: Request, on_end: Callable[[int], None] | None = None) -> None:
        """A client's request; `on_end` is told the status that the client sees."""
        self.request_bytes += request.bytes
        _Exchange(self, request, on_end).enter()

    def pick(self, client: int) -> Pod | None:
        pods = self.endpoints()
        if not pods:
            return None
        self._turn += 1
        if self.settings.balancing == "sticky":
            pod = self._pinned.get(client)
            if pod is None or pod not in pods:
                pod = self._pinned[client] = pods[client % len(pods)]
            return pod
        if self.settings.balancing == "least_connections":
            start = self._turn % len(pods)
            return min((*pods[start:], *pods[:start]), key=lambda pod: len(pod.in_flight))
        return pods[self._turn % len(pods)]

    def reset(self, pod: Pod) -> None:
        """The connections to a pod that died."""
        for exchange in list(pod.in_flight):
            if isinstance(exchange, _Exchange):
                exchange.answered(502)

    def scrape(self) -> None:
        self.pages.append(
            GatewayPage(
                self.loop.now,
                dict(self.codes),
                list(self.clients.counts),
                list(self.upstream.counts),
                self.retries,
                self.timeouts,
                len(self.queue),
                self.request_bytes,
                dict(self.callers),
            )
        )

    def watch(self, exchange: "_Exchange", sent: Request) -> None:
        """Ends the attempt when its time is up. All wait equally long, so one alarm for the oldest is enough."""
        self._watched.append((self.loop.now + self.settings.timeout_seconds, exchange, sent))
        if len(self._watched) == 1:
            self.loop.at(self._watched[0][0], self._look)

    def _look(self) -> None:
        while self._watched:
            deadline, exchange, sent = self._watched[0]
            if exchange.waits_for(sent):
                if deadline > self.loop.now:
                    self.loop.at(deadline, self._look)
                    return
                self._watched.popleft()
                exchange.timed_out()
            else:
                self._watched.popleft()

    def left(self) -> None:
        self.active -= 1
        while self.queue and self.active < self.settings.pool:
            self.active += 1
            self.queue.popleft().attempt()


class _Exchange:
    """One client's request and all its attempts."""

    def __init__(self, gateway: Gateway, request: Request, on_end: Callable[[int], None] | None) -> None:
        self._gateway, self._wanted, self._on_end = gateway, request, on_end
        self._began = self._attempted = gateway.loop.now
        self._own_ms = gateway.settings.own_ms * (0.6 + 0.8 * gateway.rng.random())
        self._tries = 0
        self._sent: Request | None = None
        self._pod: Pod | None = None

    def enter(self) -> None:
        gateway = self._gateway
        if gateway.active >= gateway.settings.pool:
            gateway.queue.append(self)
            return
        gateway.active += 1
        self.attempt()

    def attempt(self) -> None:
        gateway = self._gateway
        connect_ms = gateway.connect_ms()
        if connect_ms > 1:
            gateway.loop.after(connect_ms / 1000, self._attempt)
        else:
            self._attempt()

    def _attempt(self) -> None:
        gateway, wanted = self._gateway, self._wanted
        self._tries += 1
        self._attempted = gateway.loop.now
        self._pod = gateway.pick(wanted.client)
        if self._pod is None:
            self._end(503)
            return
        # A server may still work on what was sent before, so another try is another request.
        sent = wanted if self._tries == 1 else wanted.again()
        sent.done = self.answered
        self._sent = sent
        self._pod.in_flight[self] = None
        connection = (
            wanted.client
            if gateway.settings.balancing == "sticky"
            else gateway.rng.randrange(gateway.settings.connections)
        )
        gateway.watch(self, sent)
        self._pod.receive(sent, connection)

    def answered(self, status: int) -> None:
        if self._close() is None:
            return
        settings = self._gateway.settings
        if status in settings.retries_on and self._tries < settings.tries:
            self._gateway.retries += 1
            self._gateway.loop.after(0.025, self.attempt)
            return
        self._end(status)

    def waits_for(self, sent: Request) -> bool:
        return sent is self._sent

    def timed_out(self) -> None:
        self._close()
        settings = self._gateway.settings
        self._gateway.timeouts += 1
        if settings.retries_timeouts and self._tries < settings.tries:
            self._gateway.retries += 1
            self.attempt()
            return
        self._end(504)

    def _close(self) -> Request | None:
        """Ends the attempt; the server works on at what nobody waits for."""
        sent, self._sent = self._sent, None
        if sent is None or self._pod is None:
            return None
        sent.done = None
        self._pod.in_flight.pop(self, None)
        self._gateway.upstream.observe((self._gateway.loop.now - self._attempted) * 1000 + 0.3)
        return sent

    def _end(self, status: int) -> None:
        gateway = self._gateway
        code = f"{status // 100}xx"
        gateway.codes[code] = gateway.codes.get(code, 0) + 1
        caller = self._wanted.caller
        if caller:
            gateway.callers[caller] = gateway.callers.get(caller, 0) + 1
        gateway.clients.observe((gateway.loop.now - self._began) * 1000 + self._own_ms)
        gateway.left()
        if self._on_end is not None:
            self._on_end(status)
