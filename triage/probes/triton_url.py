"""A Triton server by its HTTP address: repository index, readiness, configuration of failing models, version.

Read-only by nature: nothing is loaded, unloaded or inferred. Redirects are not followed, answers are bounded.
API: triton-inference-server/server:docs/protocol/extension_model_repository.md and the KServe v2 protocol."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

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


def check_url(url: str) -> str:
    """The address without a trailing slash. Raises ValueError, saying what would be right."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"{url!r} is no address of Triton's HTTP port; give one such as http://localhost:8000"
        )
    return url.rstrip("/")


def triton_questions(url: str, session: aiohttp.ClientSession, subject: str = "") -> list[Question]:
    """What to ask the server at `url`; each question stands alone."""
    return _Triton(url, session, subject).questions()


class _Triton:
    def __init__(self, url: str, session: aiohttp.ClientSession, subject: str) -> None:
        self._url = url
        self._session = session
        self._subject = subject

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
            source=f"Triton at {self._url}",
            query=f"{method} {path}",
            command=f"curl -s{post} '{self._url}{path}'",
            ask=asked,
            subject=self._subject,
            on_timeout="is this Triton's HTTP port, and does the process still answer? look at its CPU and threads",
        )

    async def _index(self) -> Found:
        answered = await self._call("POST", "/v2/repository/index", {})
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status == 500 and (said := _error_of(body)):
            return Found(RepositoryIndex((), said))
        if status != 200:
            return Found(_refused("the repository index", status, body))
        try:
            rows = msgspec.json.decode(body, type=tuple[IndexRow, ...])
        except msgspec.DecodeError as error:
            return Found(_no_triton(str(error)))
        unready = [row for row in rows if row.state and row.state != "READY"]
        return Found(
            RepositoryIndex(rows), [q for row in unready[:FOLLOWED_MODELS] for q in self._about(row)]
        )

    def _about(self, row: IndexRow) -> list[Question]:
        path = f"/v2/models/{quote(row.name, safe='')}"
        versioned = f"{path}/versions/{quote(row.version, safe='')}" if row.version.isdigit() else path
        name = f"{row.name}/{row.version}" if row.version else row.name

        async def ready() -> Found:
            return await self._readiness(f"{path}/ready", row.name, row.version)

        async def config() -> Found:
            return await self._config(f"{versioned}/config", row.name)

        return [
            self._question(f"readiness:{name}", "readiness", "GET", f"{path}/ready", ready),
            self._question(f"config:{name}", "config", "GET", f"{versioned}/config", config),
        ]

    async def _server_ready(self) -> Found:
        return await self._readiness("/v2/health/ready", "", "")

    async def _readiness(self, path: str, model: str, version: str) -> Found:
        answered = await self._call("GET", path)
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status in (401, 403):
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
        except msgspec.DecodeError as error:
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
        except msgspec.DecodeError as error:
            return Found(_no_triton(str(error)))

    async def _call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes] | Missing:
        # The path is already quoted; yarl would unquote and quote it again, and a model's name may hold a %2F.
        from yarl import URL

        try:
            async with self._session.request(
                method,
                URL(self._url + path, encoded=True),
                json=body,
                allow_redirects=False,
                headers={"Accept-Encoding": "identity"},
            ) as answer:
                read = await answer.content.read(MAX_ANSWER_BYTES + 1)
                while len(read) <= MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES)):
                    read += more
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            said = str(error) or type(error).__name__
            return Missing(
                "unreachable",
                said,
                "check address and port, or `kubectl port-forward` to the pod's HTTP port",
            )
        if len(read) > MAX_ANSWER_BYTES:
            return Missing("truncated", f"an answer of more than {MAX_ANSWER_BYTES} bytes", "ask it by hand")
        return answer.status, read


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
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body[:200].decode(errors="replace")
    return str(told.get("error", ""))[:300] if isinstance(told, dict) else ""
