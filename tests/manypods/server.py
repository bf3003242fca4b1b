"""A thousand pods' Tritons out of one process: each with an address of its own on loopback, none with a model behind it.

Bare HTTP/1.1 over asyncio's streams of bytes, since the machine should be left to who is measured; pages are made when they are
asked for (tests/manypods/page.py), models' configurations and repository indexes once."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final, NoReturn

from tests.local_process import free_ports
from tests.manypods.page import Models

_MANY: Final = 250
"""Pods whose addresses differ in their last number alone."""


class UnexpectedRequestError(Exception):
    """Somebody asked for what no part of this project asks a Triton for."""


@dataclass(frozen=True)
class Pod:
    number: int
    address: str
    models: Models

    @property
    def name(self) -> str:
        return f"{self.models.workload}-6d4cf56db6-{self.number:05d}"


@dataclass(frozen=True)
class ManyPods:
    """`pods` pods in as many workloads as `pods_a_workload` makes of them, each with `models` models that no other workload has."""

    pods: int
    models: int
    pods_a_workload: int = 50
    port: int = 0
    began: float = 0.0
    """Monotonic second at which all pods started."""

    def __str__(self) -> str:
        return f"{self.pods:,} pods x {self.models} models"

    def __iter__(self) -> Iterator[Pod]:
        workloads = [Models(f"chat-{n}", self.models) for n in range(-(-self.pods // self.pods_a_workload))]
        for number in range(self.pods):
            address = f"127.77.{number // _MANY}.{number % _MANY + 1}"
            yield Pod(number, address, workloads[number // self.pods_a_workload])

    def url(self, pod: Pod) -> str:
        """Of both its APIs."""
        return f"http://{pod.address}:{self.port}"


def answer(pod: Pod, method: str, path: str, age: float) -> bytes:
    """The body that the pod's Triton sends `age` seconds after its start. Raises UnexpectedRequestError."""
    match method, path.split("/")[1:]:
        case "GET", ["metrics"]:
            return pod.models.page(pod.number, age)
        case "GET", ["v2", "models", name, "config"]:
            return json.dumps({"name": name, "max_batch_size": 8}).encode()
        case "POST", ["v2", "repository", "index"]:
            index = [{"name": name, "version": "1", "state": "READY"} for name in pod.models.names]
            return json.dumps(index).encode()
    raise UnexpectedRequestError(f"{method} {path}")


@asynccontextmanager
async def serving(many: ManyPods) -> AsyncIterator[ManyPods]:
    """The same pods with a port and a beginning, served by a process of their own until the block ends."""
    found = ManyPods(many.pods, many.models, many.pods_a_workload, free_ports(1)[0], time.monotonic())
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(found, theirs), daemon=True)
    process.start()
    try:
        await asyncio.to_thread(ours.recv)
        yield found
    finally:
        process.terminate()
        await asyncio.to_thread(process.join)


def _serve(many: ManyPods, port: Connection) -> NoReturn:
    asyncio.run(_listen(many, port))
    raise AssertionError("it serves until it is terminated")


async def _listen(many: ManyPods, port: Connection) -> None:
    pods = {pod.address: pod for pod in many}
    await asyncio.get_running_loop().create_server(lambda: _Triton(pods, many.began), [*pods], many.port)
    port.send(None)
    await asyncio.Event().wait()


class _Triton(asyncio.Protocol):
    """One connection; which pod is meant tells the address that was connected to."""

    def __init__(self, pods: Mapping[str, Pod], began: float) -> None:
        self._pods = pods
        self._began = began
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._pod = self._pods[transport.get_extra_info("sockname")[0]]

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            length = _content_length(head)
            if len(self._unread) < end + 4 + length:
                return
            self._unread = self._unread[end + 4 + length :]
            method, path = head.decode().split(" ", 2)[:2]
            body = answer(self._pod, method, path, time.monotonic() - self._began)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            if b"connection: close" in head.lower():
                self._transport.close()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
