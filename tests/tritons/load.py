"""Load on real Tritons, with a record of each request: when it was due, sent and answered.

Open loop (a rate that does not wait for answers) shows queues as users feel them; closed loop keeps N
requests in flight. Bounded in time and count, and only ever sent to loopback."""

import asyncio
import ipaddress
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from tests.tritons.server import infer_body

MOST_SECONDS = 600.0
MOST_REQUESTS = 100_000
MOST_IN_FLIGHT = 2_000

Targets = Callable[[], Sequence[str]]
"""The servers' base addresses now; requests go to them in turn, as behind a Service."""


@dataclass(frozen=True)
class Sent:
    """One request. Times in monotonic seconds."""

    url: str
    due: float
    """When the schedule wanted it sent; in closed loop the moment it was sent."""
    sent: float
    done: float
    status: int | None
    """The HTTP status; None when there was no answer."""
    error: str = ""

    @property
    def latency_seconds(self) -> float:
        """From when it was due, so that a generator that falls behind hides no waiting."""
        return self.done - self.due


@dataclass
class Load:
    """Requests for one model. `sent` grows while it runs."""

    targets: Targets
    model: str = "slow"
    value: float = 0.0
    """The request's INPUT: milliseconds of service time for most test models."""
    timeout_seconds: float = 60.0
    api: str = "infer"
    """`generate` for decoupled models, which HTTP's `infer` refuses."""
    sent: list[Sent] = field(default_factory=list)

    async def open_loop(self, *, per_second: float, seconds: float) -> list[Sent]:
        """`per_second` × `seconds` requests at even distances; returns when the last is answered."""
        count = int(per_second * seconds)
        _check_bounds(count, seconds)
        start = time.monotonic()
        in_flight: set[asyncio.Task[None]] = set()
        async with self._session() as http:
            try:
                for number in range(count):
                    due = start + number / per_second
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    if len(in_flight) >= MOST_IN_FLIGHT:
                        self._note(
                            "", due, time.monotonic(), None, f"not sent: {MOST_IN_FLIGHT} requests in flight"
                        )
                        continue
                    task = asyncio.create_task(self._send(http, number, due))
                    in_flight.add(task)
                    task.add_done_callback(in_flight.discard)
                await asyncio.gather(*in_flight)
            finally:
                for task in in_flight:
                    task.cancel()
        return self.sent

    async def closed_loop(self, *, workers: int, seconds: float) -> list[Sent]:
        """`workers` requests in flight until `seconds` have passed."""
        _check_bounds(workers, seconds)
        end = time.monotonic() + seconds
        numbers = itertools.count()

        async def work() -> None:
            while time.monotonic() < end and (number := next(numbers)) < MOST_REQUESTS:
                await self._send(http, number, time.monotonic())

        async with self._session() as http:
            await asyncio.gather(*(work() for _ in range(workers)))
        return self.sent

    def _session(self) -> aiohttp.ClientSession:
        # A connection each: a kept one would pin requests to a server and hold it open when its pod goes.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        return aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=self.timeout_seconds)
        )

    async def _send(self, http: aiohttp.ClientSession, number: int, due: float) -> None:
        sent = time.monotonic()
        urls = self.targets()
        if not urls:
            self._note("", due, sent, None, "no target")
            await asyncio.sleep(0.05)  # workers of a closed loop would spin
            return
        url = _on_loopback(urls[number % len(urls)])
        body = infer_body(self.model, self.value) if self.api == "infer" else {"INPUT": [self.value]}
        try:
            async with http.post(f"{url}/v2/models/{self.model}/{self.api}", json=body) as answer:
                text = await answer.text()
                self._note(url, due, sent, answer.status, "" if answer.status == 200 else text[:300])
        except (aiohttp.ClientError, TimeoutError) as problem:
            self._note(url, due, sent, None, repr(problem))

    def _note(self, url: str, due: float, sent: float, status: int | None, error: str) -> None:
        self.sent.append(Sent(url, due, sent, time.monotonic(), status, error))


def _check_bounds(count: int, seconds: float) -> None:
    if count > MOST_REQUESTS or seconds > MOST_SECONDS:
        raise ValueError(f"{count} requests in {seconds:g} s: at most {MOST_REQUESTS} and {MOST_SECONDS:g} s")


def _on_loopback(url: str) -> str:
    if not ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback:
        raise ValueError(f"{url}: load is sent to loopback only")
    return url
