"""How every program of ours opens a port."""

import asyncio
import socket
import ssl
from contextlib import AsyncExitStack

from aiohttp import web

from telemetry.connections import DRAIN_SECONDS, KEEP_ALIVE_SECONDS, BoundedConnections


async def listen(
    stack: AsyncExitStack,
    app: web.Application,
    address: str | None,
    port: int,
    tls: ssl.SSLContext | None = None,
) -> int:
    """Serves the application until the stack is left, and drains it then; the port that it got. Address None: all of IPv4 and IPv6.
    Raises OSError."""
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=DRAIN_SECONDS,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    assert runner.server is not None  # noqa: S101 -- set up above
    connections, loop = BoundedConnections(runner.server), asyncio.get_running_loop()
    if address is None and socket.has_dualstack_ipv6():
        every = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        listener = await loop.create_server(connections, sock=every, ssl=tls)
    else:
        listener = await loop.create_server(connections, address or "0.0.0.0", port, ssl=tls)  # noqa: S104
    stack.callback(listener.close)
    return int(listener.sockets[0].getsockname()[1])
