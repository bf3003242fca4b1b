"""The command line: results on stdout, mistakes on stderr with exit 2, and no heavy import before it is needed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autoscaler.cli import main
from autoscaler.reload import Files
from autoscaler.value_view import render_trace
from telemetry.rules_dir import rules_dir
from tests.autoscaler.fleet import SIGNALS


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("arguments", [["--help"], ["value", "--help"], ["serve", "-h"], ["try", "-h"]])
def test_help_imports_neither_kubernetes_nor_aiohttp(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom autoscaler.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "print({'kubernetes', 'aiohttp', 'pydantic', 'structlog'} & set(sys.modules), file=sys.stderr)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert (done.stderr.strip(), done.stdout.startswith("Usage: ")) == ("set()", True)


def test_signals_lists_what_ships() -> None:
    text, document = run("signals"), json.loads(run("signals", "-o", "json").stdout)
    assert [name for name in SIGNALS if name not in text.stdout] == []
    assert (document["schema"], [row["name"] for row in document["signals"]]) == (
        "triton-ops/signals/v1",
        list(SIGNALS),
    )


def test_check_of_right_files_says_so(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("targets: {kubernetes: {}}\n")
    done = run("check", str(file))
    assert (done.exit_code, done.stdout, done.stderr) == (
        0,
        f"ok: {len(SIGNALS)} signals, 2 GPU exporters, 1 configuration files\n",
        "",
    )


def test_check_covers_the_gpu_exporters(tmp_path: Path) -> None:
    rules = Path(shutil.copytree(rules_dir(), tmp_path / "rules"))
    file = rules / "gpu_exporters" / "dcgm_exporter.yaml"
    file.write_text(file.read_text().replace("blank_from:", "blanks_from:"))
    done = run("check", "--rules", str(rules))
    assert done.exit_code == 2
    assert "unknown key 'blanks_from'; did you mean 'blank_from'?" in done.stderr
    shutil.rmtree(file.parent)
    assert run("check", "--rules", str(rules)).exit_code == 0, "those that ship stand in"


def test_check_of_wrong_files_tells_all_of_them_with_exit_2(tmp_path: Path) -> None:
    wrong, empty = tmp_path / "wrong.yaml", tmp_path / "empty.yaml"
    wrong.write_text("targets: {kubernetes: {}}\nscrap: {}\n")
    empty.write_text("")
    done = run("check", str(wrong), str(empty), str(tmp_path / "nowhere.yaml"))
    assert (done.exit_code, done.stdout, isinstance(done.exception, SystemExit)) == (2, "", True)
    told = done.stderr
    assert "wrong.yaml:2:1: unknown key 'scrap'; did you mean 'scrape'?\n    scrap: {}\n    ^" in told
    assert "empty.yaml:1:1: the file is empty" in told
    assert "nowhere.yaml:1:1: cannot be read" in told


GATEWAY = """targets: {kubernetes: {}}
prometheus: {url: "http://prometheus:9090"}
gateway:
  kind: isto
  workloads: [{namespace: inference, workload: triton}]
