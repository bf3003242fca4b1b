"""Objects of the Kubernetes API, fetched once and decoded into the caller's Struct; for what is watched see `listwatch`."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError

_PAGE_SIZE = 500
_Object = TypeVar("_Object")


def object_path(namespace: str, api_version: str, resource: str, *names: str) -> str:
    """Path of a namespaced resource, such as `pods`, of one object by its name, or of that object's subresource."""
    base = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    parts = (quote(part, safe="") for part in (namespace, resource, *names))
    return "/".join((f"{base}/namespaces", *parts))


async def get_object(api: KubernetesApi, path: str, kind: type[_Object]) -> _Object:
    """Raises `KubernetesError`, also when the answer is no such object."""
    return _decode(path, await api.get(path), kind)


async def list_objects(
    api: KubernetesApi, path: str, kind: type[_Object], query: Mapping[str, str] | None = None
) -> list[_Object]:
    """All objects of a list, page by page; raises `KubernetesError`."""
    found: list[_Object] = []
    asked = {**(query or {}), "limit": str(_PAGE_SIZE)}
    while True:
        page: _Page[Any] = _decode(path, await api.get(path, asked), _Page[kind])  # type: ignore[valid-type]
        found.extend(page.items or ())
        if not page.metadata.continue_:
            return found
        asked["continue"] = page.metadata.continue_


def _decode(path: str, body: bytes, kind: type[_Object]) -> _Object:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KubernetesError(f"malformed answer for {path}: {error}", reason="Malformed") from error


class _PageMeta(msgspec.Struct, frozen=True):
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct, Generic[_Object], frozen=True):
    metadata: _PageMeta = _PageMeta()
    items: list[_Object] | None = None  # Go prints an empty list as null
