"""Nodes, GPUs and pods: where servers run, and what that does to their work."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.fleetsim.counters import Page
from tests.fleetsim.cpu import CpuQuota
from tests.fleetsim.loop import Loop
from tests.fleetsim.models import Request
from tests.fleetsim.server import Server
from tests.fleetsim.surroundings import Host

RETRANSMISSION_SECONDS = 0.2
AT_ONCE_SECONDS = 0.0002
"""Shorter times before the core are not worth an event."""


@dataclass
class Node:
    name: str
    cores: float = 32.0
    neighbour_cores: float = 1.0
    """What others on the node want."""
    pods_cores: float = 0.0
    """What our pods used of late."""
    stolen: float = 0.0
    """Share of its time that the hypervisor gives to other machines."""
    defect: float = 1.0
    """Slowness of a node that is not well, and says nothing of it."""
    disk_busy: float = 0.05
    loss: float = 0.0
    """Share of requests that lose a segment on the way."""
    retransmits: float = 0.3
    ready_since: float = 0.0

    def slowness(self, cpu_bound: bool) -> float:
        """Who wants more than there is gets his share; work on a GPU feels less of it."""
        wanted = (self.neighbour_cores + self.pods_cores) / self.cores
        crowded = max(1.0, wanted) / (1 - self.stolen)
        return self.defect * (crowded if cpu_bound else 1 + (crowded - 1) * 0.5)


@dataclass
class Gpu:
    """Painted but for its clock and its other users, which slow the work down."""

    id: str
    memory: float = 24e9
    full_clock: float = 1710.0
    clock: float = 1710.0
    power: float = 140.0
    power_limit: float = 300.0
    temperature: float = 58.0
    throttled: float = 0.0
    others_busy: float = 0.0
    others_memory: float = 0.0
    own_memory: float = 9e9
    xid: float = 0.0

    def slowness(self) -> float:
        return self.full_clock / self.clock / (1 - min(0.9, self.others_busy))


class FrontEnd:
    """The threads of the HTTP server; a connection stays with its thread, and a thread does one thing at a time."""

    def __init__(self, loop: Loop, rng: random.Random, threads: int = 8, thread_ms: float = 0.05) -> None:
        self._loop, self._rng = loop, rng
        self.free_at = [0.0] * threads
        self.thread_ms = thread_ms
        self.bytes_per_second = 1e9
        """Of one connection."""
        self.received = 0.0

    def receive(self, request: Request, connection: int, loss: float, server: Server) -> None:
        now = self._loop.now
        self.received += request.bytes
        arrives = now + request.bytes / self.bytes_per_second
        while loss and self._rng.random() < loss:
            arrives += RETRANSMISSION_SECONDS
        thread = connection % len(self.free_at)
        entered = max(arrives, self.free_at[thread]) + self.thread_ms / 1000
        if arrives <= max(now, self.free_at[thread]):
            self.free_at[thread] = entered
        else:  # the thread does other things while the bytes arrive
            self.free_at[thread] = max(now, self.free_at[thread]) + self.thread_ms / 1000
        if entered - now < AT_ONCE_SECONDS:
            server.enqueue(request)
        else:
            self._loop.at(entered, server.enqueue, request)

    def block(self, thread: int, seconds: float) -> None:
        """A load call over HTTP: the thread does nothing else until it has ended."""
        thread %= len(self.free_at)
        self.free_at[thread] = max(self.free_at[thread], self._loop.now) + seconds


@dataclass
class Scrape:
    at: float
    models: dict[tuple[str, str], Page]
    gpu_busy: float | None
    gpu_memory_used: float
    node_cpu_busy: float


@dataclass(eq=False)
class Pod:
    name: str
    node: Node
    revision: str
    created_at: float
    server: Server
    front: FrontEnd
    gpu: Gpu | None = None
    cpu_limit: float | None = None
    started_at: float | None = None
    ready: bool = False
    ready_since: float | None = None
    phase: str = "Pending"
    unschedulable: str = ""
    restarts: int = 0
    ended_by: str = ""
    ended_at: float | None = None
    removed_at: float | None = None
    factor: float = 1.0
    model_factors: dict[str, float] = field(default_factory=dict)
    memory_used: float = 3e9
    memory_limit: float = 8e9
    memory_grows: float = 0.0
    """Bytes a second."""
    in_flight: dict[object, None] = field(default_factory=dict)
    scrapes: list[Scrape] = field(default_factory=list)
    close_scrapes: list[Scrape] = field(default_factory=list)
    """Of somebody who looks at the live server at the end."""
    log: list[str] = field(default_factory=list)
    scrape_phase: float = 0.0
    gpu_seconds_seen: float = 0.0

    def __post_init__(self) -> None:
        self.attach()

    def attach(self) -> None:
        """Makes its surroundings the present server's."""
        quota = CpuQuota(self.cpu_limit) if self.cpu_limit else None
        self.server.host = Host(slowness=self.slowness, quota=quota)
        self.gpu_seconds_seen = 0.0

    def slowness(self, model: str) -> float:
        gpu = self.gpu.slowness() if self.gpu else 1.0
        full = self.memory_used / self.memory_limit
        pressed = 1 + max(0.0, full - 0.85) * 4
        return (
            self.node.slowness(cpu_bound=self.gpu is None)
            * gpu
            * self.factor
            * self.model_factors.get(model, 1.0)
            * pressed
        )

    def receive(self, request: Request, connection: int) -> None:
        self.front.receive(request, connection, self.node.loss, self.server)

    def say(self, message: str, level: str = "I") -> None:
        """A line in its log, as Triton writes it."""
        moment = datetime.fromtimestamp(self.server.loop.now, UTC).strftime("%m%d %H:%M:%S.%f")
        self.log.append(f"{level}{moment} 1 {message}")

    def scrape(self, now: float, summaries: bool, seconds: float) -> Scrape:
        models = {
            (loaded.model.name, loaded.model.version): loaded.counters.page(
                now, summaries and not loaded.model.cache_entries
            )
            for loaded in self.server.models.values()
        }
        own = self.server.host.gpu_seconds - self.gpu_seconds_seen
        self.gpu_seconds_seen = self.server.host.gpu_seconds
        busy = None
        if self.gpu is not None:
            # Any kernel counts as busy, whoever's it is.
            busy = min(1.0, own / seconds + self.gpu.others_busy)
        return Scrape(
            now,
            models,
            busy,
            (self.gpu.own_memory + self.gpu.others_memory) if self.gpu else 0.0,
            min(1.0, (self.node.neighbour_cores + self.node.pods_cores) / self.node.cores),
        )
