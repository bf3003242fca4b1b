"""What gives the HPA its values here: this project's autoscaler and KEDA as they ship, and one that knows the truth."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Protocol

from autoscaler.signal import load_signals
from bench.sources.pace import Pace
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.rules_dir import rules_dir
from telemetry.scrape import ScrapeSettings
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.controlplane.metrics_server import metrics_server
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import example_hpa, rules_with_window
from tests.faults.adapters import Adapter, OurAdapter
from tests.faults.keda import Keda
from tests.faults.keda_build import KedaTools
from tests.faults.pods import SELECTOR, SyntheticPods

SIGNAL: Final = "triton_inference_concurrency"
KEDA_WINDOW: Final = 60.0
"""Seconds of the rates in its queries: four scrapes, the shortest that is usually advised for a `rate`. The example in KEDA's own
documentation has two minutes (https://keda.sh/docs/latest/scalers/prometheus/)."""


class Measured(Adapter, Protocol):
    """It says in words what a change has to go through before the HPA's own sync."""

    way: str


class Truth:
    """A `Measured` that nothing can be faster than: it says what is true at the moment at which the HPA asks."""

    name = "the truth: the HPA's own sync"
    way = "no window"
    asks_prometheus = False
    own_prometheus = False
    hpa = "triton"

    def __init__(self) -> None:
        self.fleets: dict[str, SyntheticPods] = {}
        """By namespace; of others nothing is known."""
        self._serving = AsyncExitStack()

    async def prepare(self, control_plane: ControlPlane, folder: Path, prometheus: str) -> None:
        def value(namespace: str, metric: str) -> str | None:
            pods = self.fleets.get(namespace)
            return None if pods is None else f"{pods.load * 1000:.0f}m"

        await self._serving.enter_async_context(metrics_server(control_plane, value))

    async def start(self) -> None:
        raise NotImplementedError

    async def kill(self) -> None:
        raise NotImplementedError

    async def rotate_certificates(self) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        await self._serving.aclose()

    def scaler(self, namespace: str, target: float, prometheus: str) -> Object:
        return example_hpa(namespace, f"{target:g}")


class Ours(OurAdapter):
    """A `Measured`."""

    def __init__(self, source: str, pace: Pace) -> None:
        super().__init__(source)
        self._pace = pace
        window = pace.window or load_signals(rules_dir() / "signals")[SIGNAL].window
        every = f"scraped each {pace.scrape.get('interval', f'{ScrapeSettings().interval:g}s')}"
        if source == "prometheus":
            asked = pace.prometheus.get("interval", f"{PrometheusSettings().interval:g}s")
            every = f"{_scraped(pace)}, asked each {asked}"
        self.way = f"window {window:g}s, {every}"

    def _make_daemon(self, control_plane: ControlPlane, folder: Path, prometheus: str) -> Daemon:
        rules = self._pace.window and rules_with_window(folder / "rules", self._pace.window)
        targets = {"targets": {"kubernetes": {"selector": SELECTOR}}}
        config = targets | self._pace.config(self._source, prometheus)
        return Daemon(control_plane, folder, config, rules=rules or None)


class KedaAtDefaults(Keda):
    """A `Measured`."""

    own_prometheus = False

    def __init__(self, tools: KedaTools, pace: Pace) -> None:
        super().__init__(tools, window=KEDA_WINDOW)
        self.way = f"query over {KEDA_WINDOW:g}s, {_scraped(pace)}, asked by each sync"


def _scraped(pace: Pace) -> str:
    return f"scraped by Prometheus each {pace.prometheus_scrape:g}s"
