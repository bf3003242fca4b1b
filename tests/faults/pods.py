"""A fleet of synthetic Tritons: one for each pod that the real control plane runs in a namespace, under a load that is known.

The load is spread over the pods that serve, as a Service spreads it; when one goes, the others have its share at once."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self
from weakref import WeakKeyDictionary

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import ApiRefused
from tests.controlplane.kubelet import running
from tests.faults.synthetic_triton import METRICS_PORT, SyntheticTriton
from tests.prometheus.server import Target

SELECTOR: Final = "app.kubernetes.io/name=triton"
CONTAINER: Final = "triton"


@dataclass
class SyntheticPods:
    """An async context manager over the pods of `namespace`. `load` is the fleet's, in requests; `changed` is called after each
    pod that came or went."""

    control_plane: ControlPlane
    namespace: str
    changed: Callable[[], None]
    load: float = 0.0
    loading_seconds: float = 0.0
    """How long a new pod loads its model: it answers scrapes, is not ready, and serves nothing."""
    only: str = ""
    """The pod that has all of the load; empty while it is spread."""
    tritons: dict[str, SyntheticTriton] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._pods: dict[str, asyncio.Task[None]] = {}
        self._addresses = _addresses_of(self.control_plane)
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [self._watching, *self._pods.values()]
        for task in tasks:
            task.cancel()
        for failure in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(failure, Exception):
                raise failure

    @property
    def serving(self) -> dict[str, SyntheticTriton]:
        """Those with a loaded model, which their readiness tells the Service."""
        return {name: triton for name, triton in self.tritons.items() if not triton.loading}

    def loads(self) -> tuple[float, ...]:
        """The truth: how many requests are in each pod now."""
        return tuple(triton.load for triton in self.tritons.values())

    def put(self, load: float, *, only: str = "") -> None:
        """The fleet's load from now on."""
        self.load, self.only = load, only
        self._spread()

    def targets(self) -> list[Target]:
        """For Prometheus, with the labels that its Kubernetes discovery gives."""
        return [
            Target(f"{triton.address}:{METRICS_PORT}", {"pod": pod, "namespace": self.namespace})
            for pod, triton in self.tritons.items()
        ]

    def are(self, count: int) -> bool:
        """Whether there are exactly so many, and all serve; raises what kept one from starting."""
        self.raise_failures()
        return len(self.tritons) == count == len(self.serving)

    def raise_failures(self) -> None:
        """What kept a pod from living."""
        for task in [self._watching, *self._pods.values()]:
            if task.done() and not task.cancelled():
                task.result()

    def _triton(self, address: str) -> SyntheticTriton:
        """A new pod's server."""
        return SyntheticTriton(address, loading=True)

    def _spread(self) -> None:
        chosen = [self.only] if self.only in self.tritons else list(self.serving)
        for name, triton in self.tritons.items():
            triton.load = self.load / len(chosen) if name in chosen else 0.0

    async def _watch(self) -> None:
        async for event, pod in self.control_plane.api.watch("v1", "Pod", self.namespace, selector=SELECTOR):
            name = pod["metadata"]["name"]
            going = event == "DELETED" or "deletionTimestamp" in pod["metadata"]
            task = self._pods.get(name)
            if going and task is not None and not task.cancelling():
                task.cancel()
            elif not going and task is None:
                self._pods[name] = asyncio.create_task(self._live(name))

    async def _live(self, name: str) -> None:
        """One pod's life; its end is a cancellation. The pod is held: what a kubelet tells of it is told here."""
        async with self._triton(next(self._addresses)) as triton:
            await self._report(name, triton)
            self.tritons[name] = triton
            self._came_or_went()
            try:
                await asyncio.sleep(self.loading_seconds)
                triton.loading = False
                await self._report(name, triton)
                self._came_or_went()
                await asyncio.get_running_loop().create_future()
            finally:
                del self.tritons[name]
                self._came_or_went()

    async def _report(self, name: str, triton: SyntheticTriton) -> None:
        """Its address, and that it is ready once its model is loaded."""
        address = {"podIP": triton.address, "podIPs": [{"ip": triton.address}]}
        api, kubelet = self.control_plane.api, self.control_plane.kubelet
        try:
            await api.patch("v1", "Pod", name, {"status": address}, self.namespace, subresource="status")
            await kubelet.report(self.namespace, name, running(CONTAINER, ready=not triton.loading))
        except ApiRefused as refused:
            if refused.status != 404:  # it went meanwhile
                raise

    def _came_or_went(self) -> None:
        self._spread()
        self.changed()


_ADDRESSES: Final[WeakKeyDictionary[ControlPlane, Iterator[str]]] = WeakKeyDictionary()


def _addresses_of(control_plane: ControlPlane) -> Iterator[str]:
    """Addresses of the pods' network that no pod of this control plane has had; kwok's own count up from the low end."""
    network = control_plane.pod_network
    every = (f"{network}.{third}.{last}" for third in range(100, 250) for last in range(1, 255))
    return _ADDRESSES.setdefault(control_plane, every)
