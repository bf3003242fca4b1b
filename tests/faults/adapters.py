"""The systems under the table: what serves `external.metrics.k8s.io` to the real HPA, and how it is told to scale a fleet."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from telemetry.hpa_spec import DEFAULT_SCALE_DOWN, Behavior, ExternalMetric, HpaSpec
from tests.controlplane.certificates import FRONT_PROXY
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import example_hpa, rules_with_window
from tests.local_process import eventually

MAX_REPLICAS: Final = 20
ROTATION_SECONDS: Final = 120.0


class Adapter(Protocol):
    """`start` and `stop` of the system itself come after `prepare`, which gives it its place in the control plane."""

    name: str
    asks_prometheus: bool
    own_prometheus: bool
    """Each fleet names the Prometheus that is asked for it, so that a fault can be kept to one fleet."""
    hpa: str
    """The HPA's name in each namespace."""

    async def prepare(self, control_plane: ControlPlane, folder: Path, prometheus: str) -> None: ...
    async def start(self) -> None: ...
    async def kill(self) -> None: ...
    async def stop(self) -> None: ...
    async def rotate_certificates(self) -> None: ...
    def scaler(self, namespace: str, target: float, prometheus: str) -> Object:
        """The object that scales the Deployment `triton` of the namespace: nothing hides a wrong value."""


class OurAdapter:
    """`triton-autoscaler`, as users run it; its window is half of theirs, its own CA lives a minute."""

    own_prometheus = False
    hpa = "triton"

    def __init__(self, source: str) -> None:
        self.name = f"triton-autoscaler, source {source}"
        self._source = source
        self.asks_prometheus = source != "scrape"

    async def prepare(self, control_plane: ControlPlane, folder: Path, prometheus: str) -> None:
        self._control_plane = control_plane
        self._daemon = self._make_daemon(control_plane, folder, prometheus)
        await control_plane.install_external_metrics(self._daemon.port)
        await self._daemon.__aenter__()
        await control_plane.wait_for_external_metrics()

    async def start(self) -> None:
        await self._daemon.start()

    async def kill(self) -> None:
        await self._daemon.kill()

    async def stop(self) -> None:
        await self._daemon.__aexit__(None, None, None)
        await self._control_plane.remove_external_metrics()

    async def rotate_certificates(self) -> None:
        """Its own CA is replaced, as each minute; and so is the front proxy's certificate."""
        before = self._replaced()
        self._control_plane.certificates.front_proxy(FRONT_PROXY)

        async def replaced() -> bool:
            return self._replaced() > before

        await eventually(replaced, seconds=ROTATION_SECONDS)

    def scaler(self, namespace: str, target: float, prometheus: str) -> Object:
        hpa = example_hpa(namespace, f"{target:g}")
        hpa["spec"]["maxReplicas"] = MAX_REPLICAS
        return hpa

    def _make_daemon(self, control_plane: ControlPlane, folder: Path, prometheus: str) -> Daemon:
        rules, program = rules_with_window(folder / "rules"), "tests.e2e.short_lived"
        return Daemon(control_plane, folder, self._config(prometheus), rules=rules, program=program)

    def _config(self, prometheus: str) -> dict[str, Any]:
        config: dict[str, Any] = {"targets": {"kubernetes": {"selector": "app.kubernetes.io/name=triton"}}}
        if self._source != "prometheus":
            config["scrape"] = {"interval": "1s", "timeout": "800ms"}
        if self._source == "scrape":
            return config
        asked = {
            "url": prometheus,
            "interval": "1s",
            "scrape_interval": "1s",
            "timeout": "900ms",
            "delay": "100ms",
        }
        return config | {"source": self._source, "prometheus": asked}

    def _replaced(self) -> int:
        return self._daemon.log.read_text().count('"own CA replaced"')


def spec_of(target: float) -> HpaSpec:
    """What all scalers here ask of the HPA."""
    metric = ExternalMetric("concurrency", average_value_milli=round(target * 1000))
    down = replace(DEFAULT_SCALE_DOWN, stabilization_window_seconds=0.0)
    return HpaSpec((metric,), max_replicas=MAX_REPLICAS, behavior=Behavior(scale_down=down))
