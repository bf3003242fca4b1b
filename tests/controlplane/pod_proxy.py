"""The API server's way to simulated pods, for its `pods/proxy` subresource.

kube-apiserver connects to a pod's address and port itself, and to none on loopback ("address not allowed":
pkg/registry/core/pod/strategy.go `ResourceLocation`), which is where simulated pods live. Its transport takes the proxy of its
environment (`CreateProxyTransport`, apimachinery's `SetOldTransportDefaults`), and Go's can be a SOCKS server. So a pod that joins
this network gets an address as on a cluster, and a connection that the API server opens to it goes on to the pod's address on
loopback, byte for byte."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from tests.controlplane.kube_client import KubeClient
from tests.controlplane.kubelet import HELD

_CHUNK: Final = 64 * 1024
_HELLO_SECONDS: Final = 10.0


class PodProxy:
    """An async context manager. `pod_network` is the beginning of the pods' own addresses, such as `127.1`. An address that is no
    pod's fails whoever leaves."""

    def __init__(self, api: KubeClient, pod_network: str) -> None:
        self._api = api
        self._own = f"{pod_network}."
        self._shown = f"10.{pod_network.partition('.')[2]}."
        self._joined: set[str] = set()
        self._unexpected: list[str] = []
        self.connections: list[str] = []
        """`ADDRESS:PORT` that the API server connected to."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        assert not self._unexpected, f"the API server was sent to what is no pod: {self._unexpected}"

    @property
    def environment(self) -> Mapping[str, str]:
        """For kube-apiserver. Only plain HTTP to what is not on loopback takes this way."""
        port = self._server.sockets[0].getsockname()[1]
        return {"HTTP_PROXY": f"socks5://127.0.0.1:{port}", "NO_PROXY": "127.0.0.0/8,localhost"}

    async def join(self, namespace: str, pod: str) -> str:
        """Gives a running pod an address that the API server connects to, and returns the one on loopback behind it."""
        found = await self._api.get("v1", "Pod", pod, namespace)
        own: str = found["status"]["podIP"]
        assert own.startswith(self._own), own
        shown = self._shown + own.removeprefix(self._own)
        self._joined.add(shown)
        held = {"metadata": {"annotations": {HELD: "held"}}}
        await self._api.patch("v1", "Pod", pod, held, namespace)
        address = {"status": {"podIP": shown, "podIPs": [{"ip": shown}]}}
        await self._api.patch("v1", "Pod", pod, address, namespace, subresource="status")
        return own

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as RFC 1928 has it: no authentication, CONNECT to an IPv4 address."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(_HELLO_SECONDS):
                _, methods = await reader.readexactly(2)
                await reader.readexactly(methods)
                writer.write(b"\x05\x00")
                version, command, _, kind = await reader.readexactly(4)
                assert (version, command, kind) == (5, 1, 1), "neither SOCKS 5 nor CONNECT to an IPv4 address"
                shown = str(ipaddress.IPv4Address(await reader.readexactly(4)))
                port = int.from_bytes(await reader.readexactly(2))
            self.connections.append(f"{shown}:{port}")
            if shown not in self._joined:
                self._unexpected.append(f"{shown}:{port}")
            else:
                await self._connect(self._own + shown.removeprefix(self._shown), port, reader, writer)
        writer.close()

    async def _connect(
        self, address: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            from_pod, to_pod = await asyncio.open_connection(address, port)
        except ConnectionRefusedError:
            writer.write(b"\x05\x05\x00\x01" + bytes(6))
            await writer.drain()
            return
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        ways = [asyncio.create_task(_copy(reader, to_pod)), asyncio.create_task(_copy(from_pod, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)  # the end of one is the end of both
        finally:
            for way in ways:
                way.cancel()
            to_pod.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
