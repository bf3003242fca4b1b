"""The tests' kubelet: one real Triton for each Running pod, on the pod's own address and Triton's usual
ports.

So when the real HPA scales a Deployment up a real Triton starts, and when a pod goes its Triton stops."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.tritons.install import TritonInstall
from tests.tritons.server import TritonServer


@dataclass
class PodTritons:
    """An async context manager over the pods of `namespace` that `selector` matches. `servers` holds the
    ready ones by pod name."""

    control_plane: ControlPlane
    install: TritonInstall
    namespace: str
    selector: str
    repository: Path
    folder: Path
    arguments: Sequence[str] = ()
    servers: dict[str, TritonServer] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._changed = asyncio.Event()
        self._pods: dict[str, asyncio.Task[None]] = {}
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [self._watching, *self._pods.values()]
        for task in tasks:
            if not task.cancelling():
                task.cancel()
        failures = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure

    async def until(self, count: int, *, seconds: float = 60.0) -> None:
        """Returns once exactly `count` Tritons are ready; raises what kept one from starting."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.servers) != count:
                    self._changed.clear()
                    self._raise_failures()
                    await self._changed.wait()
        except TimeoutError as late:
            raise TimeoutError(
                f"{len(self.servers)} Tritons ready after {seconds:g} s, not {count}: {self.servers}"
            ) from late

    def urls(self) -> list[str]:
        """Base addresses of the ready servers' HTTP APIs, as a Service would spread requests over."""
        return [server.url for server in list(self.servers.values())]

    async def _watch(self) -> None:
        async for event, pod in self.control_plane.api.watch(
            "v1", "Pod", self.namespace, selector=self.selector
        ):
            name = pod["metadata"]["name"]
            going = event == "DELETED" or "deletionTimestamp" in pod["metadata"]
            if going and name in self._pods and not self._pods[name].cancelling():
                # Once: deletion is seen several times, and a second cancellation would cut short the stop that the first began.
                self._pods[name].cancel()
            elif not going and name not in self._pods and _is_running(pod):
                task = asyncio.create_task(self._serve(name, pod["status"]["podIP"]))
                task.add_done_callback(lambda _: self._changed.set())
                self._pods[name] = task

    async def _serve(self, name: str, address: str) -> None:
        """One pod's life; its end is a cancellation."""
        # A new pod can get the address of one whose Triton is still stopping.
        async with self.control_plane.pod_addresses[address]:
            folder = self.folder / name
            server = TritonServer(
                self.install, self.repository, folder, address=address, arguments=self.arguments
            )
            async with server:
                self.servers[name] = server
                self._changed.set()
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    del self.servers[name]
                    self._changed.set()

    def _raise_failures(self) -> None:
        for task in [self._watching, *self._pods.values()]:
            if task.done() and not task.cancelled():
                task.result()


def _is_running(pod: Object) -> bool:
    return pod["status"].get("phase") == "Running" and bool(pod["status"].get("podIP"))
