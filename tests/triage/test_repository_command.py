"""`triton-triage load-failure --repository DIR` as the check of a promotion pipeline, and as evidence beside other evidence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.tritons.repository import lay_out
from triage.cli import main
from triage.repository.bad_versions import bad_version_entry

CONFIG = 'backend: "python"\n'
SECRET = "hf_" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYzA"


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["load-failure", *words, "-o", "json"])


def model(root: Path, name: str, config: str = CONFIG, code: str = "code") -> None:
    (root / name / "1").mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(config)
    (root / name / "1/model.py").write_text(code)


def test_a_repository_in_order_passes_and_is_not_said_to_load(tmp_path: Path) -> None:
    got = check("--repository", str(lay_out(tmp_path / "models", "ensemble", "decoupled")))
    report = json.loads(got.stdout)
    assert (got.exit_code, report["verdict"]["category"]) == (0, "cannot_tell")
    assert report["headline"] == (
        "CANNOT TELL: nothing was found in the repository, which does not show that it loads. "
        "Load it on a server that serves nobody yet, and look at its index and log."
    )


@pytest.mark.parametrize("beside", [None, "README.md"])
def test_a_folder_without_a_model_passes_nothing(tmp_path: Path, beside: str | None) -> None:
    """What a pipeline finds where a checkout failed or a volume is not mounted."""
    if beside:
        (tmp_path / beside).write_text("models")
    got = check("--repository", str(tmp_path))
    assert got.exit_code == 3
    assert json.loads(got.stdout)["headline"] == (
        f"CANNOT TELL: {tmp_path}: no model's folder lies there; give the folder that --model-repository names, where this "
        "program may read it."
    )


def test_the_headline_of_a_check_that_could_not_read_all_names_what(tmp_path: Path) -> None:
    model(tmp_path, "ranker")
    (tmp_path / "bad_versions.yaml").write_text("- {model: ranker, version: 1}")
    got = check("--repository", str(tmp_path))
    report = json.loads(got.stdout)
    assert (got.exit_code, report["verdict"]["leaf"]) == (3, "repository-read-in-part")
    assert report["headline"].startswith(
        "CANNOT TELL: not read: bad_versions.yaml:1:3: 'reason' is missing here; add it. "
    )
    assert not [each for each in report["actions"] if "log" in each["do"]]


def test_a_pipe_in_place_of_a_model_is_found_and_not_read(tmp_path: Path) -> None:
    model(tmp_path, "ranker")
    (tmp_path / "ranker/1/model.py").unlink()
    os.mkfifo(tmp_path / "ranker/1/model.py")
    got = check("--repository", str(tmp_path))
    report = json.loads(got.stdout)
    assert (got.exit_code, report["verdict"]["category"]) == (1, "artifact_integrity")
    assert "it is a pipe or a device" in report["headline"]


def test_a_link_in_a_circle_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    got = check("--repository", str(tmp_path / "a"))
    [unseen] = json.loads(got.stdout)["unseen"]
    assert (got.exit_code, unseen["reason"]) == (3, "not_found")
    assert "mistake of triton-triage" not in got.stdout


def test_findings_fail_and_name_every_model_with_its_fix(tmp_path: Path) -> None:
    model(tmp_path, "ranker", CONFIG + "max_batchsize: 1\n")
    model(tmp_path, "scorer", code="version https://git-lfs.github.com/spec/v1\n")
    got = check("--repository", str(tmp_path))
    report = json.loads(got.stdout)
    assert got.exit_code == 1
    assert [(m["model"], m["state"], m["category"]) for m in report["models"]] == [
        ("ranker", "would fail", "model_config"),
        ("scorer", "would fail", "artifact_integrity"),
    ]
    assert report["verdict"]["confidence"] == "likely"


def test_a_version_marked_bad_fails_and_the_entry_is_named(tmp_path: Path) -> None:
    model(tmp_path, "ranker")
    (tmp_path / "bad_versions.yaml").write_text(
        bad_version_entry("ranker", 1, "loses labels", report="ml/r-1")
    )
    got = check("--repository", str(tmp_path))
    report = json.loads(got.stdout)
    assert (got.exit_code, report["verdict"]["leaf"], report["verdict"]["model"]) == (
        1,
        "marked-bad",
        "ranker",
    )
    assert "entry 1 of bad_versions.yaml, report ml/r-1: loses labels" in report["headline"]


@pytest.mark.parametrize(
    "what", ["absent", "a file", "a link out", "a wrong bad_versions.yaml", "another model asked for"]
)
def test_what_could_not_be_looked_at_is_neither_a_pass_nor_a_finding(tmp_path: Path, what: str) -> None:
    root = tmp_path / "models"
    words: tuple[str, ...] = ()
    if what == "a file":
        root.write_text("x")
    elif what != "absent":
        model(root, "ranker")
    if what == "a link out":
        (root / "ranker/1/vocabulary").symlink_to("/etc/hostname")
    if what == "a wrong bad_versions.yaml":
        (root / "bad_versions.yaml").write_text("version: 3\n")
    if what == "another model asked for":
        words = ("--model", "rankr")
    got = check("--repository", str(root), *words)
    report = json.loads(got.stdout)
    assert (got.exit_code, report["verdict"]["category"]) == (3, "cannot_tell")
    assert report["unseen"] or what == "another model asked for"


def test_the_server_s_user_may_not_read_what_a_load_reads(tmp_path: Path) -> None:
    model(tmp_path, "ranker")
    (tmp_path / "ranker/1/model.py").chmod(0o600)
    owner = (tmp_path / "ranker/1/model.py").stat().st_uid
    got = check("--repository", str(tmp_path), "--run-as", str(owner + 1))
    report = json.loads(got.stdout)
    assert (got.exit_code, report["verdict"]["category"], report["verdict"]["confidence"]) == (
        1,
        "file_permissions",
        "likely",
    )
    assert check("--repository", str(tmp_path), "--run-as", str(owner)).exit_code == 0
    assert check("--repository", str(tmp_path), "--run-as", "triton").exit_code == 2
    assert check("--log", "/dev/null", "--run-as", "1").exit_code == 2


def test_secrets_in_the_folder_are_masked(tmp_path: Path) -> None:
    model(
        tmp_path,
        "ranker",
        CONFIG + f'parameters {{ key: "hf_token" value {{ string_value: "{SECRET}" }} }}\nwrong: "{SECRET}"',
    )
    model(tmp_path, SECRET, "{")
    bundle = tmp_path / "bundle.json"
    got = check("--repository", str(tmp_path), "--save", str(bundle))
    assert got.exit_code == 1
    assert SECRET not in got.stdout + bundle.read_bytes().decode(errors="replace")


def test_a_saved_bundle_gives_the_same_report_again(tmp_path: Path) -> None:
    model(tmp_path / "models", "ranker", CONFIG + "max_batch_size: -1\n")
    bundle = tmp_path / "bundle"
    got = check("--repository", str(tmp_path / "models"), "--save", str(bundle))
    again = CliRunner().invoke(main, ["replay", str(bundle), "-o", "json"])
    assert again.stdout == got.stdout


def test_a_log_cannot_forge_what_a_repository_shows(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("repository: config.pbtxt does not parse: forged\n")
    report = json.loads(check("--log", str(log)).stdout)
    assert report["verdict"]["category"] == "cannot_tell"


def test_help_does_not_load_protobuf() -> None:
    code = "import sys; sys.argv = ['triton-triage', 'load-failure', '--help']; import atexit\n"
    code += "from triage.cli import main\ntry: main.main()\nexcept SystemExit: print('google.protobuf' in sys.modules)"
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert got.stdout.splitlines()[-1] == "False"
    assert "--repository DIR" in got.stdout
