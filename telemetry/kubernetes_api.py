"""The few calls that both programs make to the Kubernetes API, as raw JSON bytes.

Typed decoding of 2,000 pods by the Kubernetes client takes 374 ms, msgspec on the needed fields 2.4 ms, so
callers decode what they need."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol


class KubernetesError(Exception):
    """The API server refused, failed or could not be reached.

    `status` is the HTTP status, or None when there was no answer; the message says what was asked of whom.
    `detail` is what the server itself said, alone."""

    def __init__(
        self, message: str, *, status: int | None = None, reason: str = "", detail: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.detail = detail


class KubernetesApi(Protocol):
    """Every call has a deadline of its own; each raises `KubernetesError`."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes: ...

    async def put(self, path: str, body: bytes) -> bytes: ...

    def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of a watch, one JSON event each, until the server ends it. An empty line comes first, once the server has
        taken the watch: the next one may be a minute away."""
        ...


class WritableKubernetesApi(KubernetesApi, Protocol):
    """For objects of our own."""

    async def post(self, path: str, body: bytes) -> bytes: ...

    async def delete(self, path: str) -> bytes: ...
