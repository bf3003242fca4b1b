"""The recording rules as files and as a command: what Prometheus takes, what they record, and whether what ships is current."""

import subprocess
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from autoscaler.cli import main
from autoscaler.config import read_config
from autoscaler.own_metrics import OwnMetrics
from autoscaler.signal import load_signals, needed_families
from autoscaler.sources import make_source
from scripts.render_manifests import recording_rules
from telemetry.http_body import scrape_session
from telemetry.prometheus_scrape import PrometheusScraper
from telemetry.rules_dir import rules_dir
from telemetry.target import Targets
from tests.prometheus.build_tools import PrometheusTools

CONFIG = """\
targets: {kubernetes: {namespaces: [prod]}}
source: prometheus
prometheus:
  url: https://prom:9090
  scrape_interval: 30s
  interval: 20s
  delay: 5s
  matchers: 'env=~"prod.*"'
  labels: {pod: kube_pod}
"""
EXTRA = """\
name: extra_seconds
unit: s
meaning: Work of a backend of one's own.
formula: {kind: total, terms: [{families: [my_backend_seconds], read: rate}]}
window: 30s
idle: 0
decoupled: value
stalled: value
hpa: {target: AverageValue, why: It is a total.}
sources: [our backend]
"""


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["recording-rules", *arguments])


def _promtool(tools: PrometheusTools, *arguments: str | Path) -> None:
    told = subprocess.run([tools.promtool, *arguments], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("file", recording_rules(), ids=lambda file: file.stem)
def test_the_files_that_ship_are_what_make_manifests_would_write(file: Path) -> None:
    assert file.read_text() == recording_rules()[file], "run `make manifests`"


def test_the_rules_that_ship_record_what_their_tests_say(prometheus_tools: PrometheusTools) -> None:
    _promtool(prometheus_tools, "test", "rules", Path(__file__).parent / "recording-rules.yaml")


def test_prometheus_takes_the_rules_of_any_configuration(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    config, file = tmp_path / "config.yaml", tmp_path / "rules.yaml"
    config.write_text(CONFIG)
    for arguments in ([], ["-c", str(config)]):
        file.write_text(_run(*arguments).output)
        _promtool(prometheus_tools, "check", "rules", "--lint=all", "--lint-fatal", file)


async def test_a_configuration_gives_its_labels_matchers_and_seconds_and_its_daemon_knows_the_digest(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    (group,) = yaml.safe_load(_run("-c", str(config)).output)["groups"]
    families = needed_families(load_signals(rules_dir() / "signals"))
    async with scrape_session() as session:
        source = make_source(
            read_config(config), Targets(), families, [60.0], session, OwnMetrics(), time.monotonic
        )
    assert isinstance(source, PrometheusScraper)
    digests = {rule["labels"]["digest"] for rule in group["rules"]}
    assert (group["interval"], digests) == ("20s", {source.recordings_digest})
    for rule in group["rules"]:
        assert 'kube_pod!="",env=~"prod.*"} offset 5000ms' in rule["expr"]
        assert "max by (namespace, kube_pod, cluster, env" in rule["expr"]
        assert "> (time() - 70))" in rule["expr"], (
            "two scrapes, and the delay twice: once to be fresh, once to be there"
        )


def test_rows_of_ones_own_are_recorded_and_change_the_digest(tmp_path: Path) -> None:
    signals = tmp_path / "signals"
    signals.mkdir()
    for file in (rules_dir() / "signals").glob("*.yaml"):
        (signals / file.name).write_text(file.read_text())
    (signals / "extra_seconds.yaml").write_text(EXTRA)
    usual, own = (
        yaml.safe_load(_run(*more).output)["groups"][0]["rules"] for more in ([], ["--rules", str(tmp_path)])
    )
    names = {rule["record"] for rule in own} - {rule["record"] for rule in usual}
    assert names == {"namespace_pod:my_backend_seconds:newest"}
    assert own[0]["labels"] != usual[0]["labels"]


def test_the_operators_object_has_the_same_group() -> None:
    told = yaml.safe_load(_run("--operator").output)
    assert told["kind"] == "PrometheusRule"
    assert told["spec"] == yaml.safe_load(_run().output)


def test_a_configuration_without_a_prometheus_is_told(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("targets: {kubernetes: {namespaces: [prod]}}\n")
    result = _run("-c", str(config))
    assert result.exit_code == 2
    assert "no section prometheus" in result.output
    assert _run("-c", str(tmp_path / "none.yaml")).exit_code == 2
