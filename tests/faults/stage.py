"""Where rows play: one control plane, one adapter, one real Prometheus behind proxies, and the fleets in it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.controlplane.kubelet import HELD
from tests.e2e.fleet import deployment
from tests.faults.adapters import Adapter
from tests.faults.pods import SyntheticPods
from tests.faults.proxy import PrometheusProxy
from tests.opened import Opened
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer


class Stage(Opened):
    """An async context manager: the adapter serves inside. `control_plane` runs, and nobody serves external metrics in it."""

    def __init__(
        self,
        adapter: Adapter,
        control_plane: ControlPlane,
        prometheus: PrometheusTools,
        folder: Path,
        *,
        scrape_interval: str = "1s",
    ) -> None:
        super().__init__()
        self.adapter = adapter
        self.control_plane = control_plane
        self.alone = asyncio.Lock()
        """Held by the row whose fault touches all fleets."""
        self._prometheus = PrometheusServer(
            prometheus, folder / "prometheus", scrape_interval=scrape_interval
        )
        self._folder = folder / "adapter"
        self._fleets: dict[str, SyntheticPods] = {}
        self._proxies: dict[str, PrometheusProxy] = {}

    async def _start(self) -> None:
        await self._resources.enter_async_context(self._prometheus)
        self._shared = await self._resources.enter_async_context(PrometheusProxy(self._prometheus.url))
        self._folder.mkdir()
        await self.adapter.prepare(self.control_plane, self._folder, self._shared.url)
        self._resources.push_async_callback(self.adapter.stop)

    @property
    def sync_seconds(self) -> float:
        return self.control_plane.options.hpa_sync_seconds

    def proxy_of(self, namespace: str) -> PrometheusProxy:
        """The one through which the adapter asks for this fleet."""
        return self._proxies.get(namespace, self._shared)

    async def fleet(self, namespace: str, stack: AsyncExitStack, target: float) -> SyntheticPods:
        """A Deployment of one replica and its scaler, until `stack` is closed."""
        await self.control_plane.create_namespace(namespace)
        stack.push_async_callback(self._remove, namespace)
        if self.adapter.own_prometheus:
            proxy = PrometheusProxy(self._prometheus.url)
            self._proxies[namespace] = await stack.enter_async_context(proxy)
        pods = await stack.enter_async_context(SyntheticPods(self.control_plane, namespace, self._retarget))
        self._fleets[namespace] = pods
        workload = deployment(namespace)
        workload["spec"]["template"]["metadata"]["annotations"] = {HELD: "held"}
        workload["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}
        scaler = self.adapter.scaler(namespace, target, self.proxy_of(namespace).url)
        await self.control_plane.api.apply([workload, scaler])
        return pods

    async def patch_deployment(self, namespace: str, spec: Object) -> None:
        await self.control_plane.api.patch("apps/v1", "Deployment", "triton", {"spec": spec}, namespace)

    def _retarget(self) -> None:
        """Prometheus' service discovery."""
        self._prometheus.set_targets([target for pods in self._fleets.values() for target in pods.targets()])

    async def _remove(self, namespace: str) -> None:
        self._fleets.pop(namespace, None)
        self._proxies.pop(namespace, None)
        self._retarget()
        await self.control_plane.delete_namespace(namespace)
