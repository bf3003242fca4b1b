"""A Service of several replicas on one loopback port: what kube-proxy and the kubelet's readiness probes do together.

Kubernetes refuses loopback addresses in an EndpointSlice, so the Service is an ExternalName for `localhost` and this is behind it:
each new connection goes, byte for byte, to one of the replicas that were ready at the last probe. TLS is end to end."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp

PROBE_SECONDS = 1.0


class Balancer:
    """An async context manager. `endpoints` are ports of 127.0.0.1 with the URL of each one's readiness probe."""

    def __init__(self, port: int, endpoints: Sequence[tuple[int, str]]) -> None:
        self.port = port
        self._endpoints = tuple(endpoints)
        self.ready: set[int] = set()
        self.connections: dict[int, int] = {port: 0 for port, _ in endpoints}
        """How many were handed to each."""
        self._tasks = set[asyncio.Task[None]]()

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS))
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self._probing = asyncio.create_task(self._probe())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in (self._probing, *self._tasks):
            task.cancel()
        await asyncio.gather(self._probing, *self._tasks, return_exceptions=True)
        await self._http.close()

    async def _probe(self) -> None:
        while True:
            for port, url in self._endpoints:
                if await self._is_ready(url):
                    self.ready.add(port)
                else:
                    self.ready.discard(port)
            await asyncio.sleep(PROBE_SECONDS)

    async def _is_ready(self, url: str) -> bool:
        try:
            async with self._http.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.ready:
                await self._join(random.choice(sorted(self.ready)), reader, writer)
        except OSError:
            pass  # as with kube-proxy, the client sees its connection end
        finally:
            writer.close()

    async def _join(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections[port] += 1
        towards, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            ends = [asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(towards, writer))]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
        finally:
            back.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(2**16):
            sink.write(chunk)
            await sink.drain()
