"""An alert's whole way: a real Prometheus's rule, the real Alertmanager, a webhook on loopback."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.local_process import ProcessFailed
from tests.prometheus.alertmanager import AlertmanagerServer
from tests.prometheus.build_tools import AlertmanagerTools, PrometheusTools
from tests.prometheus.pages import page
from tests.prometheus.server import PrometheusServer, Target

RULES = """
groups:
  - name: lamps
    rules:
      - alert: LampsOut
        expr: lamps < 1
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.pod }} is dark"}
"""


@asynccontextmanager
async def webhook(received: "asyncio.Queue[tuple[str, dict[str, Any]]]") -> AsyncIterator[str]:
    """The address of a receiver that puts each notification's Authorization header and body into `received`."""

    async def take(request: web.Request) -> web.Response:
        received.put_nowait((request.headers.get("Authorization", ""), await request.json()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/alerts", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/alerts"
    finally:
        await runner.cleanup()


def configuration(url: str, token: Path) -> dict[str, Any]:
    authorization = {"credentials_file": str(token)}
    hook = {"url": url, "send_resolved": True, "http_config": {"authorization": authorization}}
    return {
        "route": {
            "receiver": "triage",
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": "1s",
        },
        "receivers": [{"name": "triage", "webhook_configs": [hook]}],
    }


async def test_an_alert_goes_from_a_rule_through_alertmanager_to_the_webhook_and_is_resolved_there(
    prometheus_tools: PrometheusTools, alertmanager_tools: AlertmanagerTools, tmp_path: Path
) -> None:
    lit = [False]
    received: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
    rules, token = tmp_path / "rules.yaml", tmp_path / "token"
    rules.write_text(RULES)
    token.write_text("let-me-in\n")
    async with (
        page(lambda: f"lamps {int(lit[0])}\n") as lamps,
        webhook(received) as url,
        AlertmanagerServer(alertmanager_tools, tmp_path / "am", configuration(url, token)) as alertmanager,
        PrometheusServer(
            prometheus_tools,
            tmp_path / "prometheus",
            [Target(lamps, {"pod": "a"})],
            rule_files=[rules],
            alertmanagers=[alertmanager.address],
            evaluation_interval="1s",
        ),
    ):
        authorization, told = await asyncio.wait_for(received.get(), 30)
        assert authorization == "Bearer let-me-in"
        assert (told["version"], told["status"], told["truncatedAlerts"]) == ("4", "firing", 0)
        [alert] = told["alerts"]
        assert alert["labels"] == {
            "alertname": "LampsOut",
            "severity": "critical",
            "pod": "a",
            "instance": lamps,
            "job": "triton",
        }
        assert alert["annotations"] == {"summary": "a is dark"}
        [held] = await alertmanager.alerts()
        assert held["labels"] == alert["labels"]
        lit[0] = True
        _, told = await asyncio.wait_for(received.get(), 30)
        assert told["status"] == "resolved"


async def test_an_alert_can_be_sent_without_a_prometheus(
    alertmanager_tools: AlertmanagerTools, tmp_path: Path
) -> None:
    received: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
    token = tmp_path / "token"
    token.write_text("let-me-in")
    async with (
        webhook(received) as url,
        AlertmanagerServer(alertmanager_tools, tmp_path, configuration(url, token)) as alertmanager,
    ):
        await alertmanager.send([{"labels": {"alertname": "Sent", "namespace": "serving"}}])
        _, told = await asyncio.wait_for(received.get(), 30)
        assert told["commonLabels"] == {"alertname": "Sent", "namespace": "serving"}


async def test_a_configuration_that_alertmanager_refuses_is_told_with_its_own_words(
    alertmanager_tools: AlertmanagerTools, tmp_path: Path
) -> None:
    server = AlertmanagerServer(alertmanager_tools, tmp_path, {"route": {"receiver": "nobody"}})
    with pytest.raises(ProcessFailed, match="nobody"):
        await server.__aenter__()


def test_amtool_checks_such_a_configuration(alertmanager_tools: AlertmanagerTools, tmp_path: Path) -> None:
    file, token = tmp_path / "alertmanager.yaml", tmp_path / "token"
    token.write_text("let-me-in")
    file.write_text(yaml.safe_dump(configuration("http://127.0.0.1:1/alerts", token)))
    told = subprocess.run(
        [alertmanager_tools.amtool, "check-config", file], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
