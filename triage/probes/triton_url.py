"""A Triton server by its HTTP address. Redirects are not followed, answers are bounded."""

import asyncio
import re
import shlex
from typing import Any

import aiohttp
from yarl import URL

from triage.collect import Question
from triage.evidence import Missing
from triage.probes.triton_questions import MAX_ANSWER_BYTES, TritonQuestions

_UNPRINTED = re.compile(r"[\s\x00-\x1f\x7f]")


def check_url(url: str) -> str:
    """The address without a trailing slash, as it is sent. Raises ValueError, saying what would be right."""
    try:
        found = URL(url)
        wrong = _wrong_with(url, found)
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise ValueError(
            f"{_without_secrets(url)!r} is no address of Triton's HTTP port: {wrong};"
            " give one such as http://localhost:8000"
        )
    return str(found).rstrip("/")


def _wrong_with(url: str, found: URL) -> str:
    if _UNPRINTED.search(url):
        return "it has spaces or control characters in it"
    if found.scheme not in ("http", "https") or not found.host:
        return "it has to begin with http:// or https:// and a host"
    if "?" in url or "#" in url:
        return "leave out what follows ? or #"
    if "@" in found.raw_path:
        return "write a / in a password as %2F"
    return ""


def triton_questions(
    url: str, session: aiohttp.ClientSession, subject: str = "", model: str = ""
) -> list[Question]:
    """What to ask the server at `url`, which `check_url` gave; each question stands alone. `model` is followed before others."""
    return TritonQuestions(_Address(url, session), subject, model).questions()


class _Address:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._shown = _without_credentials(url)
        self.source = f"Triton at {self._shown}"
        user = URL(url).user
        self._curl = f"curl -s -u {shlex.quote(user)}" if user else "curl -s"  # it asks for the password
        self._session = session

    def command(self, method: str, path: str) -> str:
        post = " -X POST -d '{}'" if method == "POST" else ""
        return f"{self._curl}{post} {shlex.quote(self._shown + path)}"

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes] | Missing:
        read = bytearray()
        try:
            async with self._session.request(
                method,
                # The path is already quoted; yarl would unquote and quote it again, and a model's name may hold a %2F.
                URL(self._url + path, encoded=True),
                json=body,
                allow_redirects=False,
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,  # a few bytes may unpack to gigabytes
            ) as answer:
                while len(read) <= MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES)):
                    read += more
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            said = str(error) or type(error).__name__
            return Missing(
                "unreachable",
                said.replace(self._url, self._shown),
                "check address and port, or `kubectl port-forward` to the pod's HTTP port",
            )
        if len(read) > MAX_ANSWER_BYTES:
            return Missing("truncated", f"an answer of more than {MAX_ANSWER_BYTES} bytes", "ask it by hand")
        return answer.status, bytes(read)


def _without_credentials(url: str) -> str:
    """They are no part of the evidence, and the address need not be one that can be parsed."""
    return re.sub(r"^([A-Za-z]+://)[^/?#]*@", r"\1", url)


def _without_secrets(url: str) -> str:
    """Of an address that cannot be parsed: whatever may be a password, or a key in a query."""
    scheme, rest = re.fullmatch(r"((?:(?:[A-Za-z]+:)?/+)?)(.*)", url, re.S).groups()  # type: ignore[union-attr]
    return str(scheme + rest.rpartition("@")[2].partition("?")[0])
