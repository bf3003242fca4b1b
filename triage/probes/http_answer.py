"""One answer of an HTTP server, bounded in size and time, as it stands: not redirected, not unpacked, no connection kept."""

import asyncio
from dataclasses import dataclass

import aiohttp
import msgspec
from yarl import URL

from triage.evidence import Missing

MAX_ANSWER_BYTES = 8 << 20
_MAX_SAID = 300
_AS_IS = {
    "Accept-Encoding": "identity",  # a few bytes may unpack to gigabytes
    "Connection": "close",  # Triton waits for open connections when it stops: to look must not hold it up
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    at: float
    """Loop second midway between the request and the answer's first bytes: when the server made it, give or take half of that."""


async def read_answer(
    session: aiohttp.ClientSession, url: str, *, seconds: float, what: str, remedy: str
) -> Answer | Missing:
    """The answer to `GET url`, whose path is quoted already, or why there is none. `what` was asked; `remedy` is what to do where
    nobody answers."""
    shown = without_credentials(url)
    loop = asyncio.get_running_loop()
    read = bytearray()
    sent = loop.time()
    try:
        async with (
            asyncio.timeout(seconds),
            session.get(
                URL(url, encoded=True), allow_redirects=False, headers=_AS_IS, auto_decompress=False
            ) as answer,
        ):
            at = (sent + loop.time()) / 2
            while len(read) <= MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES)):
                read += more
    except TimeoutError:
        return Missing("timeout", f"{what}: no answer within {seconds:.2g} s", remedy)
    except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
        said = str(error) or type(error).__name__
        return Missing("unreachable", f"{what}: {said.replace(url, shown)}", remedy)
    if len(read) > MAX_ANSWER_BYTES:
        return Missing("truncated", f"{what}: more than {MAX_ANSWER_BYTES} bytes", f"ask it by hand: {shown}")
    return Answer(answer.status, bytes(read), at)


def without_credentials(url: str) -> str:
    """The address as evidence may show it."""
    return str(URL(url, encoded=True).with_user(None))


def address(url: str) -> str:
    """`HOST:PORT` of it."""
    found = URL(url, encoded=True)
    return f"{found.host_subcomponent}:{found.port}"


def error_of(body: bytes) -> str:
    """Triton's own error, or how somebody else's page begins."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[:_MAX_SAID].decode(errors="replace")
    return str(told.get("error", ""))[:_MAX_SAID] if isinstance(told, dict) else ""
