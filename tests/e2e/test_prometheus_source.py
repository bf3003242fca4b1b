"""The same path with a real Prometheus between: it scrapes real Tritons, the daemon asks it, and the real HPA follows or holds."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.hpa_watch import HpaWatch
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import SERVICE_MS, WINDOW, Fleet, deployment, example_hpa, rules_with_window
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer, Target
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load
from tests.tritons.pods import PodTritons
from tests.tritons.repository import Model, lay_out

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

NAMESPACE = "asks-prometheus"
WORKERS = 6
TARGET = "2"
SYNCS = 20
"""A second each: they outlast a window and max_age."""


@dataclass(frozen=True)
class Watched:
    fleet: Fleet
    prometheus: PrometheusServer


@asynccontextmanager
async def watched_fleet(
    control_plane: ControlPlane, install: TritonInstall, tools: PrometheusTools, folder: Path
) -> AsyncIterator[Watched]:
    """One replica to begin with, scraped by Prometheus each second as soon as it runs."""
    async with AsyncExitStack() as stack:
        prometheus = await stack.enter_async_context(PrometheusServer(tools, folder / "prometheus"))
        asked = {
            "url": prometheus.url,
            "interval": "1s",
            "scrape_interval": "1s",
            "timeout": "900ms",
            "delay": "100ms",
        }
        config = {
            "targets": {"kubernetes": {"selector": "app.kubernetes.io/name=triton"}},
            "source": "prometheus",
            "prometheus": asked,
        }
        daemon = Daemon(control_plane, folder, config, rules=rules_with_window(folder / "rules"))
        await control_plane.create_namespace(NAMESPACE)
        stack.push_async_callback(control_plane.delete_namespace, NAMESPACE)
        await control_plane.install_external_metrics(daemon.port)
        stack.push_async_callback(control_plane.remove_external_metrics)
        repository = lay_out(folder / "repository", Model("slow", parameters={"service_ms": str(SERVICE_MS)}))
        await control_plane.api.apply([deployment(NAMESPACE), example_hpa(NAMESPACE, TARGET)])
        tritons = await stack.enter_async_context(
            PodTritons(control_plane, install, NAMESPACE, "app.kubernetes.io/name=triton", repository, folder)
        )
        following = asyncio.create_task(_follow(tritons, prometheus))
        stack.callback(following.cancel)
        await tritons.until(1)
        await stack.enter_async_context(daemon)
        await daemon.until_ready()
        await control_plane.wait_for_external_metrics()
        hpa = await stack.enter_async_context(HpaWatch(control_plane, NAMESPACE, "triton", "triton"))
        yield Watched(Fleet(control_plane, NAMESPACE, tritons, daemon, hpa), prometheus)


async def _follow(tritons: PodTritons, prometheus: PrometheusServer) -> None:
    """Prometheus' service discovery."""
    known: set[str] = set()
    while True:
        if known != set(tritons.servers):
            known = set(tritons.servers)
            prometheus.set_targets(
                [
                    Target(f"{server.address}:{server.ports.metrics}", {"pod": pod, "namespace": NAMESPACE})
                    for pod, server in tritons.servers.items()
                ]
            )
        await asyncio.sleep(0.2)


async def test_the_hpa_follows_what_prometheus_saw_and_holds_while_it_is_blind(
    control_plane: ControlPlane,
    triton_install: TritonInstall,
    prometheus_tools: PrometheusTools,
    tmp_path: Path,
) -> None:
    """1 -> 3 under load, held at 3 while the daemon is killed, Prometheus is frozen and a Triton restarts; back to 1 once idle."""
    async with watched_fleet(control_plane, triton_install, prometheus_tools, tmp_path) as watched:
        fleet = watched.fleet
        await fleet.until_value(0.0, 0.0)
        load = Load(fleet.tritons.urls, "slow", timeout_seconds=3.0)
        running = asyncio.create_task(load.closed_loop(workers=WORKERS, seconds=600))
        await fleet.hpa.until_wanted(3, seconds=90)
        await fleet.tritons.until(3)
        await fleet.until_counted(set(fleet.tritons.servers))
        await fleet.until_value(WORKERS * 0.8, WORKERS * 1.2)
        answer = await fleet.ask("triton_inference_concurrency")
        assert answer["items"][0]["metricLabels"]["source"] == "prometheus"
        await _the_daemon_is_killed_and_is_not_blind_for_a_window(fleet)
        await _prometheus_freezes(watched)
        await _a_triton_restarts(fleet)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert fleet.hpa.scale_downs == [], fleet.hpa.story()
        await fleet.until_value(0.0, 0.0)
        await fleet.hpa.syncs(4)
        assert fleet.hpa.replicas[-1].wanted == 1, fleet.hpa.story()
        page = await fleet.daemon.own_metrics()
        assert 'triton_autoscaler_prometheus_ticks_total{outcome="ok"}' in page
        assert 'triton_autoscaler_prometheus_ticks_total{outcome="timeout"}' in page


async def _the_daemon_is_killed_and_is_not_blind_for_a_window(fleet: Fleet) -> None:
    """What it did not see itself, Prometheus tells."""
    await asyncio.sleep(WINDOW)  # until the youngest pod has lived through one
    await fleet.daemon.kill()
    await fleet.hpa.syncs(3)
    await fleet.daemon.start()
    started = time.monotonic()
    await fleet.daemon.until_ready()
    ready = time.monotonic() - started
    await fleet.until_value(WORKERS * 0.8, WORKERS * 1.2)
    value = time.monotonic() - started
    print(f"ready after {ready:.1f} s, a value after {value:.1f} s")
    assert ready < WINDOW * 0.6, f"ready after {ready:.1f} s, a value after {value:.1f} s"
    assert fleet.hpa.scale_downs == [], fleet.hpa.story()


async def _prometheus_freezes(watched: Watched) -> None:
    fleet = watched.fleet
    watched.prometheus.pause()
    try:
        await fleet.hpa.syncs(SYNCS, error="internal")
        answer = await fleet.ask("triton_inference_concurrency")
        assert "is not seen (Prometheus does not answer: timed out)" in answer["message"], answer
        assert fleet.hpa.scale_downs == [], fleet.hpa.story()
    finally:
        watched.prometheus.resume()
    await fleet.until_value(WORKERS * 0.5)


async def _a_triton_restarts(fleet: Fleet) -> None:
    """Its counters begin at zero; the others take over its load."""
    _, server = sorted(fleet.tritons.servers.items())[0]
    await server.restart()
    await fleet.hpa.syncs(SYNCS // 2)
    assert fleet.hpa.scale_downs == [], fleet.hpa.story()
    await fleet.until_value(WORKERS * 0.5, WORKERS * 1.5)
