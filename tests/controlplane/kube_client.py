"""The Kubernetes API as the tests' administrator uses it: plain JSON over aiohttp, objects as
dictionaries."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

Object = dict[str, Any]
FIELD_MANAGER = "triton-ops-tests"
ANSWER_SECONDS = 30.0


class ApiRefused(Exception):
    """The API server's answer was an error; `status` is the HTTP status, `reason` Kubernetes' word for it."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class KubeClient:
    """An async context manager around one API server and one identity: a client certificate in `tls`, or a
    bearer `token`."""

    def __init__(self, server: str, tls: ssl.SSLContext, *, token: str | None = None) -> None:
        self.server = server
        self._tls = tls
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
            headers=self._headers,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def apply(self, manifests: str | Object | list[Object]) -> list[Object]:
        """Creates or updates each object by server-side apply, in order; YAML may hold several. Returns them
        as stored."""
        applied = []
        for manifest in _as_objects(manifests):
            metadata = manifest["metadata"]
            path = await self.path(
                manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace")
            )
            query = {"fieldManager": FIELD_MANAGER, "force": "true"}
            applied.append(
                await self.call(
                    "PATCH", path, manifest, query=query, content_type="application/apply-patch+yaml"
                )
            )
        return applied

    async def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object:
        return await self.call("GET", await self.path(api_version, kind, name, namespace))

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        selector: str = "",
        fields: str = "",
    ) -> list[Object]:
        """Objects of one namespace, or of all where `namespace` is None."""
        query = {"labelSelector": selector, "fieldSelector": fields}
        answer = await self.call("GET", await self.path(api_version, kind, None, namespace), query=query)
        items: list[Object] = answer["items"]
        return items

    async def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        patch: Object,
        namespace: str | None = None,
        *,
        subresource: str = "",
    ) -> Object:
        """A merge patch: fields set to None are removed."""
        path = await self.path(api_version, kind, name, namespace)
        path += f"/{subresource}" if subresource else ""
        return await self.call("PATCH", path, patch, content_type="application/merge-patch+json")

    async def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        """Without effect where there is no such object."""
        try:
            await self.call("DELETE", await self.path(api_version, kind, name, namespace))
        except ApiRefused as refused:
            if refused.status != 404:
                raise

    async def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        selector: str = "",
        fields: str = "",
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """(ADDED, MODIFIED or DELETED, object), first those that exist, without end: a watch that the server
        ends is opened anew, also after a restart of the server, which may take as long as an answer.

        After a reopening the existing objects come again as ADDED."""
        path = await self.path(api_version, kind, None, namespace)
        query = {"watch": "true", "labelSelector": selector, "fieldSelector": fields}
        lost: float | None = None
        while True:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_SECONDS)
            try:
                async with self._http.get(self.server + path, params=query, timeout=timeout) as answer:
                    await _raise_for(answer, "GET", path)
                    lost = None
                    async for line in _lines(answer.content):
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break
                        yield event["type"], event["object"]
            except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
                lost = lost or time.monotonic()
                if time.monotonic() - lost > ANSWER_SECONDS:
                    raise
            await asyncio.sleep(0.1)

    async def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """The JSON answer of any path; text that is not JSON comes as `{"text": ...}`."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        async with self._http.request(
            method, self.server + path, data=data, params=query, headers=headers
        ) as answer:
            await _raise_for(answer, method, path)
            text = await answer.text()
        found: Object = json.loads(text) if text.startswith("{") else {"text": text}
        return found

    async def path(
        self, api_version: str, kind: str, name: str | None = None, namespace: str | None = None
    ) -> str:
        """Where objects of the kind live; the plural comes from discovery."""
        plural, namespaced = await self._plural(api_version, kind)
        parts = ["/apis" if "/" in api_version else "/api", api_version]
        if namespaced and (namespace or name):
            parts += ["namespaces", namespace or "default"]
        return "/".join([*parts, plural, *([name] if name else [])])

    async def _plural(self, api_version: str, kind: str) -> tuple[str, bool]:
        if (api_version, kind) not in self._plurals:
            group = await self.call("GET", ("/apis/" if "/" in api_version else "/api/") + api_version)
            for resource in group["resources"]:
                if "/" not in resource["name"]:
                    self._plurals[api_version, resource["kind"]] = (resource["name"], resource["namespaced"])
        return self._plurals[api_version, kind]


def _as_objects(manifests: str | Object | list[Object]) -> list[Object]:
    if isinstance(manifests, str):
        return [manifest for manifest in yaml.safe_load_all(manifests) if manifest]
    return [manifests] if isinstance(manifests, dict) else manifests


async def _raise_for(answer: aiohttp.ClientResponse, method: str, path: str) -> None:
    if answer.status < 400:
        return
    text = await answer.text()
    status = json.loads(text) if text.startswith("{") else {}
    message = f"{method} {path}: {answer.status} {status.get('message', text[:500])}"
    raise ApiRefused(message, answer.status, status.get("reason", ""))


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: aiohttp's own refuses those longer than its buffer, as large events are."""
    begun = b""
    async for chunk in stream.iter_any():
        *lines, begun = (begun + chunk).split(b"\n")
        for line in lines:
            yield line
