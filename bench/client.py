"""Load on a TLS port from a process of its own: `python -m bench.client` reads a JSON plan on stdin and prints what it saw.

Raw connections that are kept, each with one request at a time, as the API server's aggregator keeps its own: a client that
works harder than the server would measure itself. Loopback only."""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle

HOST = "127.0.0.1"
_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Plan:
    """Ports are asked in turn, `seconds` each, `rounds` times over, for one path after the other. `per_second`: so many questions,
    each at its moment, whatever became of those before; None: on each connection the next one when the last is answered."""

    ports: Sequence[int]
    paths: Sequence[str]
    server_name: str
    ca: str
    certificate: str
    connections: int
    seconds: float
    rounds: int
    per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What one port gave in one turn. Milliseconds from the first byte sent, or from the moment at which it was to be sent, to the
    last byte read."""

    port: int
    per_second: float
    p50_ms: float
    p99_ms: float


class UnexpectedAnswerError(Exception):
    """The server answered something else than 200, so its speed means nothing."""


async def run(plan: Plan) -> list[Round]:
    """The rounds, in order; a first one of each port warms up and is not kept."""
    context = ssl.create_default_context(cafile=plan.ca)
    context.load_cert_chain(plan.certificate)
    messages = cycle(_message(path, plan.server_name) for path in plan.paths)
    rounds = []
    for number in range(plan.rounds + 1):
        for port in plan.ports:
            streams = [
                await asyncio.open_connection(HOST, port, ssl=context, server_hostname=plan.server_name)
                for _ in range(plan.connections)
            ]
            began = time.perf_counter()
            if plan.per_second is None:
                latencies = await _ask_at_will(streams, messages, plan.seconds)
            else:
                latencies = await _ask_at_pace(streams, messages, plan.seconds, plan.per_second)
            took = time.perf_counter() - began
            for _, writer in streams:
                writer.close()
            latencies.sort()
            if number:
                rounds.append(
                    Round(port, len(latencies) / took, _quantile(latencies, 0.5), _quantile(latencies, 0.99))
                )
    return rounds


def _message(path: str, host: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n".encode()


async def _ask_at_will(streams: Sequence[_Stream], messages: Iterator[bytes], seconds: float) -> list[float]:
    until = time.perf_counter() + seconds

    async def ask(stream: _Stream) -> list[float]:
        latencies = []
        while (sent := time.perf_counter()) < until:
            latencies.append(await _ask(stream, next(messages), sent))
        return latencies

    return [latency for found in await asyncio.gather(*map(ask, streams)) for latency in found]


async def _ask_at_pace(
    streams: Sequence[_Stream], messages: Iterator[bytes], seconds: float, per_second: float
) -> list[float]:
    free: asyncio.Queue[_Stream] = asyncio.Queue()
    for stream in streams:
        free.put_nowait(stream)

    async def ask(due: float, message: bytes) -> float:
        stream = await free.get()
        latency = await _ask(stream, message, due)
        free.put_nowait(stream)
        return latency

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        asked = []
        for number in range(int(seconds * per_second)):
            due = began + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked.append(group.create_task(ask(due, next(messages))))
    return [task.result() for task in asked]


async def _ask(stream: _Stream, message: bytes, since: float) -> float:
    """Milliseconds from the second `since` until it is answered."""
    reader, writer = stream
    writer.write(message)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(_content_length(head))
    took = (time.perf_counter() - since) * 1000
    if not head.startswith(b"HTTP/1.1 200"):
        raise UnexpectedAnswerError(head.decode(errors="replace"))
    return took


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise UnexpectedAnswerError("an answer without Content-Length")


def _quantile(ordered: Sequence[float], quantile: float) -> float:
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


if __name__ == "__main__":
    print(json.dumps([asdict(found) for found in asyncio.run(run(Plan(**json.load(sys.stdin))))]))
