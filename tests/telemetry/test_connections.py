"""Peers that send nothing, or too much, on the plain port, which anybody in the cluster may reach."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from autoscaler.api.plain import make_plain_app
from telemetry.connections import BoundedConnections
from telemetry.plain_port import Condition, Conditions

REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def _plain_port(
    *, first_head_seconds: float = 60.0, most: int = 100, ready: Conditions = list
) -> AsyncIterator[int]:
    app = make_plain_app(live=list, ready=ready, registry=CollectorRegistry())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    factory = BoundedConnections(runner.server, first_head_seconds=first_head_seconds, most=most)
    listener = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    async with asyncio.timeout(60):
        yield listener.sockets[0].getsockname()[1]
    listener.close()
    await runner.cleanup()


async def _said(port: int, *parts: bytes) -> bytes:
    """All that the server says until it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("head", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(head: bytes) -> None:
    async with _plain_port(first_head_seconds=0.2) as port:
        assert await _said(port, head) == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET " + b"/" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"\0" * 1000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["tls", "path", "headers", "header", "nul", "http2"],
)
async def test_what_is_no_request_is_refused_and_the_next_is_served(garbage: bytes) -> None:
    async with _plain_port() as port:
        said = await _said(port, garbage)
        assert said == b"" or said.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/2.0 400"))
        assert len(said) < 40_000, (
            "at most the line, which aiohttp bounds at 8190 bytes, with each byte escaped"
        )
        assert b"Traceback" not in said
        assert (await _said(port, REQUEST.replace(b"1.1", b"1.0"))).endswith(b"ok")


async def test_a_connection_too_many_takes_the_place_of_the_oldest_that_is_idle() -> None:
    """A probe gets in, however many connections somebody keeps open; those in use go on."""
    async with _plain_port(most=4) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        for reader, writer in opened:
            writer.write(REQUEST)
            assert await reader.readuntil(b"ok")
        assert (await _said(port, REQUEST.replace(b"1.1", b"1.0"))).endswith(b"ok")
        assert await opened[0][0].read() == b""
        for reader, writer in opened[1:]:
            writer.write(REQUEST)
            assert await reader.readuntil(b"ok")
        for _, writer in opened:
            writer.close()


async def test_those_who_ask_and_do_not_read_keep_nobody_out() -> None:
    """Their answers fill the kernel's buffers, and then wait in the server for ever."""
    long = [Condition(f"line-{n}", ok=True, note="x" * 290) for n in range(20_000)]
    async with _plain_port(most=4, ready=lambda: long) as port:
        loop = asyncio.get_running_loop()
        mute = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, b"GET /readyz?verbose HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
            mute.append(client)
        await asyncio.sleep(1)
        for _ in range(5):
            assert (await _said(port, REQUEST.replace(b"1.1", b"1.0"))).endswith(b"ok")
        for client in mute:
            client.close()
