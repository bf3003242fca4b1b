"""The cluster's pods in chunks, as far as they may be listed: all at once, or namespace by namespace where that is forbidden."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import list_objects, object_path
from telemetry.listwatch import KubernetesObject
from triage.failing.pods import ListedPod, is_triton
from triage.failing.view import Gap

CHUNK = 250
"""Pods of one answer: some megabytes."""
_NAMESPACES_AT_ONCE = 8
_FORBIDDEN = 403


@dataclass
class Listed:
    """Triton's pods, each with the bytes of its object, so that it need not be read again."""

    pods: list[tuple[ListedPod, bytes]] = field(default_factory=list)
    count: int = 0
    """Pods of all kinds."""
    refusals: dict[str, KubernetesError] = field(default_factory=dict)
    """By namespace."""

    @property
    def unlisted(self) -> Sequence[str]:
        """Namespaces."""
        return sorted(self.refusals)

    @property
    def unseen(self) -> Sequence[Gap]:
        return list(_unlisted(self.refusals))


async def list_triton_pods(api: KubernetesApi, namespaces: Sequence[str], selector: str) -> Listed:
    """Of these namespaces, or of all where none is named. With a label selector all pods that it matches are taken for Triton's.
    Raises KubernetesError where nothing may be listed at all: it names the right that is missing."""
    found = Listed()
    if not namespaces:
        try:
            await _list(api, "/api/v1/pods", selector, found)
        except KubernetesError as error:
            if error.status != _FORBIDDEN:
                raise
            namespaces, found = await _all_namespaces(api, error), Listed()
        else:
            return found
    gate = asyncio.Semaphore(_NAMESPACES_AT_ONCE)

    async def of_one(namespace: str) -> None:
        async with gate:
            try:
                await _list(api, object_path(namespace, "v1", "pods"), selector, found)
            except KubernetesError as error:
                found.refusals[namespace] = error

    async with asyncio.TaskGroup() as group:
        for namespace in namespaces:
            group.create_task(of_one(namespace))
    if namespaces and len(found.refusals) == len(namespaces):
        raise found.refusals[namespaces[0]]
    return found


class _PageMeta(msgspec.Struct, frozen=True):
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct, frozen=True):
    metadata: _PageMeta = _PageMeta()
    items: list[msgspec.Raw] | None = None


_PAGE = msgspec.json.Decoder(_Page)
_POD = msgspec.json.Decoder(ListedPod)


async def _list(api: KubernetesApi, path: str, selector: str, found: Listed) -> None:
    async for raw in _chunks(api, path, selector):
        pods = await asyncio.to_thread(_triton_among, raw, bool(selector), path)
        found.count += len(raw)
        found.pods += pods


async def _chunks(api: KubernetesApi, path: str, selector: str) -> AsyncIterator[list[msgspec.Raw]]:
    asked = {"limit": str(CHUNK), **({"labelSelector": selector} if selector else {})}
    while True:
        try:
            page = _PAGE.decode(await api.get(path, asked))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KubernetesError(f"malformed answer for {path}: {error}", reason="Malformed") from error
        yield page.items or []
        if not page.metadata.continue_:
            return
        asked["continue"] = page.metadata.continue_


def _triton_among(raw: list[msgspec.Raw], all_are: bool, path: str) -> list[tuple[ListedPod, bytes]]:
    try:
        pods = [(_POD.decode(item), item) for item in raw]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KubernetesError(f"malformed answer for {path}: {error}", reason="Malformed") from error
    return [(pod, bytes(item)) for pod, item in pods if all_are or is_triton(pod)]


async def _all_namespaces(api: KubernetesApi, forbidden: KubernetesError) -> Sequence[str]:
    """Raises the refusal of the cluster's pods where namespaces may not be listed either."""
    try:
        found = await list_objects(api, "/api/v1/namespaces", KubernetesObject)
    except KubernetesError as error:
        said = f"{forbidden}; nor may it list namespaces, to look at each: ask about one with -n NAMESPACE"
        raise KubernetesError(said, status=forbidden.status, reason=forbidden.reason) from error
    return sorted(each.metadata.name for each in found)


def _unlisted(refusals: Mapping[str, KubernetesError]) -> Iterator[Gap]:
    by_reason: dict[str, list[str]] = {}
    for namespace, error in sorted(refusals.items()):
        by_reason.setdefault(missing_reason(error), []).append(namespace)
    for reason, namespaces in by_reason.items():
        yield Gap(
            what="pods",
            reason=reason,
            namespaces=tuple(namespaces),
            pods=0,
            detail=str(refusals[namespaces[0]]),
            remedy=_GRANT if reason == "forbidden" else "ask again",
        )


_GRANT = (
    "kubectl create role triton-triage -n NAMESPACE --verb=get,list --resource=pods,pods/log,events,"
    " and a rolebinding of it to you"
)


def missing_reason(error: KubernetesError) -> str:
    if error.status in (401, 403):
        return "forbidden"
    return "timeout" if error.reason == "Timeout" else "unreachable" if error.status is None else "refused"
