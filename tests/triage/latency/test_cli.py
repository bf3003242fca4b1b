"""The command `p99` and what lists its leaves: usage errors of one sentence, and exit codes."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.triage.latency.evidence import gateway, rules, served, snapshot, steady, stepped
from triage.bundle import save_bundle
from triage.cli import main

USAGE = 2
PROMETHEUS = ["--prometheus", "http://127.0.0.1:1"]
TRITON = ["--triton", "http://127.0.0.1:1"]


def triage(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], prog_name="triton-triage")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to measure with: give --prometheus URL, or --triton URL of a live server"),
        (["deploy/llm"], "nothing to measure with: give --prometheus URL, or --triton URL of a live server"),
        (
            [*PROMETHEUS, "deploy/llm", "-l", "app=llm"],
            "TARGET deploy/llm and -l app=llm are two answers to one question: give one of them",
        ),
        (
            [*PROMETHEUS, "--at", "14:02", "--window", "13:00..14:00"],
            "--at and --window are two answers to one question: give one of them",
        ),
        (
            [*TRITON, "--metrics", "http://a:8002/metrics", "--metrics", "http://b:8002/metrics"],
            "--metrics was given 2 times and --triton 1 times: give a page for each, in order",
        ),
        (
            [*PROMETHEUS, "--at", "yesterday"],
            "'yesterday' is no time; accepted: now, now-30m, 14:02 (UTC), 2026-11-23T14:02:00Z,"
            " or seconds since 1970",
        ),
        (
            [*PROMETHEUS, "--at", "now-30"],
            "'now-30' is no time: expected a duration above zero, such as 500ms, 5s, 2m or 1h",
        ),
        (
            [*PROMETHEUS, "--at", "2095-01-01T00:00Z"],
            "2095-01-01 00:00:00Z lies in the future; give a time that has been",
        ),
        (
            [*PROMETHEUS, "--window", "now-10s..now"],
            "the window 'now-10s..now' is 10 s long; at least 20 s are needed",
        ),
        (
            [*PROMETHEUS, "--prometheus-header", "team"],
            "'team' is no header; give one such as 'X-Scope-OrgID: team'",
        ),
        ([*TRITON, "--capture", "soon"], "expected a duration above zero, such as 500ms, 5s, 2m or 1h"),
        (
            [*PROMETHEUS, "cronjob/x"],
            "'cronjob/x': no pods are known of kind 'cronjob'; accepted: pod/NAME, deployment/NAME,"
            " statefulset/NAME, daemonset/NAME, replicaset/NAME, rollout/NAME or a label selector like app=NAME",
        ),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error_of_one_sentence(words: list[str], said: str) -> None:
    got = triage("p99", *words)
    assert (got.exit_code, got.stdout, got.stderr) == (USAGE, "", f"{said}\n")


@pytest.mark.parametrize(
    "words",
    [["--prometheus", "localhost:9090"], ["--triton", "localhost:8000"], [*TRITON, "--metrics", "a:1"]],
)
def test_an_address_without_a_scheme_is_refused_with_one_that_is_right(words: list[str]) -> None:
    got = triage("p99", *words)
    assert (got.exit_code, got.stdout, got.stderr.count("\n")) == (USAGE, "", 1)
    assert "http://" in got.stderr


@pytest.mark.parametrize("words", [["p99", "a", "b"], ["p99", "-o", "yaml"], ["P99"]])
def test_words_that_are_no_command_are_usage_errors(words: list[str]) -> None:
    got = triage(*words)
    assert (got.exit_code, got.stdout, got.stderr.split()[0]) == (USAGE, "", "Usage:")


def test_rules_that_cannot_be_used_are_a_usage_error(tmp_path: Path) -> None:
    got = triage("p99", *PROMETHEUS, "--rules", tmp_path)
    assert (got.exit_code, got.stdout) == (USAGE, "")
    assert "quantities.yaml" in got.stderr


def test_leaves_lists_every_category_once() -> None:
    got = triage("leaves")
    assert (got.exit_code, got.stderr) == (0, "")
    latency, loads = got.stdout.partition("\nload-failure: ")[::2]
    assert latency.startswith("p99: ")
    assert loads != ""
    listed = [
        line.split()[0] for line in latency.splitlines()[1:] if line.startswith("  ") and line[2] != " "
    ]
    assert sorted(listed) == sorted({leaf.category for leaf in rules().tree.leaves})


def test_replaying_without_a_cause_exits_as_looking_did(tmp_path: Path) -> None:
    save_bundle(tmp_path / "nothing", snapshot(), rules())
    save_bundle(tmp_path / "calm", snapshot(served(), gateway("gateway_p99", steady(90, 120))), rules())
    save_bundle(tmp_path / "half seen", snapshot(served()), rules())
    save_bundle(tmp_path / "slow", snapshot(served(infer=stepped(8, 80))), rules())
    got = {name: triage("replay", tmp_path / name) for name in ("nothing", "half seen", "calm", "slow")}
    assert got["nothing"].exit_code == 3
    assert got["half seen"].exit_code == 3  # what callers saw is not known, so the alert is not called wrong
    assert got["calm"].exit_code == 0
    assert got["slow"].exit_code in (1, 3)
    assert {one.stderr for one in got.values()} == {""}


def test_saved_evidence_is_judged_by_other_rules_where_they_are_given(tmp_path: Path) -> None:
    save_bundle(tmp_path / "b", snapshot(served()), rules())
    assert triage("replay", tmp_path / "b", "--rules", tmp_path).exit_code == USAGE
