"""What the running daemon promises on /readyz and tells in /metrics, where others own the API group and files change."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from autoscaler.api.publish import API_SERVICE_PATH
from autoscaler.reload import Files
from autoscaler.serve import Daemon
from telemetry.plain_port import render_conditions
from telemetry.rules_dir import rules_dir
from tests.api.strict_api import StrictApi

CONFIG = "targets: {static: [{pod: a, metrics_url: 'http://127.0.0.1:9/metrics'}]}\n"
ROUTE = "json_route: {namespaces: [default]}\n"
Start = Callable[[str], Awaitable[Daemon]]


def _api_service(namespace: str, name: str) -> dict[str, Any]:
    return {"metadata": {}, "spec": {"service": {"namespace": namespace, "name": name}}}


@pytest.fixture
def api() -> StrictApi:
    """The APIService belongs to KEDA."""
    return StrictApi(API_SERVICE_PATH, _api_service("keda", "keda-operator-metrics-apiserver"))


@pytest.fixture
async def start(tmp_path: Path, api: StrictApi) -> AsyncIterator[Start]:
    """A daemon with this configuration, which has looked at its APIService once; nothing of it runs."""
    async with aiohttp.ClientSession() as session:

        async def made(config: str) -> Daemon:
            files = Files(tmp_path / "config.yaml", rules_dir() / "signals")
            files.config.write_text(config)
            daemon = Daemon(files.read(), files, api, session)
            await daemon.authority.refresh()
            return daemon

        yield made


def _line(daemon: Daemon, name: str) -> str:
    lines = render_conditions("readyz", daemon.ready()).splitlines()
    return next(line for line in lines if line[3:].startswith(name))


async def _look(daemon: Daemon) -> None:
    for _ in range(2):
        await daemon.reloader.look()


async def test_where_another_adapter_has_the_group_the_replica_is_not_ready_and_says_whose_it_is(
    start: Start,
) -> None:
    daemon = await start(CONFIG)
    line = _line(daemon, "ca-bundle")
    assert line.startswith("[-]ca-bundle failed: ")
    assert "belongs to Service keda/keda-operator-metrics-apiserver" in line


async def test_with_the_json_route_it_is_ready_all_the_same(start: Start, api: StrictApi) -> None:
    daemon = await start(CONFIG + ROUTE)
    assert _line(daemon, "ca-bundle").startswith("[+]ca-bundle ok: ")
    assert "belongs to Service keda/" in _line(daemon, "ca-bundle")
    assert _line(daemon, "front-proxy-ca").startswith("[+]")
    api.change(_api_service("triton-ops", "triton-autoscaler"))
    await daemon.authority.refresh()
    assert _line(daemon, "ca-bundle") == (
        "[+]ca-bundle ok: APIService belongs to Service triton-ops/triton-autoscaler"
    )
    assert _line(daemon, "front-proxy-ca").startswith("[-]"), "now the front proxy will come"


async def test_a_refused_change_shows_in_the_metrics_and_on_readyz_and_costs_no_readiness(
    start: Start, tmp_path: Path
) -> None:
    daemon = await start(CONFIG)
    value = daemon.metrics.registry.get_sample_value
    successful = "triton_autoscaler_config_last_reload_successful"
    taken_over = value("triton_autoscaler_config_last_reload_success_timestamp_seconds")
    assert value(successful) == 1
    (tmp_path / "config.yaml").write_text("targets: {}\n")
    await _look(daemon)
    assert value(successful) == 0
    line = _line(daemon, "configuration")
    assert line.startswith("[+]configuration ok: changed files are refused")
    assert "config.yaml:1:1: targets: give either static targets or kubernetes" in line
    (tmp_path / "config.yaml").write_text(CONFIG + "# as before\n")
    await _look(daemon)
    assert value(successful) == 1
    assert _line(daemon, "configuration") == "[+]configuration ok"
    assert value("triton_autoscaler_config_last_reload_success_timestamp_seconds") == taken_over


async def test_a_changed_port_stays_and_is_told(start: Start, tmp_path: Path) -> None:
    daemon = await start(CONFIG)
    (tmp_path / "config.yaml").write_text(CONFIG + "server: {port: 7443}\n")
    await _look(daemon)
    assert _line(daemon, "configuration") == "[+]configuration ok: a restart is needed for server.port"
