"""A decoupled language model behind Triton."""

import math
from collections import deque
from typing import TYPE_CHECKING

from tests.fleetsim.counters import Counters
from tests.fleetsim.models import Model, Request
from tests.fleetsim.surroundings import OK, Defects

if TYPE_CHECKING:
    from tests.fleetsim.server import Server


class LanguageModel:
    """A decoupled language model: `execute()` returns at once and is all that is counted, its requests go on behind it.

    A request holds its tokens of the KV cache from admission to its end; preemption is left out, so a full cache is a queue."""

    def __init__(self, model: Model, server: "Server") -> None:
        self.model, self.server = model, server
        self.service = model.service
        self.counters = Counters()
        self.defects = Defects()
        self.active = 0
        self.tokens = 0
        self.queue: deque[Request] = deque()

    def enqueue(self, request: Request) -> None:
        now = request.entered = self.server.loop.now
        times = (self.service.input_ms, 2.0 * math.exp(self.server.rng.gauss(0, 0.1)), self.service.output_ms)
        self.counters.executed(1, times)
        self.counters.succeeded(now, sum(times) + 0.3, 0.2, times)
        self.queue.append(request)
        self._admit()

    def _admit(self) -> None:
        while self.queue and self.tokens + self.queue[0].tokens <= self.model.llm_tokens:
            request = self.queue.popleft()
            self.active += 1
            self.tokens += request.tokens
            per_token = self.service.base_ms + self.service.per_item_ms * self.active
            factor = self.server.host.slowness(self.model.name) * math.exp(
                self.server.rng.gauss(0, self.service.sigma)
            )
            seconds = request.tokens * per_token / 1000 * factor
            self.server.host.gpu_seconds += seconds / max(self.active, 1)
            self.server.loop.after(seconds, self._finish, request)

    def _finish(self, request: Request) -> None:
        self.active -= 1
        self.tokens -= request.tokens
        self.server.answer(request, OK)
        self._admit()