"""


def test_a_gateway_of_no_kind_is_told_at_its_line_by_check_and_by_serve(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(GATEWAY)
    for arguments in (["check", str(file)], ["serve", "-c", str(file)]):
        done = run(*arguments)
        assert (done.exit_code, "c.yaml:4:3: kind: rules/gateways has no such kind" in done.stderr) == (
            2,
            True,
        )
    file.write_text(GATEWAY.replace("isto", "istio"))
    assert run("check", str(file)).exit_code == 0
    rules = tmp_path / "rules"
    shutil.copytree(rules_dir() / "signals", rules / "signals")
    assert run("check", str(file), "--rules", str(rules)).exit_code == 0, "kinds that ship stand in"
    assert "istio" in Files(file, rules / "signals").read().gateways


@pytest.mark.parametrize("command", [["signals"], ["check"]])
def test_wrong_rules_are_exit_2(tmp_path: Path, command: list[str]) -> None:
    done = run(*command, "--rules", str(tmp_path))
    assert (done.exit_code, "no signal rows here" in done.stderr) == (2, True)


def test_a_wrong_configuration_does_not_serve(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("targets: {}\n")
    done = run("serve", "-c", str(tmp_path / "c.yaml"))
    assert (done.exit_code, "one of them" in done.stderr) == (2, True)


def test_a_value_without_a_cluster_could_not_look(tmp_path: Path) -> None:
    done = run("value", "triton_request_rate", "--kubeconfig", str(tmp_path / "nowhere"))
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (3, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["pod/x"], 2, "an HPA scales no pod; accepted: NAME, deployment/NAME"),
        (["x", "--seconds", "5"], 2, "5 is not in the range 10<=x<=3600"),
        (["x", "-n", "prod"], 3, "no usable Kubernetes credentials"),
        (["x"], 3, "cannot read the kubeconfig's contexts"),
    ],
)
def test_a_look_without_a_cluster_or_at_nothing_says_what_to_do(
    tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    done = run("try", *words, "--kubeconfig", str(tmp_path / "nowhere"))
    assert (done.exit_code, said in done.stderr, done.stdout) == (code, True, ""), done.stderr


POD = {
    "pod": "a",
    "standing": "answered",
    "counted": True,
    "age_seconds": 1.234567,
    "failure": None,
    "model": "m",
    "version": "1",
    "window_seconds": 30.0,
    "increase": {"nv_inference_request_success": 60.0},
    "mean": {"nv_inference_pending_request_count": 0.5},
    "contribution": 2.0,
}


def test_a_gateways_trace_is_a_line_a_gateway() -> None:
    gateway = {
        "gateway": "envoy/10.0.0.1:9901",
        "standing": "answered",
        "window_seconds": 30.0,
        "requests_per_second": 2.2,
        "by_code": {"200": 2.0, "503": 0.2},
        "contribution": 2.2,
    }
    silent = {**gateway, "standing": "silent", "requests_per_second": 1.0, "by_code": {"200": 1.0}}
    trace = {
        "signal": "triton_gateway_request_rate",
        "state": "value",
        "value": 4.4,
        "pods": [gateway, silent],
    }
    assert render_trace(trace).splitlines()[1:] == [
        "4.4",
        "gateway envoy/10.0.0.1:9901: answered, 2.2 requests/s over 30s (200 2, 503 0.2)",
        "gateway envoy/10.0.0.1:9901: silent, 1 requests/s over 30s (200 1), counts as 2.2",
    ]


def test_a_trace_is_shown_number_first() -> None:
    quiet = {"pod": "b", "standing": "silent", "counted": False, "age_seconds": None, "failure": "timed out"}
    trace = {
        "signal": "triton_request_rate",
        "namespace": "prod",
        "selector": "model=m",
        "state": "value",
        "value": "2",
        "labels": {"source": "scrape"},
        "pods": [POD, quiet],
    }
    assert render_trace(trace).splitlines() == [
        "triton_request_rate in prod for model=m",
        "2",
        "source=scrape",
        "POD  MODEL  STANDING                         AGE     WINDOW  PENDING  CONTRIBUTION",
        "a    m:1    answered                         1.235s  30s     0.5      2",
        "b    -      silent (not counted): timed out  -       -       -        -",
        "increase over the window:",
        "a m:1: nv_inference_request_success +60",
    ]


def test_a_trace_of_two_sources_says_what_each_would_say_and_where_each_pod_was_read() -> None:
    told = {"pod": "b", "standing": "answered", "counted": True, "age_seconds": 20.0, "contribution": 1.0}
    trace = {
        "signal": "triton_request_rate",
        "namespace": "prod",
        "selector": "",
        "state": "value",
        "value": "3",
        "labels": {"source": "prometheus,scrape", "largest_difference": "0.010"},
        "sources": {
            "scrape": {
                "state": "no_data",
                "reason": "not_answering",
                "message": "pod b does not answer scrapes",
            },
            "prometheus": {"state": "value", "value": 2.9, "sampleAgeSeconds": 20.0},
        },
        "pods": [
            {**POD, "increase": {}, "source": "scrape", "difference": 0.01},
            {**told, "source": "prometheus", "difference": None},
        ],
    }
    assert render_trace(trace).splitlines() == [
        "triton_request_rate in prod for everything",
        "3",
        "source=prometheus,scrape  largest_difference=0.010",
        "scrape alone: no data (not_answering): pod b does not answer scrapes",
        "prometheus alone: 2.9, oldest sample 20s",
        "POD  MODEL  STANDING  AGE     WINDOW  PENDING  CONTRIBUTION  SOURCE      DIFFERENCE",
        "a    m:1    answered  1.235s  30s     0.5      2             scrape      0.01",
        "b    -      answered  20s     -       -        1             prometheus  -",
    ]


def test_a_trace_without_a_number_says_why() -> None:
    trace = {
        "signal": "s",
        "namespace": "prod",
        "state": "no_data",
        "reason": "no_targets",
        "message": "none here",
    }
    assert render_trace(trace).splitlines()[:2] == [
        "s in prod for everything",
        "no data (no_targets): none here",
    ]


def test_a_models_name_cannot_write_to_the_terminal() -> None:
    """Triton's page chooses it; it may hold line feeds, colours, or text that runs backwards."""
    evil = "m\x1b[2J\n\u202e"
    trace = {
        "signal": "s",
        "namespace": "n",
        "state": "no_data",
        "message": evil,
        "pods": [POD | {"model": evil}],
    }
    shown = render_trace(trace)
    assert [line for line in shown.splitlines() if not line.isprintable()] == []
    assert shown.count(r"m\x1b[2J\n\u202e") == 3
