"""A source that answers late, or not at all: an HTTP proxy on loopback before the real one."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol

import aiohttp
from aiohttp import web

_SEED = 20260115
_HOP_BY_HOP = ("host", "connection", "content-length", "transfer-encoding")
_NEVER = 3600.0


class Manner(Protocol):
    def seconds(self, request: web.Request, body: bytes) -> float:
        """How long this request waits before it is passed on."""
        ...


class Late:
    """Each answer takes 2 to 5 seconds longer, as behind a crowded store."""

    def __init__(self) -> None:
        self._random = Random(_SEED)  # noqa: S311 -- repeatable, and guards nothing

    def seconds(self, request: web.Request, body: bytes) -> float:
        return self._random.uniform(2.0, 5.0)


class Hanging:
    """Of the ranges one in ten never comes, always the same ones; all else comes at once."""

    def seconds(self, request: web.Request, body: bytes) -> float:
        if not request.path.endswith("/query_range"):
            return 0.0
        asked = hashlib.sha256(request.query.get("query", "").encode() + body).digest()
        return _NEVER if asked[0] < 256 / 10 else 0.0


@asynccontextmanager
async def proxy(upstream: str, manner: Manner, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of a proxy before `upstream`; `tls` where that is `https://`."""
    connector = aiohttp.TCPConnector(ssl=tls or False, limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            await asyncio.sleep(manner.seconds(request, body))
            headers = {
                name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
            }
            async with session.request(
                request.method, upstream + request.path_qs, headers=headers, data=body
            ) as told:
                kept = {
                    name: value for name, value in told.headers.items() if name.lower() not in _HOP_BY_HOP
                }
                return web.Response(status=told.status, headers=kept, body=await told.read())

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
