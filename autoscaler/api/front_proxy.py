"""Whom the API trusts: kube-apiserver's front proxy, as the cluster itself describes it.

kube-apiserver writes its request-header CA and the allowed common names into a ConfigMap that every
aggregated API server reads. It is watched: when it changes (CA rotation), new connections are judged by the new ones at once.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from autoscaler.api.certificates import pem_blocks
from telemetry.kubernetes_api import KubernetesApi, KubernetesError

log = structlog.get_logger(__name__)

CONFIGMAPS_PATH = "/api/v1/namespaces/kube-system/configmaps"
CONFIGMAP_PATH = f"{CONFIGMAPS_PATH}/extension-apiserver-authentication"
_WATCH = {"fieldSelector": "metadata.name=extension-apiserver-authentication", "timeoutSeconds": "300"}
CA_KEY = "requestheader-client-ca-file"
NAMES_KEY = "requestheader-allowed-names"
READER_ROLE = "extension-apiserver-authentication-reader"
REREAD_SECONDS = 30.0
"""It is read without a word from the watch too: a watch can be refused, or hang on a dead connection."""


class FrontProxyError(Exception):
    """The front proxy cannot be authenticated; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """Who the front proxy is: certificates of this CA with one of these common names; no names mean any."""

    ca_pem: str
    allowed_names: tuple[str, ...] = ()


def parse_front_proxy(configmap: bytes) -> FrontProxy:
    """The front proxy that the ConfigMap extension-apiserver-authentication describes; raises
    `FrontProxyError`."""
    where = "ConfigMap kube-system/extension-apiserver-authentication"
    try:
        data = msgspec.json.decode(configmap, type=_ConfigMap).data or {}
    except msgspec.DecodeError as error:
        raise FrontProxyError(f"{where} is not readable: {error}") from error
    ca_pem = data.get(CA_KEY, "")
    if not ca_pem.strip():
        raise FrontProxyError(
            f"{where} has no {CA_KEY}: kube-apiserver runs without --requestheader-client-ca-file,"
            " so it cannot prove itself to aggregated APIs"
        )
    _check_ca(ca_pem, where)
    try:
        names = msgspec.json.decode(data.get(NAMES_KEY) or "[]", type=list[str])
    except msgspec.DecodeError as error:
        raise FrontProxyError(f"{where}: {NAMES_KEY} is no JSON list of strings: {error}") from error
    return FrontProxy(ca_pem, tuple(names))


async def load_front_proxy(api: KubernetesApi, *, service_account: str = "NAMESPACE:NAME") -> FrontProxy:
    """The front proxy as the cluster describes it now; raises `FrontProxyError`. `service_account` is only
    for the remedy in the message."""
    try:
        return parse_front_proxy(await api.get(CONFIGMAP_PATH))
    except KubernetesError as error:
        raise FrontProxyError(_remedy(error, service_account)) from error


class FrontProxyTrust:
    """The front proxy trusted now. `changed` is awaited with each new one, before it counts as trusted.

    What was once read stays trusted while it cannot be read again: an API server that is down must not
    lock itself out."""

    def __init__(
        self,
        api: KubernetesApi,
        changed: Callable[[FrontProxy], Awaitable[None]],
        *,
        service_account: str = "NAMESPACE:NAME",
        reread_seconds: float = REREAD_SECONDS,
    ) -> None:
        self._api = api
        self._changed = changed
        self._service_account = service_account
        self._reread_seconds = reread_seconds
        self._looking = asyncio.Lock()
        self.front_proxy: FrontProxy | None = None
        self.problem: str | None = "not read yet"
        """Why the last look failed; a problem matters for readiness only while `front_proxy` is None."""

    def allowed_names(self) -> tuple[str, ...]:
        """For the check of common names."""
        return () if self.front_proxy is None else self.front_proxy.allowed_names

    async def keep(self) -> None:
        """Reads at each word of a watch, and every half to one and a half times the interval without one; ends only by
        cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reread())
            group.create_task(self._watch())

    async def _reread(self) -> None:
        while True:
            await self.refresh()
            await self._pause()

    async def _watch(self) -> None:
        """Each event only says that it is time to read: what is trusted comes from one place."""
        while True:
            with suppress(KubernetesError):  # the reads tell what is wrong
                events = self._api.watch(CONFIGMAPS_PATH, _WATCH)
                try:
                    async for _ in events:
                        await self.refresh()
                finally:
                    close = getattr(
                        events, "aclose", None
                    )  # a generator left to the collector keeps its connection
                    if close is not None:
                        await close()
            await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._reread_seconds * random.uniform(0.5, 1.5))  # noqa: S311

    async def refresh(self) -> None:
        """Looks once and applies a change; a failure is kept in `problem` and logged when it changes."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        try:
            found = await load_front_proxy(self._api, service_account=self._service_account)
            if found != self.front_proxy:
                await self._changed(found)
                self.front_proxy = found
                log.info("front proxy trusted", allowed_names=found.allowed_names)
            self.problem = None
        except (
            FrontProxyError,
            OSError,
            ValueError,
        ) as error:  # the port, or a certificate as OpenSSL sees it
            if str(error) != self.problem:
                log.warning("front proxy not taken up", cause=str(error))
            self.problem = str(error)


class _ConfigMap(msgspec.Struct):
    data: dict[str, Any] | None = None


def _check_ca(ca_pem: str, where: str) -> None:
    try:
        if not pem_blocks(ca_pem.encode()):
            raise FrontProxyError(f"{where}: {CA_KEY} holds no PEM certificate")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise FrontProxyError(f"{where}: {CA_KEY} is not readable as PEM: {error}") from error


def _remedy(error: KubernetesError, service_account: str) -> str:
    if error.status == 403:
        return (
            "no right to read ConfigMap kube-system/extension-apiserver-authentication; run:"
            f" kubectl create rolebinding triton-autoscaler-auth-reader -n kube-system --role={READER_ROLE}"
            f" --serviceaccount={service_account}"
        )
    if error.status == 404:
        return (
            "ConfigMap kube-system/extension-apiserver-authentication does not exist: kube-apiserver writes"
            " it when it runs with --requestheader-client-ca-file (the aggregation layer)"
        )
    return f"ConfigMap kube-system/extension-apiserver-authentication cannot be read: {error}"
