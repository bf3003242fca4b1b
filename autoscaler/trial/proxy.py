"""Pods' pages through the API server's pod proxy, with patience: it is somebody's production API server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol
from urllib.parse import quote, unquote, urlsplit

from autoscaler.trial.refusals import say_refusal
from telemetry.http_body import StatusError
from telemetry.kubernetes_api import KubernetesError
from telemetry.target import Target

PER_SECOND: Final = 20.0
"""Requests to the API server. One of 100 pods, asked every 5 s, reaches it."""
AT_ONCE: Final = 5
CALM_SECONDS: Final = 5.0
"""Nothing is asked for so long after the API server said that it is busy (429)."""
_CONFIG_AGAIN_SECONDS: Final = 20.0


class Proxied(Protocol):
    async def fetch(self, path: str, most: int) -> bytes:
        """What a pod answers at this path of the API server; raises `KubernetesError`."""


def proxied(target: Target) -> Target:
    """The target with paths of the API server in place of the pod's own addresses."""

    def through(url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        pod = f"{target.key.pod}:{parts.port or 80}"
        return (
            f"/api/v1/namespaces/{quote(target.key.namespace)}/pods/{quote(pod, safe=':')}/proxy{parts.path}"
        )

    return replace(target, metrics_url=through(target.metrics_url), http_url=through(target.http_url))


class ProxyPages:
    """`Pages` through the proxy. Models' configurations are read from one pod for all: pods of a workload serve the same, and a
    hundred pods with twenty models would be two thousand requests more."""

    def __init__(self, api: Proxied, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._next = 0.0
        self._reading: dict[str, asyncio.Lock] = {}
        self._failed: dict[str, tuple[float, Exception]] = {}
        self._configs: dict[str, bytes] = {}

    @asynccontextmanager
    async def turn(self, *, mute: bool) -> AsyncIterator[None]:
        async with self._at_once:
            await self._pace()
            yield

    async def read(self, url: str, most: int) -> bytes:
        model = _model_of(url)
        if model is None:
            return await self._fetch(url, most)
        async with self._reading.setdefault(model, asyncio.Lock()):
            if model in self._configs:
                return self._configs[model]
            at, failure = self._failed.get(model, (-_CONFIG_AGAIN_SECONDS, None))
            if failure is not None and self._clock() - at < _CONFIG_AGAIN_SECONDS:
                raise failure
            await self._pace()
            try:
                body = await self._fetch(url, most)
            except Exception as error:
                self._failed[model] = (self._clock(), error)
                raise
            self._configs[model] = body
            return body

    async def _pace(self) -> None:
        due = max(self._clock(), self._next)
        self._next = due + 1 / PER_SECOND
        await asyncio.sleep(due - self._clock())

    async def _fetch(self, path: str, most: int) -> bytes:
        try:
            return await self._api.fetch(path, most)
        except KubernetesError as error:
            if error.status == 429:
                self._next = max(self._next, self._clock() + CALM_SECONDS)
            if error.reason == "Timeout":
                raise TimeoutError from error
            raise StatusError(say_refusal(error)) from error


def _model_of(url: str) -> str | None:
    """The model whose configuration the path asks for; None for another page."""
    _, found, name = url.partition("/v2/models/")
    return unquote(name.removesuffix("/config")) if found and name.endswith("/config") else None
