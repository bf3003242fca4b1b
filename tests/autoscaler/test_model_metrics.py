"""The models' states as Prometheus gets them."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

from autoscaler.model_metrics import BIRTH_SECONDS, ModelCollector
from telemetry.model_history import PodModels, looked, silent
from telemetry.repository_index import IndexRow, ModelState, RepositoryIndex, VersionKey
from telemetry.target import Phase, PodKey, Target, Workload
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.pages import page
from tests.prometheus.server import PrometheusServer
from tests.prometheus.server import Target as ScrapeTarget

KEY: Final = VersionKey("resnet", "1")
OTHER: Final = VersionKey("bert", "2")
POD: Final = PodKey("prod", "triton-0", "u")
TRITON: Final = Target(
    POD, None, "http://a", Phase.RUNNING, ready=True, node="gpu-1", workload=Workload("Deployment", "triton")
)
READY: Final = IndexRow(ModelState.READY)
FAILED: Final = IndexRow(ModelState.UNAVAILABLE, "Internal: out of memory")
NAMES: Final = 'namespace="prod",pod="triton-0",workload="triton"'


def samples(targets: list[Target], pods: dict[PodKey, PodModels], now: float = 1000.0) -> list[str]:
    registry = CollectorRegistry()
    by_key = {target.key: target for target in targets}
    registry.register(ModelCollector(lambda: by_key, lambda: pods, lambda: now))
    text = generate_latest(registry).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_pod_that_answered_shows_one_state_a_version_and_its_counts() -> None:
    models = looked(PodModels(), RepositoryIndex({KEY: READY}), 0.0)
    models = looked(models, RepositoryIndex({KEY: READY, OTHER: FAILED}, left_out=3), 15.0)
    resnet = 'model="resnet",namespace="prod",pod="triton-0"', 'version="1",workload="triton"'
    bert = 'model="bert",namespace="prod",pod="triton-0"', 'version="2",workload="triton"'
    pod = 'namespace="prod",node="gpu-1",pod="triton-0",workload="triton",workload_kind="Deployment"'
    assert samples([TRITON], {POD: models}) == [
        f"triton_pod_workload_info{{{pod}}} 1.0",
        f"triton_model_index_up{{{NAMES}}} 1.0",
        f"triton_model_index_left_out{{{NAMES}}} 3.0",
        f'triton_model_state{{{resnet[0]},reason="",state="READY",{resnet[1]}}} 1.0',
        f'triton_model_state{{{bert[0]},reason="failed",state="UNAVAILABLE",{bert[1]}}} 1.0',
        f"triton_model_loads_total{{{resnet[0]},{resnet[1]}}} 0.0",
        f"triton_model_loads_total{{{bert[0]},{bert[1]}}} 0.0",
        f"triton_model_load_failures_total{{{resnet[0]},{resnet[1]}}} 0.0",
        f"triton_model_load_failures_total{{{bert[0]},{bert[1]}}} 1.0",
        f"triton_model_unloads_total{{{resnet[0]},{resnet[1]}}} 0.0",
        f"triton_model_unloads_total{{{bert[0]},{bert[1]}}} 0.0",
    ]


def test_a_counter_is_zero_until_it_was_scraped_so_that_its_first_step_is_seen() -> None:
    models = looked(PodModels(known=True), RepositoryIndex({KEY: FAILED}), 1000.0)
    at = {now: samples([TRITON], {POD: models}, now) for now in (1000.0, 1000.0 + BIRTH_SECONDS)}
    failures = {now: next(line for line in lines if "failures" in line)[-3:] for now, lines in at.items()}
    assert failures == {1000.0: "0.0", 1000.0 + BIRTH_SECONDS: "1.0"}


def test_a_pod_whose_index_does_not_answer_has_no_states_but_its_counts() -> None:
    models = silent(looked(PodModels(), RepositoryIndex({KEY: READY}), 0.0))
    found = samples([TRITON], {POD: models})
    assert f"triton_model_index_up{{{NAMES}}} 0.0" in found
    assert not [
        line for line in found if line.startswith(("triton_model_state", "triton_model_index_left_out"))
    ]
    assert [line for line in found if line.startswith("triton_model_loads_total")]


def test_a_pod_that_was_not_looked_at_yet_shows_itself_alone_and_one_that_is_gone_shows_nothing() -> None:
    gone = looked(PodModels(), RepositoryIndex({KEY: READY}), 0.0)
    found = samples([replace(TRITON, workload=None, node="")], {POD._replace(pod="triton-9"): gone})
    assert found == [
        'triton_pod_workload_info{namespace="prod",node="",pod="triton-0",workload="",workload_kind=""} 1.0'
    ]


def test_a_pod_that_comes_anew_under_an_old_name_is_shown_once() -> None:
    old = replace(TRITON, phase=Phase.TERMINATING)
    new = replace(TRITON, key=POD._replace(uid="v"), node="gpu-2")
    for targets in ([old, new], [new, old]):
        [line] = [line for line in samples(targets, {}) if line.startswith("triton_pod_workload_info")]
        assert 'node="gpu-2"' in line


async def test_prometheus_takes_a_name_that_means_harm_as_a_name(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """And the pod's own namespace and pod stay with `honor_labels`, which the chart's monitors set."""
    name = 'm"} 1\n# TYPE x\\{<!channel>\x00\x1b[31m'
    models = looked(PodModels(), RepositoryIndex({VersionKey(name, "1"): READY}), 0.0)
    registry = CollectorRegistry()
    registry.register(ModelCollector(lambda: {POD: TRITON}, lambda: {POD: models}, lambda: 1000.0))
    async with page(lambda: generate_latest(registry).decode()) as address:
        scraped = [ScrapeTarget(address, {"namespace": "triton-ops", "pod": "triton-autoscaler-0"})]
        async with PrometheusServer(prometheus_tools, tmp_path, scraped, honor_labels=True) as server:
            await server.until_scraped()
            found = await server.ask("query", query="triton_model_state")
            [row] = found["result"]
            told = {label: row["metric"][label] for label in ("namespace", "pod", "model")}
            assert told == {"namespace": "prod", "pod": "triton-0", "model": name}
