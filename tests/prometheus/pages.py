"""Pages on loopback for a real Prometheus to scrape."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def page(text: str | Callable[[], str]) -> AsyncIterator[str]:
    """`host:port` of a server whose `/metrics` is this text."""

    async def show(request: web.Request) -> web.Response:
        body = text if isinstance(text, str) else text()
        return web.Response(text=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/metrics", show)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
