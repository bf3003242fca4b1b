"""A way to a server that can be cut: a relay on a port of its own, as a network policy or a broken route would take it away."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 65536


class CutRelay:
    """An async context manager; `port` on 127.0.0.1 leads to `host:port` until `cut`, and again after `mend`."""

    def __init__(self, host: str, port: int) -> None:
        self._leads_to = (host, port)
        self._whole = True
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        self._whole = False
        for writer in self._open:
            writer.close()

    def mend(self) -> None:
        self._whole = True

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self._whole:
                there, back = await asyncio.open_connection(*self._leads_to)
                self._open.add(back)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pass_on(reader, back))
                    group.create_task(_pass_on(there, writer))
                self._open.discard(back)
        finally:
            self._open.discard(writer)
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(CHUNK):
            writer.write(block)
            await writer.drain()
    writer.close()
