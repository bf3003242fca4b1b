"""Requests at random moments drawn beforehand, from a process of its own: the schedule waits for no answer.

`python -m tests.groundtruth.generator STREAM` takes a Stream as JSON, and prints one JSON line a request when all are over.
Raw connections that are kept, because a client that costs a millisecond a request measures itself. Moments are
exponentially spaced (independent users), so that a queue forms below full load. Loopback only."""

import asyncio
import ipaddress
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

DRAIN_SECONDS = 20.0
REFUSED, BROKEN = "refused", "broken"


@dataclass(frozen=True)
class Stream:
    """Requests to one server. `at`: the monotonic second at which it begins. Its requests are numbered from `first` on, and no
    two numbers to one server may be the same; of each `new_every` requests one asks something new, and the others
    all ask the same."""

    url: str
    model: str
    per_second: float
    seconds: float
    seed: int
    at: float
    first: int = 0
    new_every: int = 1
    batched: bool = False
    """The model takes batches: its shapes begin with their size."""


@dataclass
class Request:
    """One request. Times in monotonic seconds."""

    number: int
    due: float
    sent: float = 0.0
    """When its bytes were handed to the kernel."""
    done: float | None = None
    """When its answer was read whole, or its connection ended without one; None if neither was seen."""
    status: int | None = None
    error: str = ""
    """`refused`: it never reached a server; `broken`: the server went away under it."""


def schedule(per_second: float, seconds: float, seed: int) -> list[float]:
    """Seconds after the start at which requests are due."""
    moments: list[float] = []
    drawn = random.Random(seed)
    at = drawn.expovariate(per_second)
    while at < seconds:
        moments.append(at)
        at += drawn.expovariate(per_second)
    return moments


@dataclass(eq=False)
class _Connection(asyncio.Protocol):
    """One kept connection with at most one request on it."""

    idle: list["_Connection"]
    request: Request | None = None
    answer: bytearray = field(default_factory=bytearray)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: Request, message: bytes) -> None:
        self.request, self.over = request, asyncio.Event()
        request.sent = time.monotonic()
        self.transport.write(message)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.answer += data
        head, separator, body = bytes(self.answer).partition(b"\r\n\r\n")
        if not separator or self.request is None or len(body) < _content_length(head):
            return
        self.request.done, self.request.status = now, int(head.split(b" ", 2)[1])
        self.request = None
        self.answer.clear()
        self.idle.append(self)
        self.over.set()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.idle:
            self.idle.remove(self)
        if self.request is not None:
            self.request.done, self.request.error = time.monotonic(), BROKEN
        self.over.set()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def generate(stream: Stream, moments: Sequence[float]) -> list[Request]:
    """Sends one request at each moment, in seconds after the stream's beginning, and returns them when the last is over."""
    url, address = stream.url, urlsplit(stream.url)
    host, port = address.hostname or "", address.port or 80
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{url}: load is sent to loopback only")
    idle: list[_Connection] = []
    tasks: list[asyncio.Task[None]] = []

    async def one(request: Request) -> None:
        try:
            connection = idle.pop() if idle else await _connect(host, port, idle)
        except OSError:
            request.sent = request.done = time.monotonic()
            request.error = REFUSED
            return
        connection.send(request, _message(host, port, stream, request.number))
        await connection.over.wait()

    requests = [
        Request(number, stream.at + moment) for number, moment in enumerate(moments, start=stream.first)
    ]
    for request in requests:
        await asyncio.sleep(max(0.0, request.due - time.monotonic()))
        tasks.append(asyncio.create_task(one(request)))
    if tasks:
        await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
    return requests


async def _connect(host: str, port: int, idle: list[_Connection]) -> _Connection:
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(lambda: _Connection(idle), host, port))[1]


def _message(host: str, port: int, stream: Stream, number: int) -> bytes:
    shape = [1, 1] if stream.batched else [1]
    value = number if number % stream.new_every == 0 else 0
    tensor = {"name": "INPUT", "datatype": "FP32", "shape": shape, "data": [value]}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = f"POST /v2/models/{stream.model}/infer HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


def main() -> None:
    stream = Stream(**json.loads(sys.argv[1]))
    moments = schedule(stream.per_second, stream.seconds, stream.seed)
    for request in asyncio.run(generate(stream, moments)):
        print(json.dumps(asdict(request)))


if __name__ == "__main__":
    main()
