"""Which container holds which devices, by the kubelet of this node (pod-resources API v1, gRPC on a unix socket)."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from google.protobuf.message import DecodeError

from telemetry.gpu_agent.owners import Holding, Owner
from telemetry.gpu_agent.podresources_messages import SERVICE, message_classes
from telemetry.gpu_agent.problems import Problem
from telemetry.gpu_agent.snapshot import FromKubelet
from telemetry.late_import import import_late

SOCKET: Final = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
_SECONDS: Final = 2.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),  # what the kubelet's own clients allow
    # A kubelet that restarts makes its socket anew, which is why its folder is mounted and not the socket: try again soon.
    ("grpc.initial_reconnect_backoff_ms", 1000),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 5000),
)


class PodResources:
    """Asks while it is entered."""

    def __init__(self, socket: Path = SOCKET) -> None:
        self._socket = socket
        self._grpc = import_late("grpc")
        self._classes = message_classes()
        self._channel: Any = None

    async def __aenter__(self) -> Self:
        self._channel = import_late("grpc.aio").insecure_channel(
            f"unix://{self._socket.absolute()}", options=_OPTIONS
        )
        # Bytes go in and come out: the requests have no fields, and gRPC gives None for an answer that is no message.
        self._list = self._channel.unary_unary(f"/{SERVICE}/List")
        self._allocatable = self._channel.unary_unary(f"/{SERVICE}/GetAllocatableResources")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def read(self) -> FromKubelet:
        """Never raises for what the kubelet does: an answer without holdings says why in its problems."""
        if (closed := _closed(self._socket)) is not None:
            return FromKubelet(problems=[closed])
        try:
            async with asyncio.timeout(2 * _SECONDS):
                listed = self._parsed("ListPodResourcesResponse", await self._list(b"", timeout=_SECONDS))
                offered = await self._offered()
        except self._grpc.RpcError as error:
            return FromKubelet(problems=[self._refused(error)])
        except DecodeError:
            return FromKubelet(
                problems=[Problem("pod_resources_error", detail=f"{self._socket}: no answer of this API")]
            )
        except TimeoutError:
            return FromKubelet(problems=[Problem("pod_resources_unreachable", detail="no answer in time")])
        return FromKubelet([*_holdings(listed)], offered)

    async def _offered(self) -> list[tuple[str, str]] | None:
        """None where the kubelet does not tell, however it says so: as not implemented, or by its feature gate (1.21, 1.22).
        Who holds what is told all the same."""
        try:
            told = self._parsed(
                "AllocatableResourcesResponse", await self._allocatable(b"", timeout=_SECONDS)
            )
        except self._grpc.RpcError:
            return None
        return [*_devices(told.devices)]

    def _refused(self, error: Any) -> Problem:
        code = error.code()
        away = code in (self._grpc.StatusCode.UNAVAILABLE, self._grpc.StatusCode.DEADLINE_EXCEEDED)
        kind: Any = "pod_resources_unreachable" if away else "pod_resources_error"
        return Problem(kind, detail=f"{self._socket}: {code.name}: {error.details()}")

    def _parsed(self, message: str, answer: bytes) -> Any:
        """Raises DecodeError."""
        return self._classes[message].FromString(answer)


def _closed(socket: Path) -> Problem | None:
    """Why the socket cannot be opened, which gRPC tells in words that differ between versions."""
    try:
        socket.stat()
    except PermissionError:
        return Problem(
            "pod_resources_forbidden", detail=f"{socket}: its folder is not open to uid {os.getuid()}"
        )
    except OSError as error:
        return Problem("pod_resources_unreachable", detail=f"{socket}: {error.strerror}")
    if not os.access(socket, os.R_OK | os.W_OK):
        return Problem("pod_resources_forbidden", detail=f"{socket}: not open to uid {os.getuid()}")
    return None


def _holdings(listed: Any) -> Iterator[Holding]:
    for pod in listed.pod_resources:
        for container in pod.containers:
            devices = [*_devices(container.devices)]
            for claim in container.dynamic_resources:
                devices += [(given.driver_name, given.device_name) for given in claim.claim_resources]
            if devices:
                yield Holding(Owner(pod.namespace, pod.name, container.name), tuple(devices))


def _devices(given: Any) -> Iterator[tuple[str, str]]:
    for each in given:
        for device in each.device_ids:
            yield each.resource_name, device
