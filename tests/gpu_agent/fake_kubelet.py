"""A kubelet's pod-resources socket: a gRPC server of the real api.proto (podresources_v1.proto is kubernetes/kubelet v0.36.3,
pkg/apis/podresources/v1/api.proto, as it stands, Apache-2.0), compiled by protoc here, so that the agent's own messages are
compared with it. Strict: an unexpected method is kept and fails the test."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTO = Path(__file__).with_name("podresources_v1.proto")


@cache
def real_messages() -> Mapping[str, Any]:
    """The classes of the real api.proto by name."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "set"
        protoc = [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{PROTO.parent}",
            f"--descriptor_set_out={out}",
            PROTO.name,
        ]
        subprocess.run(protoc, check=True)
        [file] = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        each.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{each.name}"))
        for each in file.message_type
    }


@dataclass(frozen=True)
class FakeContainer:
    namespace: str
    pod: str
    container: str
    devices: Sequence[str] = ()
    resource: str = "nvidia.com/gpu"
    claimed: Sequence[str] = ()
    """Devices of NVIDIA's DRA driver."""


class FakeKubelet:
    """Serves while it is entered; again and again, each time with a socket of its own, as a kubelet that restarts."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.containers: Sequence[FakeContainer] = ()
        self.offered: Sequence[str] | None = ()
        """Device ids; None: GetAllocatableResources is not there, as before 1.23."""
        self.refuses: grpc.StatusCode | None = None
        self.refuses_offered: grpc.StatusCode | None = None
        """With what GetAllocatableResources alone fails."""
        self.garbage = False
        self.hangs = False
        self.unexpected: list[str] = []
        self._server: Any = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        assert not self.unexpected

    async def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        assert self._server.add_insecure_port(f"unix://{self.socket}")
        await self._server.start()

    async def stop(self, *, leave_socket: bool = False) -> None:
        """`leave_socket`: its file stays, with nobody behind it, as after a kubelet that was killed."""
        kept = self.socket.with_suffix(".kept")
        if leave_socket:
            self.socket.rename(kept)  # gRPC removes the file of a socket that it closes
        await self._server.stop(None)
        self.socket.unlink(missing_ok=True)
        if leave_socket:
            kept.rename(self.socket)

    async def list(self, request: Any, context: Any) -> Any:
        if self.refuses is not None:
            await context.abort(self.refuses, "by the test")
        if self.hangs:
            await asyncio.sleep(3600)
        if self.garbage:
            return _Garbage()
        answer = real_messages()["ListPodResourcesResponse"]()
        for given in self.containers:
            pod = answer.pod_resources.add(name=given.pod, namespace=given.namespace)
            container = pod.containers.add(name=given.container, cpu_ids=[1, 2])
            container.memory.add(memory_type="memory", size=1)
            if given.devices:
                devices = container.devices.add(resource_name=given.resource, device_ids=given.devices)
                devices.topology.nodes.add(ID=0)
            container.devices.add(resource_name="example.com/nic", device_ids=["eth1"])
            if given.claimed:
                claim = container.dynamic_resources.add(claim_name="gpus", claim_namespace=given.namespace)
                for device in given.claimed:
                    claim.claim_resources.add(
                        driver_name="gpu.nvidia.com", pool_name="node-a", device_name=device
                    )
        return answer

    async def allocatable(self, request: Any, context: Any) -> Any:
        if self.offered is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "unknown method GetAllocatableResources")
        if self.refuses_offered is not None:
            await context.abort(self.refuses_offered, "by the test")
        answer = real_messages()["AllocatableResourcesResponse"](cpu_ids=[1, 2])
        for device in self.offered or ():
            answer.devices.add(resource_name="nvidia.com/gpu", device_ids=[device])
        return answer


class _Garbage:
    """An answer that is no message."""

    def SerializeToString(self) -> bytes:
        return b"\xff\xff\xff"


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, kubelet: FakeKubelet) -> None:
        self._kubelet = kubelet

    def service(self, handler_call_details: Any) -> Any:
        known: Mapping[str, tuple[Callable[[Any, Any], Any], str]] = {
            "/v1.PodResourcesLister/List": (self._kubelet.list, "ListPodResourcesRequest"),
            "/v1.PodResourcesLister/GetAllocatableResources": (
                self._kubelet.allocatable,
                "AllocatableResourcesRequest",
            ),
        }
        if handler_call_details.method not in known:
            self._kubelet.unexpected.append(handler_call_details.method)
            return None
        answer, request = known[handler_call_details.method]
        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=real_messages()[request].FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
