"""Which models a pod's Triton has, asked through the API server's pod proxy: a small POST, where a log may be megabytes."""

import asyncio
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import quote

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from triage.collect import Found, Question
from triage.evidence import IndexRow, Missing, RepositoryIndex
from triage.failing.triton_pod import TritonPod
from triage.seal import Seal

MOST_BYTES = 2 << 20
_FORBIDDEN = 403


class AskedApi(KubernetesApi, Protocol):
    async def exchange(self, method: str, path: str, body: bytes | None, most: int) -> tuple[int, bytes]:
        """Status and body of what a pod answers through the API server; raises `KubernetesError` where that itself refuses."""
        ...


class PodIndexes:
    """Questions after pods' repository indexes. What is forbidden in a namespace is asked there once, and not of each pod."""

    def __init__(self, api: AskedApi, kubectl: str) -> None:
        self._api = api
        self._kubectl = kubectl
        self._first: dict[str, asyncio.Lock] = {}
        self._allowed: set[str] = set()
        self._forbidden: dict[str, Missing] = {}

    @property
    def forbidden(self) -> Mapping[str, Missing]:
        """By namespace."""
        return self._forbidden

    def question(self, pod: TritonPod) -> Question:
        async def ask(seal: Seal) -> Found:
            return Found(await self._ask(pod, path))

        path = _path(pod)
        return Question(
            id=f"index:{pod.name}",
            probe="index",
            source=f"Triton of pod {pod.name}",
            query=f"POST {path}",
            command=f"echo '{{}}' | {self._kubectl} create --raw {path} -f -",
            ask=ask,
            subject=pod.name,
            on_timeout="does the process still answer? its report looks at its log",
        )

    async def _ask(self, pod: TritonPod, path: str) -> RepositoryIndex | Missing:
        if pod.namespace not in self._allowed:
            async with self._first.setdefault(pod.namespace, asyncio.Lock()):
                if known := self._forbidden.get(pod.namespace):
                    return known
                if pod.namespace not in self._allowed:
                    return await self._fetch(pod, path)
        return self._forbidden.get(pod.namespace) or await self._fetch(pod, path)

    async def _fetch(self, pod: TritonPod, path: str) -> RepositoryIndex | Missing:
        try:
            status, body = await self._api.exchange("POST", path, b"{}", MOST_BYTES)
        except KubernetesError as error:
            if error.status == _FORBIDDEN:
                missing = Missing("forbidden", str(error), _GRANT)
                self._forbidden[pod.namespace] = missing
                return missing
            self._allowed.add(pod.namespace)
            return _missing(error)
        self._allowed.add(pod.namespace)
        if status != 200:
            return Missing(
                "refused", f"the pod answers HTTP {status}", "is this the port of Triton's HTTP API?"
            )
        try:
            return RepositoryIndex(msgspec.json.decode(body, type=tuple[IndexRow, ...]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Missing(
                "parse_error", f"the answer is not Triton's: {error}", "which port is Triton's HTTP port?"
            )


def _path(pod: TritonPod) -> str:
    where = f"{quote(pod.name, safe='')}:{pod.http_port}"
    return f"/api/v1/namespaces/{quote(pod.namespace, safe='')}/pods/{where}/proxy/v2/repository/index"


_GRANT = (
    "kubectl create role triton-triage-index -n NAMESPACE --verb=create --resource=pods/proxy, and a rolebinding of it to you;"
    " whoever has it may also load and unload models"
)


def _missing(error: KubernetesError) -> Missing:
    if error.reason == "Timeout":
        return Missing("timeout", str(error), "ask again; the API server or the pod may be busy")
    if error.reason == "TooLarge":
        return Missing("truncated", str(error), "ask the pod by hand")
    if error.status in (None, 503):
        return Missing("unreachable", str(error), "its ports are not open, or a network policy is in the way")
    return Missing("refused", str(error), "see the message")
