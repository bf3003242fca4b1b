"""Load on a TLS port from a process of its own: `python -m bench.client` reads a JSON plan on stdin and prints what it saw.

Raw connections that are kept, each with one request at a time, as the API server's aggregator keeps its own: a client that
works harder than the server would measure itself. Loopback only."""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Plan:
    """Ports are asked in turn, `seconds` each, `rounds` times over."""

    ports: Sequence[int]
    path: str
    server_name: str
    ca: str
    certificate: str
    connections: int
    seconds: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Round:
    """What one port gave in one turn. Milliseconds from the first byte sent to the last byte read."""

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
    message = (
        f"GET {plan.path} HTTP/1.1\r\nHost: {plan.server_name}\r\nAccept: application/json\r\n\r\n".encode()
    )
    streams = {
        port: [
            await asyncio.open_connection(HOST, port, ssl=context, server_hostname=plan.server_name)
            for _ in range(plan.connections)
        ]
        for port in plan.ports
    }
    rounds = []
    for number in range(plan.rounds + 1):
        for port in plan.ports:
            until = time.perf_counter() + plan.seconds
            began = time.perf_counter()
            answers = await asyncio.gather(*(_ask(*stream, message, until) for stream in streams[port]))
            took = time.perf_counter() - began
            latencies = sorted(latency for found in answers for latency in found)
            if number:
                rounds.append(
                    Round(port, len(latencies) / took, _quantile(latencies, 0.5), _quantile(latencies, 0.99))
                )
    for _, writer in (stream for found in streams.values() for stream in found):
        writer.close()
    return rounds


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes, until: float
) -> list[float]:
    latencies = []
    while (sent := time.perf_counter()) < until:
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(_content_length(head))
        latencies.append((time.perf_counter() - sent) * 1000)
        if not head.startswith(b"HTTP/1.1 200"):
            raise UnexpectedAnswerError(head.decode(errors="replace"))
    return latencies


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
