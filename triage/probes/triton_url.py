"""A Triton server by its HTTP address: repository index, readiness, configuration of failing models, version.

Read-only by nature: nothing is loaded, unloaded or inferred. Redirects are not followed, answers are bounded.
API: triton-inference-server/server:docs/protocol/extension_model_repository.md and the KServe v2 protocol."""

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from triage.collect import Found, Question
from triage.evidence import (
    IndexRow,
    Missing,
    ModelConfig,
    Readiness,
    RepositoryIndex,
    ServerMetadata,
)
from triage.seal import Seal

MAX_ANSWER_BYTES = 8 << 20
FOLLOWED_MODELS = 20
"""So many failing models are asked about one by one."""
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises over an answer that is no JSON, no UTF-8, or nested without end."""
_MAX_SAID = 300
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
    return _Triton(url, session, subject, model).questions()


class _Triton:
    def __init__(self, url: str, session: aiohttp.ClientSession, subject: str, model: str) -> None:
        self._url = url
        self._shown = _without_credentials(url)
        user = URL(url).user
        self._curl = f"curl -s -u {shlex.quote(user)}" if user else "curl -s"  # it asks for the password
        self._session = session
        self._subject = subject
        self._model = model

    def questions(self) -> list[Question]:
        return [
            self._question("index", "index", "POST", "/v2/repository/index", self._index),
            self._question("metadata", "metadata", "GET", "/v2", self._metadata),
            self._question("readiness", "readiness", "GET", "/v2/health/ready", self._server_ready),
        ]

    def _question(
        self, name: str, probe: str, method: str, path: str, ask: Callable[[], Awaitable[Found]]
    ) -> Question:
        async def asked(seal: Seal) -> Found:
            return await ask()

        post = " -X POST -d '{}'" if method == "POST" else ""
        return Question(
            id=name,
            probe=probe,
            source=f"Triton at {self._shown}",
            query=f"{method} {path}",
            command=f"{self._curl}{post} {shlex.quote(self._shown + path)}",
            ask=asked,
            subject=self._subject,
            on_timeout="is this Triton's HTTP port, and does the process still answer? look at its CPU and threads",
        )

    async def _index(self) -> Found:
        answered = await self._call("POST", "/v2/repository/index", {})
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status == 500 and (said := _own_error(body)):
            return Found(RepositoryIndex((), said))
        if status != 200:
            return Found(_refused("the repository index", status, body))
        try:
            rows = msgspec.json.decode(body, type=tuple[IndexRow, ...])
        except UNDECODABLE as error:
            return Found(_no_triton(str(error)))
        followed = [row for row in rows if row.state not in ("", "READY") and row.reason != "unloaded"]
        followed.sort(key=lambda row: (row.name != self._model, not row.reason))
        return Found(
            RepositoryIndex(rows), [q for row in followed[:FOLLOWED_MODELS] for q in self._about(row)]
        )

    def _about(self, row: IndexRow) -> list[Question]:
        path = f"/v2/models/{quote(row.name, safe='')}"
        versioned = f"{path}/versions/{quote(row.version, safe='')}" if row.version.isdigit() else path
        name = f"{row.name}/{row.version}" if row.version else row.name

        async def ready() -> Found:
            return await self._readiness(f"{path}/ready", row.name, "")

        async def version_ready() -> Found:
            return await self._readiness(f"{versioned}/ready", row.name, row.version)

        async def config() -> Found:
            return await self._config(f"{versioned}/config", row.name)

        questions = [
            self._question(f"readiness:{row.name}", "readiness", "GET", f"{path}/ready", ready),
            self._question(f"config:{name}", "config", "GET", f"{versioned}/config", config),
        ]
        if versioned != path:  # another version of it may be ready
            asked = self._question(
                f"readiness:{name}", "readiness", "GET", f"{versioned}/ready", version_ready
            )
            questions.append(asked)
        return questions

    async def _server_ready(self) -> Found:
        return await self._readiness("/v2/health/ready", "", "")

    async def _readiness(self, path: str, model: str, version: str) -> Found:
        answered = await self._call("GET", path)
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status not in (200, 400, 404, 503) or (status == 404 and not model):
            return Found(_refused("readiness", status, body))
        return Found(Readiness(status, model, version))

    async def _config(self, path: str, model: str) -> Found:
        answered = await self._call("GET", path)
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status in (400, 404, 503):  # each was seen for a version that is not loaded
            return Found(ModelConfig(model, loaded=False))
        if status != 200:
            return Found(_refused(f"the configuration of {model}", status, body))
        try:
            told = msgspec.json.decode(body, type=_Config)
        except UNDECODABLE as error:
            return Found(_no_triton(str(error)))
        return Found(ModelConfig(model, True, told.backend, told.platform, told.max_batch_size))

    async def _metadata(self) -> Found:
        answered = await self._call("GET", "/v2")
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status != 200:
            return Found(_refused("the server's metadata", status, body))
        try:
            return Found(msgspec.json.decode(body, type=ServerMetadata))
        except UNDECODABLE as error:
            return Found(_no_triton(str(error)))

    async def _call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes] | Missing:
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


class _Config(msgspec.Struct):
    backend: str = ""
    platform: str = ""
    max_batch_size: int | None = None


def _refused(what: str, status: int, body: bytes) -> Missing:
    said = f"{what}: HTTP {status} {_error_of(body)}".strip()
    if status in (401, 403):
        return Missing(
            "forbidden", said, "ask from where --http-restricted-api lets you, or through the pod's own port"
        )
    if status == 503:
        return Missing("not_started", said, "the server is starting or stopping: ask again, or give its log")
    return Missing(
        "refused", said, "is this Triton's HTTP port? The metrics port and gRPC do not answer this"
    )


def _no_triton(said: str) -> Missing:
    return Missing(
        "parse_error", f"the answer is not Triton's: {said}", "give the address of Triton's HTTP port (8000)"
    )


def _error_of(body: bytes) -> str:
    """Triton's error, or how somebody else's page begins."""
    try:
        told = msgspec.json.decode(body)
    except UNDECODABLE:
        return body[:_MAX_SAID].decode(errors="replace")
    return str(told.get("error", ""))[:_MAX_SAID] if isinstance(told, dict) else ""


class _Error(msgspec.Struct):
    error: str


def _own_error(body: bytes) -> str:
    """The error of Triton's own form; empty for any other page."""
    try:
        return msgspec.json.decode(body, type=_Error).error
    except UNDECODABLE:
        return ""
