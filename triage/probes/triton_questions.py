"""What to ask a Triton server, whichever way leads there: repository index, readiness, configuration of failing models, version.

Read-only by nature: nothing is loaded, unloaded or inferred.
API: triton-inference-server/server:docs/protocol/extension_model_repository.md and the KServe v2 protocol."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import quote

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
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises over an answer that is no JSON, no UTF-8, or nested without end."""
_MAX_SAID = 300


class Way(Protocol):
    """How a Triton's HTTP port is reached."""

    source: str
    """In words: `Triton at http://...`."""

    def command(self, method: str, path: str) -> str:
        """Asks the same by hand."""
        ...

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes] | Missing:
        """Status and body; redirects are not followed, and nothing is longer than MAX_ANSWER_BYTES."""
        ...


class TritonQuestions:
    """Each question stands alone. `model` is followed before others; `ends` tells the ids of several servers apart."""

    def __init__(self, way: Way, subject: str, model: str, ends: str = "") -> None:
        self._way = way
        self._subject = subject
        self._model = model
        self._ends = ends

    def questions(self) -> list[Question]:
        return [self.index(self.read_index), *self.plain()]

    def index(self, read: Callable[[], Awaitable[Found]]) -> Question:
        """`read` ends in `read_index`."""
        return self._question("index", "index", "POST", "/v2/repository/index", read)

    def plain(self) -> list[Question]:
        """What a GET tells of the server."""
        return [
            self._question("metadata", "metadata", "GET", "/v2", self._metadata),
            self._question("readiness", "readiness", "GET", "/v2/health/ready", self._server_ready),
        ]

    def _question(
        self, name: str, probe: str, method: str, path: str, ask: Callable[[], Awaitable[Found]]
    ) -> Question:
        async def asked(seal: Seal) -> Found:
            return await ask()

        return Question(
            id=f"{name}{self._ends}",
            probe=probe,
            source=self._way.source,
            query=f"{method} {path}",
            command=self._way.command(method, path),
            ask=asked,
            subject=self._subject,
            on_timeout="is this Triton's HTTP port, and does the process still answer? look at its CPU and threads",
        )

    async def read_index(self) -> Found:
        answered = await self._way.call("POST", "/v2/repository/index", {})
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
        answered = await self._way.call("GET", path)
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status not in (200, 400, 404, 503) or (status == 404 and not model):
            return Found(_refused("readiness", status, body))
        return Found(Readiness(status, model, version))

    async def _config(self, path: str, model: str) -> Found:
        answered = await self._way.call("GET", path)
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
        answered = await self._way.call("GET", "/v2")
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status != 200:
            return Found(_refused("the server's metadata", status, body))
        try:
            return Found(msgspec.json.decode(body, type=ServerMetadata))
        except UNDECODABLE as error:
            return Found(_no_triton(str(error)))


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
