"""The rules as they ship, in a real Prometheus that scrapes a real Triton and two replicas' pages of its models' states: every rule
can be evaluated, and a model that failed to load becomes an alert with what the on-call service chooses tree and target by."""

import asyncio
import re
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from autoscaler.model_metrics import ModelCollector
from telemetry.http_body import scrape_session
from telemetry.index_reader import IndexReader, IndexSettings
from telemetry.target import Phase, PodKey, Target, Workload
from tests.alerts.rule_files import FILES
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.pages import page
from tests.prometheus.server import PrometheusServer
from tests.prometheus.server import Target as ScrapeTarget
from tests.tritons.install import TritonInstall
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonServer

POD = PodKey("prod", "triton-0", "u")


def _hurried(folder: Path) -> list[Path]:
    """The rule files with every interval and every wait cut to a second; the expressions are untouched."""
    for file in FILES:
        text = re.sub(r"(?m)^(\s+(?:interval|for)): \w+", r"\1: 1s", file.read_text())
        (folder / file.name).write_text(text)
    return sorted(folder.glob("*.yaml"))


async def test_every_rule_can_be_evaluated_and_a_failed_load_becomes_an_alert(
    triton_install: TritonInstall, prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    repository = lay_out(tmp_path / "models", "fast", Model("fast", name="bad"))
    (repository / "bad" / "1" / "model.py").write_text("import nothing_there\n")
    rules = tmp_path / "rules"
    rules.mkdir()
    registry = CollectorRegistry()
    async with (
        TritonServer(triton_install, repository, tmp_path / "triton") as server,
        scrape_session() as session,
        page(lambda: generate_latest(registry).decode()) as a,
        page(lambda: generate_latest(registry).decode()) as b,
    ):
        workload = Workload("StatefulSet", "triton")
        target = Target(POD, None, server.url, Phase.RUNNING, ready=True, node="gpu-1", workload=workload)
        clock = asyncio.get_running_loop().time
        reader = IndexReader(lambda: {POD: target}, IndexSettings, session, clock)
        registry.register(ModelCollector(lambda: {POD: target}, lambda: reader.pods, clock))
        await reader.look_at_all()
        metrics = server.metrics_url.removeprefix("http://").removesuffix("/metrics")
        scraped = [
            ScrapeTarget(metrics, {"namespace": POD.namespace, "pod": POD.pod}),
            ScrapeTarget(a, {"namespace": "triton-ops", "pod": "triton-autoscaler-a"}),
            ScrapeTarget(b, {"namespace": "triton-ops", "pod": "triton-autoscaler-b"}),
        ]
        async with PrometheusServer(
            prometheus_tools,
            tmp_path / "prometheus",
            scraped,
            honor_labels=True,
            rule_files=_hurried(rules),
            evaluation_interval="1s",
        ) as prometheus:

            async def firing() -> dict[str, list[dict[str, str]]]:
                found: dict[str, list[dict[str, str]]] = {}
                for alert in (await prometheus.ask("alerts"))["alerts"]:
                    if alert["state"] == "firing":
                        labels = dict(alert["labels"])
                        found.setdefault(labels.pop("alertname"), []).append(labels)
                return found

            async def told() -> bool:
                await server.infer("fast", 1)
                return "TritonModelUnavailable" in await firing()

            await prometheus.until_scraped(5)
            await eventually(told, seconds=40)
            found = await firing()
            assert found["TritonModelUnavailable"] == [
                {
                    "severity": "critical",
                    "triage": "load-failure",
                    "namespace": "prod",
                    "workload": "triton",
                    "workload_kind": "StatefulSet",
                    "model": "bad",
                }
            ]
            assert set(found) <= {"TritonModelUnavailable", "TritonTriageAbsent"}, (
                "nothing else is wrong here"
            )
            groups: list[dict[str, Any]] = (await prometheus.ask("rules"))["groups"]
            health = {
                rule["name"]: (rule["health"], rule.get("lastError"))
                for group in groups
                for rule in group["rules"]
            }
            assert {name: said for name, said in health.items() if said != ("ok", None)} == {}
