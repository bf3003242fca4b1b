"""The users: sends a schedule on time, whatever happened to earlier requests, and keeps what each of them saw."""

import asyncio
import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from tests.incidents.traffic import Due

EPOCH = time.time() - time.monotonic()
"""Makes seconds since 1970 of monotonic ones, once for the run, so that no step of the clock is in a latency."""


@dataclass(frozen=True)
class Answer:
    """What one user saw. Times in seconds since 1970."""

    kind: str
    due: float
    done: float
    """When there was a good answer, or the last attempt failed."""
    status: int | None
    """Of the last attempt; None: no answer."""
    attempts: int = 1
    pod: str = ""
    work_ms: float = 0.0

    @property
    def latency_seconds(self) -> float:
        """From when it was due, so that a client that falls behind hides no waiting."""
        return self.done - self.due


def now() -> float:
    """Seconds since 1970, without steps."""
    return time.monotonic() + EPOCH


class Client:
    """Collects `answers`; an async context manager around its connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers: list[Answer] = []

    async def send(self, schedule: Sequence[Due], *, start: float) -> None:
        """Sends each when it is due and returns when the last has its answer."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as requests:
            for due in schedule:
                await asyncio.sleep(max(0.0, start + due.at - now()))
                requests.create_task(self._request(http, due, start + due.at))

    async def _request(self, http: aiohttp.ClientSession, due: Due, at: float) -> None:
        stream, status, pod = due.stream, None, ""
        for attempt in range(1 + stream.retries):
            if attempt:
                await asyncio.sleep(stream.retry_after_seconds)
            status, pod = await self._attempt(http, due, attempt)
            if status == 200:
                break
        self.answers.append(Answer(stream.kind, at, now(), status, attempt + 1, pod, due.work_ms))

    async def _attempt(self, http: aiohttp.ClientSession, due: Due, attempt: int) -> tuple[int | None, str]:
        headers = {"Retry-Attempt": str(attempt)} if attempt else {}
        url = f"{self._url}/v2/models/{due.stream.model}/infer"
        timeout = aiohttp.ClientTimeout(total=due.stream.timeout_seconds)
        try:
            async with http.post(url, data=body(due), headers=headers, timeout=timeout) as answer:
                await answer.read()
                return answer.status, answer.headers.get("Served-By", "")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None, ""


def body(due: Due) -> bytes:
    """Triton's JSON for one request: its first number is the work, its second tells it apart."""
    stream = due.stream
    row = [due.work_ms, float(due.key), *([0.5] * (stream.numbers - 2))]
    shape = [due.batch_size, stream.numbers] if stream.batched else [stream.numbers]
    document: dict[str, object] = {
        "inputs": [{"name": "INPUT", "datatype": "FP32", "shape": shape, "data": row * due.batch_size}]
    }
    if parameters := _parameters(due):
        document["parameters"] = parameters
    return json.dumps(document).encode()


def _parameters(due: Due) -> dict[str, object]:
    stream = due.stream
    found: dict[str, object] = {"priority": stream.priority} if stream.priority else {}
    if length := stream.sequence_length:
        step = due.number % length
        # Apart from the sequences of other streams, which a server may still hold.
        found["sequence_id"] = zlib.crc32(stream.kind.encode()) + due.number // length
        found["sequence_start"] = step == 0
        found["sequence_end"] = stream.sequences_end and step == length - 1
    return found
