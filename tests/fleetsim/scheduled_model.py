"""One loaded model: its queues, its batcher or sequence slots, its cache and its instances.

A batcher with a queue delay and no queue policy takes batches ahead, as many as two for each instance, and an instance puts
together what was taken; without a delay what waits is one batch that grows until an instance is free. Left out: the order in which
threads of equal right happen to run."""

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.fleetsim.counters import Counters
from tests.fleetsim.models import Model, Request
from tests.fleetsim.surroundings import FAILED, OK, REFUSED, Defects

if TYPE_CHECKING:
    from tests.fleetsim.server import Server

CLOCK_SECONDS = 1e-6
"""Moments since 1970 are no finer than some tenths of this."""
COPIED_BYTES_PER_MS = 3e6
LOST_WAKEUP_SECONDS = 0.5
"""How long the batcher's thread sleeps when nobody wakes it."""


class ScheduledModel:
    """One loaded model: what waits, what runs, what was counted."""

    def __init__(self, model: Model, server: "Server") -> None:
        self.model = model
        self.service = model.service
        self.server = server
        self.counters = Counters()
        self.defects = Defects()
        self.free = model.instances
        self.lost = 0
        """Instances that the batcher never uses again."""
        self._loop, self._rng = server.loop, server.rng
        self._queues: list[deque[Request]] = [deque() for _ in range(model.priority_levels + 1)]
        policy = model.max_queue_size or model.queue_timeout_ms
        self._takes_ahead = model.dynamic_batching and model.max_queue_delay_ms > 0 and not policy
        self._ahead: deque[list[Request]] = deque()
        self._delayed: deque[Request] = deque()
        self.waiting = 0
        self._asleep_until = 0.0
        self._timer = 0.0
        self._cold = model.cold_executions * model.instances
        self._built = set(model.shapes)
        self._cache: OrderedDict[int, None] = OrderedDict()
        self._in_order: deque[Request] = deque()
        self._active: dict[int, float] = {}
        self._candidates: OrderedDict[int, list[Request]] = OrderedDict()
        self._sigma = (-(self.service.sigma**2) / 2, self.service.sigma)

    def enqueue(self, request: Request) -> None:
        now = request.entered = self._loop.now
        if self.model.cache_entries and self._answered_from_cache(request, now):
            return
        if self.model.max_queue_size and self.waiting >= self.model.max_queue_size:
            self.server.answer(request, REFUSED)  # it never was in the queue, so no counter knows of it
            return
        self.counters.pending += 1
        self.waiting += 1
        if self.model.preserve_ordering:
            self._in_order.append(request)
        if self.model.sequence_slots and not self._has_slot(request, now):
            return
        self._queues[min(request.priority, len(self._queues) - 1)].append(request)
        self._dispatch()

    def forget_cache(self) -> None:
        self._cache.clear()

    def _answered_from_cache(self, request: Request, now: float) -> bool:
        if request.key not in self._cache:
            return False
        self._cache.move_to_end(request.key)
        self.counters.hits += 1
        self.counters.succeeded(now, 0.3, 0.1, (0.0, 0.0, 0.0))
        self.server.answer(request, OK)
        return True

    def _has_slot(self, request: Request, now: float) -> bool:
        if request.sequence in self._active:
            self._active[request.sequence] = now
            return True
        self._candidates.setdefault(request.sequence, []).append(request)
        self._admit(now)
        return False

    def _admit(self, now: float) -> None:
        """Gives free slots to the sequences that wait; one that was idle for too long loses its own."""
        idle = now - self.model.sequence_idle_seconds
        for sequence, seen in list(self._active.items()):
            if seen < idle:
                del self._active[sequence]
        while self._candidates and len(self._active) < self.model.sequence_slots:
            sequence, requests = self._candidates.popitem(last=False)
            self._active[sequence] = now
            self._queues[0].extend(requests)
            self._loop.after(self.model.sequence_idle_seconds + 0.001, self._reap)
        self._dispatch()

    def _reap(self) -> None:
        self._admit(self._loop.now)

    def _dispatch(self) -> None:
        now = self._loop.now
        while self.waiting and self._asleep_until <= now:
            if self.model.queue_timeout_ms:
                self._expire(now)
            if self._takes_ahead:
                self._take_ahead(now)
            if self.free <= self.lost:
                return
            batch = self._next_batch(now)
            if not batch:
                return
            self._execute(batch, now)

    def _take_ahead(self, now: float) -> None:
        while len(self._ahead) < 2 * self.model.instances and (size := self._size_of_next(now)):
            self._ahead.append(self._take(size))

    def _next_batch(self, now: float) -> list[Request]:
        if not self._takes_ahead:
            size = self._size_of_next(now)
            return self._take(size) if size else []
        if not self._ahead:
            return []
        batch = self._ahead.popleft()
        while self._ahead:
            both = sum(request.items for request in (*batch, *self._ahead[0]))
            if both > self.model.max_batch_size:
                break
            batch += self._ahead.popleft()
        return batch

    def _expire(self, now: float) -> None:
        """Timeouts are looked at when the batcher looks, not when they pass."""
        oldest = now - self.model.queue_timeout_ms / 1000
        for queue in self._queues:
            while queue and queue[0].entered < oldest:
                request = queue.popleft()
                if self.model.timeout_delays:
                    self._delayed.append(request)
                    continue
                self._leave(request)
                self._drop(request, now, "REJECTED", REFUSED)
                if self._rng.random() < self.model.drift and self.lost < self.model.instances - 1:
                    self.lost += 1

    def _size_of_next(self, now: float) -> int:
        """Requests of the next execution; 0: none yet."""
        queued = sum(map(len, self._queues))
        ready = queued or len(self._delayed)
        if not ready or not self.model.dynamic_batching:
            return min(ready, 1)
        most = self.model.max_batch_size
        if ready >= most or not queued:
            return min(ready, most)
        fitting = [size for size in self.model.preferred if size <= ready]
        if fitting:
            return max(fitting)
        delay = self.model.max_queue_delay_ms / 1000
        oldest = min(queue[0].entered for queue in self._queues if queue)
        if now - oldest >= delay - CLOCK_SECONDS:
            return ready
        if self._timer != oldest:
            self._timer = oldest
            self._loop.at(oldest + delay, self._dispatch)
        return 0

    def _take(self, size: int) -> list[Request]:
        batch: list[Request] = []
        items = 0
        most = max(self.model.max_batch_size, 1)
        for queue in (*self._queues, self._delayed):
            while queue and len(batch) < size and (not batch or items + queue[0].items <= most):
                items += queue[0].items
                batch.append(queue.popleft())
        return batch

    def _leave(self, request: Request) -> None:
        self.waiting -= 1
        self.counters.pending -= 1

    def _execute(self, batch: Sequence[Request], now: float) -> None:
        self.free -= 1
        items, weight = 0, 0.0
        for request in batch:
            self._leave(request)
            request.started = now
            items += request.items
            weight = max(weight, request.weight)
        if self.defects.hung:
            return
        service, host = self.service, self.server.host
        if self.defects.fails and self._rng.random() < self.defects.fails:
            self._loop.after(self.defects.fails_after_ms / 1000, self._fail, batch)
            return
        infer = service.base_ms + service.per_item_ms * items
        infer *= weight * math.exp(self._rng.gauss(*self._sigma)) * host.slowness(self.model.name)
        if self._cold > 0:
            infer *= 1 + (self.model.cold_factor - 1) * self._cold / (
                self.model.cold_executions * self.model.instances
            )
            self._cold -= 1
        if self._built and items not in self._built:
            self._built.add(items)
            infer += self.model.build_seconds * 1000
        copied = sum(request.bytes for request in batch) / COPIED_BYTES_PER_MS
        times = [service.input_ms * host.copying + copied, infer, service.output_ms * host.copying]
        seconds = sum(times) / 1000
        end = now + seconds
        if host.quota is not None:
            end = host.quota.end_of(now, seconds, service.cpu_threads)
            # A halt falls into whichever phase it falls.
            times = [part * (end - now) / seconds for part in times]
        host.cpu_seconds += seconds * service.cpu_threads
        host.gpu_seconds += (end - now) * service.gpu_share
        self._loop.at(end, self._finish, batch, items, times)

    def _fail(self, batch: Sequence[Request]) -> None:
        now = self._loop.now
        for request in batch:
            self._drop(request, now, "BACKEND", FAILED)
        self._freed(now)

    def _drop(self, request: Request, now: float, reason: str, status: int) -> None:
        if self.model.preserve_ordering:
            self._in_order.remove(request)
        self.counters.failed(reason, (now - request.entered) * 1000)
        self.server.answer(request, status)

    def _finish(self, batch: Sequence[Request], items: int, times: Sequence[float]) -> None:
        now = self._loop.now
        self.counters.executed(items, times)
        for request in batch:
            request.times = (times[0], times[1], times[2])
            self._account(request, now)
            if not self.model.preserve_ordering:
                self._answer(request)
            if request.sequence and request.ends:
                self._active.pop(request.sequence, None)
        # A backend reports a request's times when it hands the answer over; the batcher then keeps it for its turn.
        while self._in_order and self._in_order[0].times is not None:
            self._answer(self._in_order.popleft())
        self._freed(now)

    def _account(self, request: Request, now: float) -> None:
        overhead = self.server.host.overhead_ms
        assert request.times is not None
        queue_ms = (request.started - request.entered) * 1000
        whole = (now - request.entered) * 1000 + overhead
        if self.model.cache_entries:
            self.counters.misses += 1
            self.counters.miss_ms += 0.4
            whole += 0.3
            self._cache[request.key] = None
            if len(self._cache) > self.model.cache_entries:
                self._cache.popitem(last=False)
        self.counters.succeeded(now, whole, queue_ms, request.times)

    def _answer(self, request: Request) -> None:
        bad = self.defects.error_responses and self._rng.random() < self.defects.error_responses
        self.server.answer(request, FAILED if bad else OK)

    def _freed(self, now: float) -> None:
        self.free += 1
        policy = self.model.max_queue_size or self.model.queue_timeout_ms
        can_be_lost = policy and self.waiting and self.model.lost_wakeups and self._asleep_until <= now
        if can_be_lost and self._rng.random() < self.model.lost_wakeups:
            self._asleep_until = now + LOST_WAKEUP_SECONDS
            self._loop.at(self._asleep_until, self._dispatch)
        if self._candidates:
            self._admit(now)
        self._dispatch()
