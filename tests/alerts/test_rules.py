"""The alert rules are what Prometheus takes, read what there is, and fire and stay silent as their tests say."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from prometheus_client import CollectorRegistry

from autoscaler.model_metrics import ModelCollector
from autoscaler.own_metrics import OwnMetrics
from autoscaler.source_metrics import SourcesCollector
from telemetry.auto_source import Overview
from telemetry.model_history import PodModels
from telemetry.target import Phase, PodKey, Target
from tests.alerts.rule_files import FILES, TESTS, Rule, alerts, cases, rules
from tests.prometheus.build_tools import PrometheusTools
from tests.tritons.install import TritonInstall
from tests.tritons.repository import lay_out
from tests.tritons.server import TritonServer
from triage.oncall.own_metrics import OncallMetrics

TREES = {"p99", "load-failure"}
SEVERITIES = {"critical", "warning"}
OPERATORS = Path(__file__).parents[2] / "deploy" / "prometheus-rules.yaml"
RUNBOOKS = "https://triton-ops.io/runbooks/"

OTHERS = {
    # kube-state-metrics docs/metrics/workload/{pod,horizontalpodautoscaler}-metrics.md
    "kube_pod_status_ready",
    "kube_pod_container_status_restarts_total",
    "kube_horizontalpodautoscaler_info",
    "kube_horizontalpodautoscaler_spec_min_replicas",
    "kube_horizontalpodautoscaler_spec_target_metric",
    "kube_horizontalpodautoscaler_status_condition",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_status_target_metric",
    "aggregator_unavailable_apiservice",  # kube-aggregator pkg/controllers/status/metrics
    "up",  # Prometheus' own, of every target
}
NEED_A_GPU = {  # triton-inference-server/core src/metrics.cc; a server without a GPU does not show them
    "nv_gpu_memory_used_bytes",
    "nv_gpu_memory_total_bytes",
}


def _promtool(tools: PrometheusTools, *arguments: str | Path) -> None:
    told = subprocess.run([tools.promtool, *arguments], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_prometheus_takes_every_rule(prometheus_tools: PrometheusTools) -> None:
    _promtool(prometheus_tools, "check", "rules", "--lint=all", "--lint-fatal", *FILES)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_and_stay_silent(prometheus_tools: PrometheusTools, file: Path) -> None:
    _promtool(prometheus_tools, "test", "rules", file)


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.name)
def test_every_alert_is_shown_to_fire_and_to_be_silent_for_a_reason(alert: Rule) -> None:
    own = [case for case in cases() if case.alert == alert.name]
    assert any(case.fires for case in own), "no test in which it fires"
    named = {case.name for case in own if case.name.startswith(f"{alert.name} is silent: ")}
    assert named, "no test named for why it is silent"
    assert any(not case.fires for case in own if case.name in named)


@pytest.mark.parametrize("case", sorted({case.name for case in cases()}))
def test_every_test_says_what_it_shows(case: str) -> None:
    assert re.fullmatch(r"\w+ (fires|is silent): .{10,}", case)
    assert case.partition(" ")[0] in {alert.name for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.name)
def test_every_alert_carries_what_people_and_the_service_need(alert: Rule) -> None:
    """`triage` is the tree that `triton-triage serve` walks; what is none of Triton's has nothing to be looked at."""
    assert alert.labels["severity"] in SEVERITIES
    assert set(alert.labels) <= {"severity", "triage"}
    assert alert.labels.get("triage") in TREES | {None}
    if "triage" in alert.labels:
        assert alert.file.name in ("slo.yaml", "triton.yaml"), "the product's own is nothing for triage"
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert alert.annotations["runbook_url"] == RUNBOOKS + alert.name
    assert re.search(r"[.]$", alert.annotations["description"]), "a sentence"
    assert re.fullmatch(r"(Triton)\w+", alert.name)


def test_the_operators_objects_hold_the_same_rules() -> None:
    """As text they are compared with the rest of deploy/."""
    objects = {each["metadata"]["name"]: each for each in yaml.safe_load_all(OPERATORS.read_text())}
    assert {each["kind"] for each in objects.values()} == {"PrometheusRule"}
    told = {name: each["spec"] for name, each in objects.items()}
    assert told == {f"triton-ops-{file.stem}": yaml.safe_load(file.read_text()) for file in FILES}


def test_names_are_given_once() -> None:
    names = [rule.name for rule in rules() if rule.name != "triton:latency_objective:seconds"]
    assert len(names) == len(set(names))


def test_every_threshold_that_people_set_stands_in_one_file() -> None:
    own = {rule.name for rule in rules() if rule.file.name == "objectives.yaml"}
    used = {name for rule in rules() for name in rule.names() if name.startswith("triton:")}
    assert used == own


def test_the_rate_whose_interval_is_part_of_a_formula_has_that_interval() -> None:
    """60 s times a rate recorded once a minute is the requests of that minute."""
    [failed] = [
        rule for rule in rules() if rule.name == "namespace_workload_model:triton_requests_failed:rate5m"
    ]
    [slow] = [rule for rule in rules() if rule.name == "namespace_workload_model:triton_slow:ratio"]
    assert failed.interval == slow.interval == "1m"
    factors = {m for rule in alerts() for m in re.findall(r"(\d+) \* sum_over_time", rule.expr)}
    assert factors == {"60"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def triton_page(triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the families and samples that a real server shows after it has answered and failed."""
    folder = tmp_path_factory.mktemp("triton")
    async with TritonServer(triton_install, lay_out(folder / "models", "fast"), folder) as server:
        await server.infer("fast", 1)
        page = await server.metrics()
    return {match[1] for match in re.finditer(r"(?m)^(\w+)(?:\{| )", page)}


def _exported(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        yield family.name if family.type != "counter" else f"{family.name}_total"
        if family.type == "histogram":
            yield from (f"{family.name}_{part}" for part in ("bucket", "count", "sum"))


def _own_metrics() -> set[str]:
    """What our programs show, by their registries."""
    models = CollectorRegistry()
    target = Target(PodKey("n", "p", "u"), None, None, Phase.RUNNING, ready=True)
    models.register(
        ModelCollector(lambda: {target.key: target}, lambda: {target.key: PodModels()}, lambda: 0.0)
    )
    models.register(SourcesCollector(lambda: Overview({}, 0, 0, 0.0)))
    return {
        name
        for registry in (OwnMetrics().registry, OncallMetrics().registry, models)
        for name in _exported(registry)
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_every_metric_that_a_rule_reads_exists(triton_page: set[str]) -> None:
    known = (
        {rule.name for rule in rules() if not rule.alert} | OTHERS | NEED_A_GPU | _own_metrics() | triton_page
    )
    unknown = {name for rule in rules() for name in rule.names()} - known
    assert not unknown
    read = {name for rule in rules() for name in rule.names()}
    assert read >= OTHERS | NEED_A_GPU, "no name is kept that nothing reads"
    assert read & triton_page
    assert read & _own_metrics()
