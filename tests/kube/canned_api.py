"""A Kubernetes API of fixed objects by path; a path that it lacks is 404, one that it forbids 403."""

import json
from collections.abc import AsyncIterator, Collection, Mapping

from telemetry.kubernetes_api import KubernetesError


class CannedApi:
    def __init__(self, objects: Mapping[str, object], forbidden: Collection[str] = ()) -> None:
        self.objects = dict(objects)
        self.forbidden = set(forbidden)
        self.asked: list[str] = []
        self.unanswered = 0
        """So many calls get no answer first."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        self.asked.append(path)
        if self.unanswered:
            self.unanswered -= 1
            raise KubernetesError(f"no answer to get {path}")
        if path in self.forbidden:
            raise KubernetesError(f"cannot get {path}", status=403)
        if path not in self.objects:
            raise KubernetesError(f"no {path}", status=404)
        return json.dumps(self.objects[path]).encode()

    async def put(self, path: str, body: bytes) -> bytes:
        raise AssertionError(path)

    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        raise AssertionError(path)
        yield b""
