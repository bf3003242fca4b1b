"""The command as people and scripts use it: exit codes, usage, streams. What a process alone can show is in test_process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.triage.rules import write_rules
from triage.cli import main

FAILED = """\
I1122 10:00:00.000000 1 model_lifecycle.cc:469] "loading: m:1"
E1122 10:00:01.000000 1 model_repository_manager.cc:1335] Poll failed for model directory 'm': \
at least one version must be available under the version policy of model 'm'
"""
SERVES = """\
I1122 10:00:00.000000 1 model_lifecycle.cc:469] "loading: m:1"
I1122 10:00:01.000000 1 model_lifecycle.cc:835] "successfully loaded 'm'"
I1122 10:00:02.000000 1 grpc_server.cc:2513] "Started GRPCInferenceService at 0.0.0.0:8001"
"""
NOTHING = "what is this?\n"
FOUND, USAGE, CANNOT_TELL = 1, 2, 3


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return write_rules(tmp_path / "rules")


def triage(*words: str | Path, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], input=stdin, prog_name="triton-triage")


def of_log(folder: Path, rules: Path, log: str, *words: str | Path) -> Result:
    file = folder / "server.log"
    file.write_text(log)
    return triage("load-failure", "--log", file, "--rules", rules, *words)


@pytest.mark.parametrize(
    ("log", "code"), [(FAILED, FOUND), (SERVES, 0), (NOTHING, CANNOT_TELL), ("", CANNOT_TELL)]
)
def test_the_exit_code_says_what_was_found(tmp_path: Path, rules: Path, log: str, code: int) -> None:
    got = of_log(tmp_path, rules, log)
    assert (got.exit_code, got.stdout != "", got.stderr) == (code, True, "")


def test_the_first_line_says_what_to_do(tmp_path: Path, rules: Path) -> None:
    got = of_log(tmp_path, rules, FAILED)
    assert got.stdout.splitlines()[0].startswith(
        "FIX m (the repository's layout): Make a version directory for m."
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [],
            "nothing to look at: give deploy/NAME, pod/NAME or -l SELECTOR, --log FILE (or -), --triton URL,"
            " or --repository DIR;"
            " -A lists every failing model of the cluster, and -n NAMESPACE alone those of a namespace\n",
        ),
        (["-A", "-n", "prod"], "-A and -n prod are two answers to one question: give one of them\n"),
        (
            ["-A", "deploy/llm"],
            "-A lists failing models of many pods: TARGET, --log, --triton, --repository, --prometheus and --save are of"
            " one report\n",
        ),
        (
            ["--log", "x", "--prometheus", "http://p:9090"],
            "--prometheus is asked about the GPUs of pods: give TARGET or -l SELECTOR too\n",
        ),
        (["-n", "prod", "-o", "html"], "-o html is of one report: this list is text or json\n"),
        (
            ["deploy/llm", "-l", "app=llm"],
            "TARGET deploy/llm and -l app=llm are two answers to one question: give one of them\n",
        ),
        (
            ["--triton", "localhost:8000"],
            "'localhost:8000' is no address of Triton's HTTP port: it has to begin with http:// or https:// and a host;"
            " give one such as http://localhost:8000\n",
        ),
        (
            ["cronjob/x"],
            "'cronjob/x': no pods are known of kind 'cronjob'; accepted: pod/NAME, deployment/NAME, statefulset/NAME,"
            " daemonset/NAME, replicaset/NAME, rollout/NAME or a label selector like app=NAME\n",
        ),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error_that_says_what_can(words: list[str], said: str) -> None:
    got = triage("load-failure", *words)
    assert (got.exit_code, got.stdout, got.stderr) == (USAGE, "", said)


@pytest.mark.parametrize(
    "words",
    [
        ["load-failure", "pod/a", "pod/b"],
        ["load-failure", "--log", "x", "-o", "yaml"],
        ["load-failure", "--save", "."],
        ["loadfailure"],
        ["replay"],
        ["--nonsense"],
    ],
)
def test_words_that_are_no_command_are_usage_errors(words: list[str]) -> None:
    got = triage(*words)
    assert (got.exit_code, got.stdout, got.stderr.splitlines()[0].partition(" ")[0]) == (USAGE, "", "Usage:")


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda rules: (rules / "trees" / "load-failure.yaml").unlink(), "cannot be read as UTF-8 text"),
        (lambda rules: (rules / "redaction.yaml").unlink(), "cannot be read as UTF-8 text"),
        (lambda rules: (rules / "signatures" / "layout.yaml").unlink(), "no signatures here"),
        (
            lambda rules: (rules / "signatures" / "b.yaml").write_bytes(b"\xff"),
            "cannot be read as UTF-8 text",
        ),
        (lambda rules: (rules / "signatures" / "b.yaml").write_text("area: x"), "signatures"),
    ],
)
def test_rules_that_cannot_be_used_are_a_usage_error(
    tmp_path: Path, rules: Path, break_it: Callable[[Path], object], said: str
) -> None:
    break_it(rules)
    got = of_log(tmp_path, rules, FAILED)
    assert (got.exit_code, got.stdout, said in got.stderr) == (USAGE, "", True)


def test_json_is_one_document_with_its_schema(tmp_path: Path, rules: Path) -> None:
    got = of_log(tmp_path, rules, FAILED, "-o", "json")
    report = json.loads(got.stdout)
    assert (got.exit_code, report["schema"], report["verdict"]["category"]) == (
        FOUND,
        "triton-ops/triage-report/v1",
        "repository_layout",
    )


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_saved_look_replays_to_the_same_bytes_and_exit_code(
    tmp_path: Path, rules: Path, output: str
) -> None:
    bundle = tmp_path / "incident.json"
    live = of_log(tmp_path, rules, FAILED, "--save", bundle, "-o", output)
    again = triage("replay", bundle, "-o", output)
    assert (again.exit_code, again.stdout_bytes) == (live.exit_code, live.stdout_bytes)
    assert (live.exit_code, bundle.stat().st_mode & 0o777) == (FOUND, 0o600)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("there.json", "{} is already there; give another name, or remove it first"),
        (
            "none/a.json",
            "cannot write {}: No such file or directory; give a name in a folder that can be written",
        ),
        ("there.json/a", "cannot write {}: Not a directory; give a name in a folder that can be written"),
    ],
)
def test_what_cannot_be_saved_is_said_and_the_report_is_shown_all_the_same(
    tmp_path: Path, rules: Path, where: str, said: str
) -> None:
    (tmp_path / "there.json").write_text("mine")
    file = tmp_path / where
    got = of_log(tmp_path, rules, FAILED, "--save", file)
    assert (got.exit_code, got.stdout.partition(" ")[0], got.stderr) == (
        FOUND,
        "FIX",
        f"--save: {said.format(file)}; the report follows all the same\n",
    )
    assert (tmp_path / "there.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot read"), ("{}", "is no bundle"), ("[" * 10_000, "is no bundle")]
)
def test_what_is_no_bundle_is_a_usage_error(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "b.json").write_text(content)
    got = triage("replay", tmp_path / "b.json")
    assert (got.exit_code, got.stdout, said in got.stderr) == (USAGE, "", True)


def test_sources_that_cannot_be_asked_make_a_report_that_says_so_and_no_traceback(
    tmp_path: Path, rules: Path
) -> None:
    got = triage(
        *("load-failure", "pod/llm-0", "--kubeconfig", tmp_path / "none", "--triton", "http://127.0.0.1:1"),
        *("--log", tmp_path / "none.log", "--rules", rules),
    )
    assert (got.exit_code, got.stdout.startswith("CANNOT TELL"), got.stderr) == (CANNOT_TELL, True, "")
    assert [line for line in got.stdout.splitlines() if line.startswith("  - ")][:3] != []


def test_an_unused_program_says_what_it_can(tmp_path: Path) -> None:
    got = triage("--help")
    assert (got.exit_code, [word in got.stdout for word in ("load-failure", "replay")]) == (0, [True, True])
