"""The TLS port for the front proxy alone: no certificate of the request-header CA, no handshake."""

import asyncio
import socket
import ssl
from types import TracebackType
from typing import Self

from aiohttp import web

from telemetry.connections import DRAIN_SECONDS, KEEP_ALIVE_SECONDS, BoundedConnections

HANDSHAKE_SECONDS = 10.0
"""A peer that opens a connection and says nothing is dropped after this."""


class ApiServer:
    """Serves an application on one TLS port; what it trusts and shows can be replaced while it runs.

    `use` opens the listening socket again (as a duplicate, so that no connection is refused in between)
    with the new context. An old context cannot simply be changed: OpenSSL has no way to take a CA back,
    and resumed sessions would outlive it."""

    def __init__(self, app: web.Application, *, host: str = "0.0.0.0", port: int = 6443) -> None:  # noqa: S104
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=DRAIN_SECONDS,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
        )
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._socket = socket.create_server(self._address, family=family, backlog=128)
        self._socket.setblocking(False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops taking connections, then lets requests in flight end."""
        await self._stop_listening()
        if self._socket is not None:
            self._socket.close()
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port really bound, where 0 was asked for."""
        assert self._socket is not None, "the server is not entered"  # noqa: S101
        return int(self._socket.getsockname()[1])

    async def use(self, context: ssl.SSLContext) -> None:
        """Starts serving with this context, or changes to it for every connection from now on."""
        assert self._socket is not None, "the server is not entered"  # noqa: S101
        assert self._runner.server is not None  # noqa: S101
        listener = await asyncio.get_running_loop().create_server(
            BoundedConnections(self._runner.server),
            sock=self._socket.dup(),
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
        )
        await self._stop_listening()
        self._listener, self._context = listener, context

    def is_current(self, context: ssl.SSLContext | None) -> bool:
        """Whether new connections get this context."""
        return context is self._context

    async def _stop_listening(self) -> None:
        """Accepts nothing more, then closes: asyncio drops what a closed server has accepted but not
        begun, so those get the one turn of the loop that they need."""
        if self._listener is None:
            return
        for listening in self._listener.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        await asyncio.sleep(0)
        self._listener.close()
        self._listener = None


def front_proxy_context(request_header_ca_pem: str) -> ssl.SSLContext:
    """A server context that demands a client certificate of this CA; its own certificate is loaded into it
    next (`certificates.load_certificate`). Raises `ssl.SSLError` if the PEM holds no certificate.

    TLS 1.2 or newer. Any certificate in the bundle is an anchor, intermediates too, as in Go."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.load_verify_locations(cadata=request_header_ca_pem)
    return context
