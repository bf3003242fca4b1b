"""Manifests, marked versions, the table of backends: what is read, and what is refused with its place."""

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from telemetry.located_yaml import InvalidFileError
from telemetry.rules_dir import rules_dir
from triage.repository.backends import load_backends
from triage.repository.bad_versions import (
    BadVersion,
    bad_version_entry,
    folder_sha256,
    parse_bad_versions,
)
from triage.repository.layout import loaded_by, version_of
from triage.repository.manifest import Entry, NoManifest, parse_manifest

A, B = "a" * 64, "B" * 64


def test_a_manifest_is_read_in_every_form_that_sha256sum_writes() -> None:
    text = (
        f"{A}  1/model.onnx\n{B} *./1/weights.bin\n\n# a note\nSHA256 (1/a b) = {A}\n\\{A}  1/line\\nbreak\n"
    )
    assert list(parse_manifest(text)) == [
        Entry(1, "1/model.onnx", A),
        Entry(2, "1/weights.bin", "b" * 64),
        Entry(5, "1/a b", A),
        Entry(6, "1/line\nbreak", A),
    ]


@pytest.mark.parametrize("line", ["model.onnx", f"{A[:-1]}  model.onnx", f"{A} model.onnx", f"{A}  "])
def test_a_line_that_is_no_checksum_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(NoManifest, match=r"^line 2: expected 64 hexadecimal digits"):
        list(parse_manifest(f"{A}  ok\n{line}\n"))


def test_what_sha256sum_writes_is_what_is_read(tmp_path: Path) -> None:
    for name in ("plain", "with blank", "new\nline", "back\\slash"):
        (tmp_path / name).write_text(name)
    names = sorted(path.name for path in tmp_path.iterdir())
    written = subprocess.run(
        ["sha256sum", "--", *names], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [entry.path for entry in parse_manifest(written.stdout)] == names


printable = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable() or "\n" in text)


@given(
    printable,
    st.integers(min_value=1, max_value=1 << 40),
    printable,
    st.sampled_from(["", "2026-11-30T03:12:00Z"]),
)
def test_an_entry_is_read_as_it_was_made(model: str, version: int, reason: str, since: str) -> None:
    entries = [
        bad_version_entry(model, version, reason, since=since),
        bad_version_entry("other", 1, "broken"),
    ]
    assert [len(entry.splitlines()) for entry in entries] == [1, 1]
    read = parse_bad_versions("\n".join(entries))
    assert read.root == (
        BadVersion(model=model, version=version, reason=reason, since=since),
        BadVersion(model="other", version=1, reason="broken"),
    )


def test_an_entry_is_a_line() -> None:
    assert bad_version_entry("ranker", 3, "loses half of its labels", report="ml/ranker-7f3a") == (
        '- {"model": "ranker", "version": 3, "reason": "loses half of its labels", "report": "ml/ranker-7f3a"}'
    )


def test_mistakes_are_told_with_their_place() -> None:
    text = "- model: ranker\n  version: '3'\n  resaon: x\n  sha256: 12\n"
    with pytest.raises(InvalidFileError) as raised:
        parse_bad_versions(text)
    assert [(p.line, p.column, p.message.split(":")[0]) for p in raised.value.problems] == [
        (1, 3, "'reason' is missing here; add it"),
        (2, 3, "version"),
        (3, 3, "unknown key 'resaon'; did you mean 'reason'?"),
        (4, 3, "sha256"),
    ]


def test_the_checksum_of_a_folder_is_that_of_the_documented_command(tmp_path: Path) -> None:
    for path in ("model.py", "a/b", "a-b", "ä", "__pycache__/model.pyc"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    document = Path(__file__).parents[2] / "docs/repository-check.md"
    (command,) = [
        line for line in document.read_text().splitlines() if line.endswith("sha256sum | sha256sum")
    ]
    printed = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    sums = subprocess.run(
        ["sha256sum", "model.py", "a/b", "a-b", "ä"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    files = {entry.path: entry.sha256 for entry in parse_manifest(sums.stdout)}
    assert f"{folder_sha256(files)}  -\n" == printed.stdout


@pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("1", 1),
        ("12", 12),
        ("0", 0),
        ("01", None),
        ("v1", None),
        ("1_old", 1),
        ("-3", -3),
        (" 4", 4),
        ("9" * 30, None),
    ],
)
def test_a_folder_is_this_version(folder: str, version: int | None) -> None:
    assert version_of(folder) == version


@pytest.mark.parametrize(
    ("files", "backend"),
    [
        ({"model.py": False}, "python"),
        ({"model.onnx": False, "model.py": False}, "onnxruntime"),
        ({"model.savedmodel": True}, "tensorflow"),
        ({"weights.bin": False}, ""),
        ({}, ""),
    ],
)
def test_without_a_configuration_the_file_tells_the_backend(files: dict[str, bool], backend: str) -> None:
    assert loaded_by(None, "m", files, load_backends(rules_dir())).backend == backend


def test_a_name_with_a_dot_tells_the_backend_where_no_file_does() -> None:
    assert loaded_by(None, "m.custom", {}, load_backends(rules_dir())).file == "model.custom"


def test_a_wrong_row_of_backends_is_refused_with_its_place(tmp_path: Path) -> None:
    told = yaml.safe_load((rules_dir() / "backends.yaml").read_text())
    told["backends"][0]["kinds"] = ["onxx"]
    (tmp_path / "backends.yaml").write_text(yaml.safe_dump(told))
    with pytest.raises(InvalidFileError, match=r"backends\.yaml:\d+:\d+: "):
        load_backends(tmp_path)
