"""What a pod answers on plain HTTP, within bounds, and its failures in words that are the same each time."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import aiohttp

from telemetry.exposition import MalformedExpositionError

TIMED_OUT: Final = "timed out"
_AS_IS: Final = {"Accept-Encoding": "identity"}  # a body cut short must show as such
_AT_ONCE: Final = 100
_MUTE_AT_ONCE: Final = 2000
"""Targets that timed out last time wait beside the others: a hundred at once, two seconds each, would stretch every round."""


class StatusError(aiohttp.ClientError):
    """The answer has another status than 200."""


class TooLargeError(ValueError):
    """The body is longer than it may be."""


FAILURES: Final = (TimeoutError, aiohttp.ClientError, OSError, ValueError, MalformedExpositionError)
"""What a pod can do wrong."""


def scrape_session() -> aiohttp.ClientSession:
    """A session for scrapes: as many connections as there are targets, and nothing that comes compressed is unpacked, since
    nothing compressed was asked for: a page of a megabyte could unfold to a gigabyte."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)


async def read_body(session: aiohttp.ClientSession, url: str, most: int) -> bytes:
    """The body. Raises ClientError for a status other than 200, ValueError for more than `most` bytes."""
    async with session.get(url, allow_redirects=False, headers=_AS_IS) as response:
        if response.status != 200:
            raise StatusError(f"answers HTTP {response.status}")
        return await read_bounded(response, most)


async def read_bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body that follows. Raises ValueError for more than `most` bytes."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > most:
            raise TooLargeError(f"sends more than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


class Pages(Protocol):
    """The way to the pods' pages."""

    def turn(self, *, mute: bool) -> AbstractAsyncContextManager[object]:
        """Waits until one more pod may be asked, and lets go when that is done. `mute`: it timed out last time."""

    async def read(self, url: str, most: int) -> bytes:
        """The body of at most `most` bytes. Raises one of `FAILURES`."""


class PlainPages:
    """From the pods themselves."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._mute_limit = asyncio.Semaphore(_MUTE_AT_ONCE)

    def turn(self, *, mute: bool) -> AbstractAsyncContextManager[object]:
        return self._mute_limit if mute else self._limit

    async def read(self, url: str, most: int) -> bytes:
        return await read_body(self._session, url, most)


def say_failure(error: BaseException) -> str:
    """The failure in words without numbers that move, so that they are the same at every scrape."""
    match error:
        case TimeoutError():
            return TIMED_OUT
        case MalformedExpositionError():
            return "sends a page that is not in the Prometheus text format"
        case UnicodeDecodeError():
            return "sends a page that is not UTF-8 text"
        case StatusError() | ValueError():
            return str(error)[:120]
        case aiohttp.ClientConnectorError():
            return "connection refused or unreachable"
        case _:
            return "connection broke"
