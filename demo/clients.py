"""The load: clients that each send their next request once the last is answered, and the record of what they saw."""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.tritons.server import infer_body

P99_SECONDS = 60.0  # Triton's own summaries cover the last 60 s


@dataclass
class Request:
    """Times in monotonic seconds; `done` is infinite while it is not answered."""

    sent: float
    done: float = math.inf


@dataclass(frozen=True)
class Truth:
    """What the clients saw, on the same scale as the signals; None where there is nothing to say."""

    concurrency: float
    pending: float
    request_rate: float
    queue_ms: float | None
    p99_ms: float | None


@dataclass
class Clients:
    """`count` may change at any time; one that is too many ends after its request."""

    url: str
    model: str
    http: aiohttp.ClientSession
    count: int = 0
    pause: float = 0.0
    """Mean seconds between an answer and the next request, each from half to one and a half of it."""
    failures: int = 0
    sent: list[Request] = field(default_factory=list)
    _working: dict[int, "asyncio.Task[None]"] = field(default_factory=dict)

    def set(self, count: int, group: asyncio.TaskGroup) -> None:
        self.count = count
        for number in range(count):
            if number not in self._working:
                self._working[number] = group.create_task(self._work(number))

    async def _work(self, number: int) -> None:
        try:
            while number < self.count:
                request = Request(time.monotonic())
                self.sent.append(request)
                await self._send()
                request.done = time.monotonic()
                if self.pause:
                    await asyncio.sleep(self.pause * random.uniform(0.5, 1.5))  # noqa: S311 -- not a secret
        finally:
            del self._working[number]

    async def _send(self) -> None:
        try:
            url = f"{self.url}/v2/models/{self.model}/infer"
            async with self.http.post(url, json=infer_body(self.model, 0.0)) as answer:
                await answer.read()
                self.failures += answer.status != 200
        except (aiohttp.ClientError, TimeoutError):
            self.failures += 1
            await asyncio.sleep(0.1)  # a refused connection would make the client spin


def truth(requests: Sequence[Request], now: float, window: float, service_ms: float, instances: int) -> Truth:
    """The last `window` seconds as the clients saw them. A request takes `service_ms`, and `instances` run at once;
    what a request took beyond that it waited."""
    start = now - window
    in_flight = sum(max(0.0, min(r.done, now) - max(r.sent, start)) for r in requests) / window
    done = [r.done - r.sent for r in requests if start < r.done <= now]
    lately = [r.done - r.sent for r in requests if now - P99_SECONDS < r.done <= now]
    return Truth(
        concurrency=in_flight,
        pending=max(0.0, in_flight - min(instances, len(done) * service_ms / 1000 / window)),
        request_rate=len(done) / window,
        queue_ms=max(0.0, 1000 * sum(done) / len(done) - service_ms) if done else None,
        p99_ms=quantile_ms(lately, 0.99),
    )


def quantile_ms(seconds: Sequence[float], share: float) -> float | None:
    """The least of them that is no less than `share` of them, in milliseconds; None of none."""
    return 1000 * sorted(seconds)[math.ceil(share * len(seconds)) - 1] if seconds else None
