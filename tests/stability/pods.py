"""A fleet of Tritons that queue: one for each pod that the real control plane runs in a namespace, for one stream of requests."""

import math
import time
from dataclasses import dataclass, field

from tests.faults.pods import SyntheticPods
from tests.faults.synthetic_triton import MODEL, SyntheticTriton
from tests.stability.fleet_queue import FleetQueue
from tests.stability.loads import WARM_UP
from tests.stability.queueing import Queue, page


class QueueingTriton(SyntheticTriton):
    """Its page is that of a queue, at the moment at which it is asked for."""

    def __init__(self, address: str, fleet: "QueueingPods") -> None:
        super().__init__(address, loading=True)
        self.queue: Queue = fleet.queue.new_pod()
        self._fleet = fleet

    def page(self) -> str:
        now = self._fleet.catch_up()
        lines = ["# TYPE nv_cpu_utilization gauge", "nv_cpu_utilization 0.5"]
        if not self.loading:
            lines += page(self.queue, MODEL, now)
        return "\n".join(lines) + "\n"


@dataclass
class QueueingPods(SyntheticPods):
    """Nobody sends until `begin`; the run's second 0 comes WARM_UP later."""

    queue: FleetQueue = field(kw_only=True)

    async def __aenter__(self) -> "QueueingPods":
        self.zero = math.inf
        await super().__aenter__()
        return self

    def begin(self) -> None:
        self.zero = time.monotonic() + WARM_UP

    def catch_up(self) -> float:
        """Sends what was due until now, which is returned as a second of the run."""
        now = -1e6 if self.zero == math.inf else time.monotonic() - self.zero
        self.queue.advance(now)
        return now

    def _triton(self, address: str) -> SyntheticTriton:
        return QueueingTriton(address, self)

    def _spread(self) -> None:
        """Who is ready has requests from now on."""
        ready = {name: one.queue for name, one in self.serving.items() if isinstance(one, QueueingTriton)}
        self.queue.serve(ready, self.catch_up())
