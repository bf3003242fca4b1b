"""An API server of one test: it answers what is scripted, and an unexpected call fails the test."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from telemetry.kubernetes_api import KubernetesError


class StrictApi:
    """One object at one path, kept with optimistic locking as kube-apiserver does: a PUT with an old
    `resourceVersion` is a conflict. `before_put` and `after_put` change the object around a PUT, as another
    replica would; an entry in `failures` is raised by the next call."""

    def __init__(self, path: str, content: dict[str, Any] | None) -> None:
        self.path = path
        self.version = 1
        self.content = content
        self.calls: list[str] = []
        self.watched: tuple[str, str] | None = None
        self._called = asyncio.Event()
        self._changed = asyncio.Event()
        self.failures: list[KubernetesError] = []
        self.before_put: list[dict[str, Any]] = []
        self.after_put: list[dict[str, Any]] = []

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        assert (path, query) == (self.path, None), f"unexpected GET {path} {query}"
        self._count("get")
        self._fail()
        if self.content is None:
            raise KubernetesError("not found", status=404, reason="NotFound")
        return self._body()

    async def put(self, path: str, body: bytes) -> bytes:
        assert path == self.path, f"unexpected PUT {path}"
        self._count("put")
        self._fail()
        if self.before_put:
            self.change(self.before_put.pop(0))
        sent = json.loads(body)
        if sent["metadata"].pop("resourceVersion") != str(self.version):
            raise KubernetesError("the object has been modified", status=409, reason="Conflict")
        self.change(sent)
        if self.after_put:
            self.change(self.after_put.pop(0))
        return self._body()

    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """One event for the object as it is, and one at each change, where the test says that it is watched."""
        assert (path, query.get("fieldSelector")) == self.watched, f"unexpected watch {path} {query}"
        self._count("watch")
        self._fail()
        seen = -1
        while True:
            if seen != self.version:
                seen = self.version
                yield self._body()
            self._changed.clear()
            await self._changed.wait()

    async def reached(self, call: str, times: int) -> None:
        """Returns once `get` or `put` was called that often."""
        while self.calls.count(call) < times:
            self._called.clear()
            await self._called.wait()

    def change(self, content: dict[str, Any]) -> None:
        self.content = content
        self.version += 1
        self._changed.set()

    def _count(self, call: str) -> None:
        self.calls.append(call)
        self._called.set()

    def _body(self) -> bytes:
        assert self.content is not None
        metadata = self.content["metadata"] | {"resourceVersion": str(self.version)}
        return json.dumps(self.content | {"metadata": metadata}).encode()

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
