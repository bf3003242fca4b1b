"""Configuration and signal rows: all mistakes at load, with their places; what ships is right."""

import re
from pathlib import Path

import pytest

from autoscaler.config import parse_config
from autoscaler.gpu_section import GpuSection
from autoscaler.selection import Settings
from autoscaler.signal import GatewayRate, Pods, Signal, Total, load_signals, needed_families
from telemetry.gpu_exporters.prometheus_reader import GpuSettings
from telemetry.located_yaml import InvalidFileError
from telemetry.model_config import ModelFacts, parse_model_config
from telemetry.prometheus import PrometheusAccess
from telemetry.prometheus_pages import LabelNames
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.rules_dir import rules_dir
from telemetry.target import PodKey, Workload
from telemetry.two_sources import Ages
from telemetry.window import PENDING, QUEUE, Families
from tests.autoscaler.fleet import (
    CONCURRENCY,
    MEMORY_SIGNAL,
    MODEL_SIGNALS,
    P99_SIGNAL,
    QUEUE_SIGNAL,
    RATE,
    SIGNALS,
)
from tests.deploy.example_config import example_block

STATIC = "targets:\n  static:\n  - {pod: a, metrics_url: http://a:8002/metrics}\n"


def refused(text: str) -> list[str]:
    with pytest.raises(InvalidFileError) as caught:
        parse_config(text)
    return [f"{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


def test_a_static_target_is_a_ready_pod() -> None:
    config = parse_config(
        "targets:\n  static:\n  - pod: a\n    metrics_url: http://a:8002/metrics\n    http_url: http://a:8000/\n"
        "    workload: w\n"
    )
    target = config.targets.static[0].target()
    assert (target.key, target.http_url, target.workload, target.ready) == (
        PodKey("default", "a", ""),
        "http://a:8000",
        Workload("Static", "w"),
        True,
    )


@pytest.mark.parametrize(
    ("scrape", "max_age"),
    [("", 12), ("interval: 15s", 30), ("interval: 30s", 32), ("interval: 1s, timeout: 500ms", 2.5), ("max_age: 20s", 20)],
)  # fmt: skip
def test_a_silent_target_stands_until_two_scrapes_failed_and_at_most_30_s(
    scrape: str, max_age: float
) -> None:
    config = parse_config(f"{STATIC}scrape: {{{scrape}}}\nmodels: [{{name: e, ensemble_of: [a, b]}}]\n")
    models = {"e": ModelFacts(parts=("a", "b"))}
    assert config.settings() == Settings(max_age=max_age, models=models, source="scrape")


PROMETHEUS = STATIC + "source: prometheus\nprometheus:\n  url: https://prom:9090/path\n"


@pytest.mark.parametrize(
    ("keys", "max_age"),
    [
        # A sample is 5 s old, a second on its way, recorded within 5 s and a second on its way again, 5 s until a tick
        # that takes 2; one of them fails.
        ("interval: 5s, timeout: 2s, scrape_interval: 5s", 24),
        ("", 60),
        ("interval: 15s, scrape_interval: 30s", 72),
        ("interval: 15s, scrape_interval: 60s", 102),
        ("max_age: 45s", 45),
    ],
)
def test_a_sample_of_prometheus_stands_until_one_scrape_or_tick_has_failed(keys: str, max_age: float) -> None:
    config = parse_config(f"{STATIC}source: prometheus\nprometheus: {{url: http://prom, {keys}}}\n")
    assert config.settings() == Settings(max_age=max_age, source="prometheus")


@pytest.mark.parametrize(("age", "read"), [("56s", False), ("57s", True), (None, True)])
def test_recordings_are_not_read_where_their_samples_would_be_too_old(age: str | None, read: bool) -> None:
    settings = parse_config(PROMETHEUS + (f"  max_age: {age}\n" if age else "")).prometheus_settings()
    assert settings is not None
    assert settings.recordings is read


def test_the_prometheus_source_is_told_where_and_what_to_ask() -> None:
    config = parse_config(
        PROMETHEUS + "  token_file: /t\n  ca_file: /ca\n  client_certificate: {certificate: /c, key: /k}\n"
        "  headers: {X-Scope-OrgID: eu}\n  matchers: 'cluster=\"eu1\"'\n  labels: {pod: kube_pod}\n"
    )
    assert config.prometheus is not None
    assert config.prometheus.access() == PrometheusAccess(
        Path("/t"), Path("/ca"), (Path("/c"), Path("/k")), {"X-Scope-OrgID": "eu"}
    )
    assert config.prometheus_settings() == PrometheusSettings(
        matchers='cluster="eu1"', namespaces=("default",), labels=LabelNames(pod="kube_pod")
    )


def test_both_sources_have_their_own_ages() -> None:
    config = parse_config(PROMETHEUS.replace("source: prometheus", "source: auto"))
    assert config.settings() == Settings(max_age=12.0, source="auto")
    assert config.ages() == Ages(scrape=12.0, prometheus=60.0)
    assert config.prometheus_settings() is not None


def test_gpus_are_read_through_the_prometheus_of_the_configuration_whatever_the_source() -> None:
    config = parse_config(PROMETHEUS.replace("source: prometheus", "source: scrape") + "gpu: {}\n")
    assert config.prometheus_settings() is None
    assert config.gpu_settings(30.0) == GpuSettings(15.0, 10.0, 1.0, 86.0, 30.0, "", "cluster")
    assert parse_config(PROMETHEUS).gpu_settings(30.0) is None


def test_the_example_of_gpus_is_right_and_shows_every_key_of_both_ways() -> None:
    through_prometheus = example_block("gpu")
    section = parse_config(PROMETHEUS + through_prometheus).gpu
    assert section is not None
    directly = re.sub(r"(?m)^  (scrape_interval|matchers|max_age):.*\n", "", through_prometheus)
    kubernetes = "targets: {kubernetes: {}}\n"
    instead = parse_config(kubernetes + directly.replace("  # exporters:", "  exporters:")).gpu
    assert instead is not None
    assert section.model_fields_set | instead.model_fields_set == set(GpuSection.model_fields)


def test_a_section_prometheus_alone_changes_no_source() -> None:
    config = parse_config(PROMETHEUS.replace("source: prometheus", "source: scrape"))
    assert (config.prometheus_settings(), config.settings().max_age) == (None, 12)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("targets: {}\n", "1:1: targets: give either static targets or kubernetes, one of them"),
        (STATIC + "  kubernetes: {}\n", "1:1: targets: give either static targets or kubernetes, one of them"),
        (STATIC + "  - {pod: a, metrics_url: http://b/metrics}\n", "1:1: targets: static target default/a is given twice"),
        ("targets:\n  static:\n  - {pod: a, metrics_url: a:8002/metrics}\n", "3:14: metrics_url: string should match pattern"),
        (
            "targets:\n  static:\n  - {pod: a, metrics_url: 'http://u:secret@a:8002/metrics'}\n",
            "3:14: metrics_url: holds credentials: addresses stand in the log and in answers to HPAs; leave them out",
        ),
        ("targets:\n  kubernetes: {selector: 'a in ('}\n", "2:3: kubernetes: selector: "),
        (STATIC + "scrape: {timeout: 5s}\n", "4:1: scrape: timeout 5s must be less than interval 5s"),
        (STATIC + "scrape: {max_age: 6s}\n", "4:1: scrape: max_age 6s must be at least interval plus timeout, 7s"),
        (STATIC + "pod_labels: [model]\n", "4:14: 0: always selectable, and means something else than the pod label; leave it out"),
        (STATIC + "scrap: {}\n", "4:1: unknown key 'scrap'; did you mean 'scrape'?"),
        (STATIC + "server: {port: 65536}\n", "4:10: port: input should be less than or equal to 65535 (got 65536)"),
        (STATIC + "server: {port: yes}\n", "4:10: port: input should be a valid integer"),
        (STATIC + "server: {port: '6443'}\n", "4:10: port: input should be a valid integer"),
        (STATIC + "server: {port: 1.5}\n", "4:10: port: input should be a valid integer"),
        (STATIC + "source: both\n", "4:1: source: input should be 'scrape', 'prometheus' or 'auto' (got 'both')"),
        (STATIC + "source: auto\n", "1:1: the file: source is auto, and there is no section prometheus with its url"),
        (STATIC + "source: prometheus\n", "1:1: the file: source is prometheus, and there is no section prometheus with its url"),
        (STATIC + "gpu: {}\n", "1:1: the file: gpu is given with neither exporters nor a section prometheus with its url"),
        (STATIC + "gpu: {exporters: [{namespace: a, selector: app=x}]}\n", "1:1: the file: gpu.exporters are found"),
        (PROMETHEUS + "gpu: {exporters: [{namespace: a, selector: 'a in'}]}\n", "7:34: selector: "),
        (PROMETHEUS + "gpu: {exporters: [{namespace: a, selector: b}], matchers: 'c=\"d\"'}\n", "7:1: gpu: matchers are for"),
        (PROMETHEUS + "gpu: {exporters: [{namespace: a, selector: b}], scrape_interval: 15s}\n", "7:1: gpu: scrape_interval is"),
        (PROMETHEUS + "gpu: {max_age: 40s}\n", "1:1: the file: gpu.max_age 40s must be at least 56s"),
        (PROMETHEUS + "gpu: {timeout: 20s}\n", "7:1: gpu: timeout 20s must be less than interval 15s"),
        (PROMETHEUS + "gpu: {matchers: 'cluster=eu1'}\n", "7:7: matchers: expected label matchers as they stand in a selector"),
        (PROMETHEUS + "  interval: 5s\n", "5:1: prometheus: timeout 10s must be less than interval 5s"),
        (PROMETHEUS + "  max_age: 40s\n", "5:1: prometheus: max_age 40s must be at least 41s"),
        (PROMETHEUS.replace("https://", "https://u:secret@"), "6:3: url: holds credentials"),
        (PROMETHEUS + "  matchers: 'cluster=eu1'\n", "7:3: matchers: expected label matchers"),
        (PROMETHEUS + "  matchers: 'a=\"b\"} or up{a=\"b\"'\n", "7:3: matchers: expected label matchers"),
        (PROMETHEUS + "  matchers: 'a=\"b\", __name__=~\"up\"'\n", "7:3: matchers: matchers narrow the families"),
        (PROMETHEUS + "  labels: {pod: k8s.pod}\n", "7:12: pod: string should match pattern"),
        (PROMETHEUS + '  headers: {X-Tenant: "secret\\nX: y"}\n', "7:13: X-Tenant: a header's value is printable ASCII"),
        (
            PROMETHEUS + "  headers: {Authorization: secret}\n  token_file: /t\n",
            "5:1: prometheus: give either token_file or a header Authorization, one of them",
        ),
        (PROMETHEUS + "  tokenfile: /t\n", "7:3: unknown key 'tokenfile'; did you mean 'token_file'?"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_refused_with_its_place(text: str, problem: str) -> None:
    assert [told[: len(problem)] for told in refused(text)] == [problem]
    assert "secret" not in str(refused(text))


def test_the_signals_that_ship_load_and_say_what_suits_them() -> None:
    assert set(SIGNALS) >= {*MODEL_SIGNALS, MEMORY_SIGNAL}
    for name, row in SIGNALS.items():
        if row.hpa.target == "AverageValue":
            assert isinstance(row.formula, Total | GatewayRate), f"{name}: only totals divide by pods"
        if isinstance(row.formula, Pods) or row.scope == "gpu":
            assert row.hpa.target == "none", name
    sees_decoupled = {name for name, row in SIGNALS.items() if row.decoupled == "value"}
    of_durations = {
        name
        for name, row in SIGNALS.items()
        if any("duration" in family or "summary" in family for family in row.families())
    }
    assert sees_decoupled.isdisjoint(of_durations), "a decoupled model's durations end before its work"


def test_what_is_kept_of_a_page_is_what_the_signals_need_and_what_tells_idle_from_hung() -> None:
    outcomes = {"nv_inference_request_success", "nv_inference_request_failure"}
    pending = {"nv_inference_pending_request_count"}
    assert needed_families({RATE: SIGNALS[RATE]}) == Families(
        frozenset(outcomes), frozenset(pending), frozenset()
    )
    needed = needed_families({P99_SIGNAL: SIGNALS[P99_SIGNAL]})
    assert {family for family, _ in needed.quantiles} == {"nv_inference_request_summary_us"}
    assert needed.histograms == {"nv_inference_first_response_histogram_ms_bucket"}
    needed = needed_families({name: SIGNALS[name] for name in SIGNALS if "trtllm" in name})
    assert {"nv_trt_llm_request_metrics", "nv_trt_llm_kv_cache_block_metrics"} <= needed.names()


RATE_ROW = (rules_dir() / "signals" / f"{RATE}.yaml").read_text()


def load(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    with pytest.raises(InvalidFileError) as caught:
        load_signals(folder)
    return [f"{Path(p.file).name}:{p.line}: {p.message}" for p in caught.value.problems]


def test_a_formula_of_devices_is_of_gpus_and_never_idle(tmp_path: Path) -> None:
    text = (rules_dir() / "signals" / "triton_gpu_utilization.yaml").read_text()
    for old, new in (("scope: gpu", "scope: model"), ("idle: null", "idle: 0")):
        told = load(tmp_path, triton_gpu_utilization=text.replace(old, new, 1))
        assert any("gpu_devices needs scope: gpu and idle: null" in t for t in told), told


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("unit:", "unti:", "unknown key 'unti'; did you mean 'unit'?"),
        ("kind: total", "kind: totl", "formula: input tag 'totl'"),
        ("read: rate", "read: average", "read: input should be 'rate' or 'mean' (got 'average')"),
        ("window: 30s", "window: 30", "window: expected a duration above zero"),
        ("idle: 0\n", "idle: -1\n", "idle: input should be greater than or equal to 0 (got -1)"),
        ("idle: 0\n", "idle: .nan\n", "idle: "),
        ("idle: 0\n", "idle: .inf\n", "idle: "),
        ("optional: [nv_inference_request_failure]", "optional: [nv_other]", "optional family 'nv_other' is not one of families"),
        ("sources:", "remedies: {nv_other: x}\nsources:", "remedies: 'nv_other' is not a family of this signal's formula"),
        (RATE, "Rate", "name: string should match pattern"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in RATE_ROW
    told = load(tmp_path, **{RATE: RATE_ROW.replace(old, new, 1)})
    assert any(problem in t for t in told), told


FORMULA = RATE_ROW[RATE_ROW.index("formula:") : RATE_ROW.index("window:")]
_QUANTILE = (
    "kind: quantile, quantile: 0.9, summary: s, summary_quantiles: ['0.5', '0.9'], histogram: h_bucket"
)
_RATES = f"kind: ratio_of_rates, numerator: [{QUEUE}], denominator: [b]"


@pytest.mark.parametrize(
    ("formula", "problem"),
    [
        (_QUANTILE.replace("'0.5'", "'abc'"), 'expected a quantile between 0 and 1 as the page shows it, such as "0.99"'),
        (_QUANTILE.replace("'0.5'", "nan"), "0: expected a quantile between 0 and 1"),
        (_QUANTILE.replace("'0.5'", "1.5"), "0: expected a quantile between 0 and 1"),
        (_QUANTILE.replace("h_bucket", "h"), "histogram: expected the name of the histogram's buckets, which ends with _bucket"),
        (_QUANTILE.replace("summary: s", "summary: 's{a=\"b\"}'"), "summary: expected a metric family without labels"),
        ("kind: mean_of_gauge, family: 'a{b=c}'", 'of a gauge the series with one label: family{label="value"}'),
        ("kind: total, terms: [{families: ['a{b=\"c\"}'], read: rate}]", "a counter is read with all its series"),
        (_RATES.replace("[b]", "['a{b=\"c\"}']"), "a counter is read with all its series"),
        (_RATES.replace("rates", "gauges") + ", queue_delay: subtracted", "queue_delay: subtracted needs kind: ratio_of_rates"),
        (_QUANTILE.replace("summary: s", "summary: nv_inference_request_success"), "is read as a summary here, and is a counter"),
        ("kind: mean_of_gauge, family: nv_inference_request_success", "is read as a gauge here, and is a counter"),
        ("kind: mean_of_gauge, family: 'statistics:compute_ns'", "is read as a gauge here, and is a counter"),
        ("kind: mean_of_gauge, family: 'configuration:instance_seconds'", "only stand in the denominator of a ratio_of_rates"),
        (f"kind: total, terms: [{{families: [{PENDING}], read: rate}}]", "read as a counter here, and is a gauge"),
        ("kind: total, terms: [{families: [x], read: rate}, {families: [x], read: mean}]", "x is read as a gauge here"),
        (_RATES.replace(QUEUE, "'configuration:instance_seconds'"), "only stand in the denominator of a ratio_of_rates"),
        (_RATES + f", queue_delay: subtracted, optional: [{QUEUE}]", "and not optional"),
    ],
)  # fmt: skip
def test_a_formula_that_no_page_can_answer_is_refused(tmp_path: Path, formula: str, problem: str) -> None:
    told = load(tmp_path, **{RATE: RATE_ROW.replace(FORMULA, f"formula: {{{formula}}}\n")})
    assert [problem in each for each in told] == [True], told


def test_two_rows_that_read_a_family_as_different_kinds_are_refused(tmp_path: Path) -> None:
    """The pending gauge read as a rate would be gone for every other signal."""
    gauge = "formula: {kind: mean_of_gauge, family: 'x{a=\"b\"}'}\n"
    rates = "formula:\n  kind: ratio_of_rates\n  numerator: [x]\n  denominator: [b]\n"
    one = RATE_ROW.replace(FORMULA, gauge).replace(RATE, "one")
    two = RATE_ROW.replace(FORMULA, rates).replace(RATE, "two")
    line = two[: two.index("[x]")].count("\n") + 1
    told = "x is read as a counter here, and is a gauge for Triton or another row: a family is of one kind"
    assert load(tmp_path, one=one, two=two) == [f"two.yaml:{line}: {told}"]


def test_a_row_in_a_file_of_another_name_and_a_name_given_twice_are_refused(tmp_path: Path) -> None:
    message = f"signal '{RATE}' belongs in {RATE}.yaml, one row a file"
    assert load(tmp_path, copy=RATE_ROW, **{RATE: RATE_ROW}) == [f"copy.yaml:1: {message}"]


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    told = load(tmp_path, a="", b="[", c=RATE_ROW)
    assert [t[:9] for t in told] == [
        "a.yaml:1:",
        "b.yaml:2:" if told[1][7] == "2" else "b.yaml:1:",
        "c.yaml:1:",
    ]


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    assert load(tmp_path / "nowhere")[0].endswith("no signal rows here: expected at least one *.yaml")


def test_a_signal_knows_whether_it_reads_counters() -> None:
    reads = {name for name, row in SIGNALS.items() if isinstance(row, Signal) and row.reads_counters()}
    assert reads >= {RATE, CONCURRENCY, QUEUE_SIGNAL}
    assert reads.isdisjoint(
        {MEMORY_SIGNAL, P99_SIGNAL, "triton_pending_pods", "triton_vllm_running_requests"}
    )


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (b'{"name":"m","max_batch_size":8}', ModelFacts(queue_delay_us=0, instances=0)),
        (
            b'{"name":"m","model_transaction_policy":{"decoupled":true}}',
            ModelFacts(decoupled=True, queue_delay_us=0, instances=0),
        ),
        (
            b'{"name":"e","ensemble_scheduling":{"step":[{"model_name":"a"},{"model_name":"b"},{"model_name":"a"}]}}',
            ModelFacts(parts=("a", "b"), queue_delay_us=0, instances=0),
        ),
        (
            b'{"name":"m","dynamic_batching":{"max_queue_delay_microseconds":100},"response_cache":{"enable":true}}',
            ModelFacts(queue_delay_us=100, response_cache=True, instances=0),
        ),
        (  # no number that a ratio of floats can hold
            b'{"name":"m","dynamic_batching":{"max_queue_delay_microseconds":' + b"9" * 400 + b"}}",
            ModelFacts(queue_delay_us=2**64 - 1, instances=0),
        ),
    ],
)
def test_a_models_configuration_tells_its_kind(body: bytes, facts: ModelFacts) -> None:
    assert parse_model_config(body) == facts


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"name": []}',
        b"\xff",
        b'{"error":"no such model"}',
        b'{"name": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_models_configuration_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a model configuration"):
        parse_model_config(body)
