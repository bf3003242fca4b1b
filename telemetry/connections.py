"""Connections within bounds: a peer that sends no request, or opens more connections than anybody needs, costs nothing.

aiohttp bounds the length of a request's head and the pause between two requests, but would wait for ever for the first."""

import asyncio

from aiohttp import web

FIRST_HEAD_SECONDS = 20.0
"""From the accepted connection to a whole first request head, TLS handshake included."""
KEEP_ALIVE_SECONDS = 120.0
"""Longer than the 90 s after which Go's HTTP client, kube-apiserver's, closes an idle connection itself: so it is always the
client that closes, and no request meets a connection that is being closed. A slow second head ends here too."""
DRAIN_SECONDS = 5.0
"""For answers under way when the program is told to stop; a peer that does not read must not hold it up until it is killed."""
MAX_CONNECTIONS = 1000
"""With so many open, the oldest that is idle gives way, or the oldest of all where each is being answered: an answer takes
milliseconds, so that one belongs to somebody who does not read. Whoever opens them all cannot keep the kubelet's probes out."""


class BoundedConnections:
    """A protocol factory for `loop.create_server` in front of aiohttp's own."""

    def __init__(
        self,
        server: web.Server,
        *,
        first_head_seconds: float = FIRST_HEAD_SECONDS,
        most: int = MAX_CONNECTIONS,
    ) -> None:
        self._server = server
        self._first_head_seconds = first_head_seconds
        self._most = most

    def __call__(self) -> asyncio.Protocol:
        opened = self._server.connections
        if len(opened) >= self._most:
            gives_way = next((handler for handler in opened if not handler._request_in_progress), opened[0])
            if gives_way.transport is not None:
                gives_way.transport.abort()  # a close would wait until all that was said has been read
        handler = self._server()
        asyncio.get_running_loop().call_later(self._first_head_seconds, _close_if_silent, handler)
        return handler


def _close_if_silent(handler: web.RequestHandler) -> None:
    if handler._request_count == 0:
        handler.force_close()
