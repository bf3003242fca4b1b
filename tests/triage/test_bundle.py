"""A saved incident: the same bytes again on any machine, and no file that somebody sends does harm."""

import gzip
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.triage.snapshots import RULES, TREE, failed, gone, index, loaded, log, pod, snapshot, unavailable
from triage.bundle import SCHEMA, BundleError, load_bundle, save_bundle
from triage.render_json import render_json
from triage.render_text import render_text
from triage.report_of import report_of
from triage.rules import Rules

OUT = "device memory ran out"
SNAPSHOT = snapshot([log(loaded("a"), failed("m", OUT)), index(unavailable("m", OUT)), gone("config")], "m")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_bundle(tmp_path / "saved.json", SNAPSHOT, RULES)
    return tmp_path / "saved.json"


def changed(saved: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads(saved.read_text())
    change(content)
    saved.write_text(json.dumps(content))
    return saved


def refusal(file: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(file)
    return str(caught.value)


def test_a_bundle_holds_the_snapshot_and_the_rules_that_judged_it(saved: Path) -> None:
    found, rules = load_bundle(saved)
    assert isinstance(rules, Rules)
    assert (found, rules.tree, rules.tree_sha256, rules.signatures_sha256) == (
        SNAPSHOT,
        RULES.tree,
        RULES.tree_sha256,
        RULES.signatures_sha256,
    )
    assert render_json(report_of(found, rules)) == render_json(report_of(SNAPSHOT, RULES))


def test_a_compressed_bundle_is_the_same_bundle_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a.json.gz", "b.json.gz"):
        save_bundle(tmp_path / name, SNAPSHOT, RULES)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    assert load_bundle(tmp_path / "a.json.gz")[0] == SNAPSHOT


@pytest.mark.parametrize("output", ["text", "json"])
def test_replay_gives_the_same_bytes_in_any_folder_terminal_and_environment(saved: Path, output: str) -> None:
    def replay(cwd: Path, **environment: str) -> bytes:
        command = [sys.executable, "-m", "triage", "replay", str(saved), "-o", output]
        done = subprocess.run(
            command,
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        return done.stdout

    report = report_of(SNAPSHOT, RULES)
    there = (render_text(report) if output == "text" else render_json(report)).encode()
    assert replay(ROOT) == there
    other = {
        "COLUMNS": "40",
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "PYTHONHASHSEED": "7",
        "HOME": "/",
        "FORCE_COLOR": "1",
    }
    assert replay(saved.parent, **other) == there


def test_a_log_whose_name_is_not_utf8_is_saved_as_the_report_shows_it(tmp_path: Path) -> None:
    found = msgspec.structs.replace(log(failed("m", OUT)), query="\udcff.log", command="less '\udcff.log'")
    save_bundle(tmp_path / "b", snapshot([found]), RULES)
    live = render_json(report_of(snapshot([found]), RULES))
    assert "less '\ufffd.log'" in live
    assert render_json(report_of(*load_bundle(tmp_path / "b"))) == live


def test_only_its_owner_may_read_it_and_nothing_is_overwritten(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    before = saved.read_bytes()
    with pytest.raises(BundleError, match="already there; give another name"):
        save_bundle(saved, SNAPSHOT, RULES)
    assert saved.read_bytes() == before


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    for file in (tmp_path / "no" / "such" / "folder.json", tmp_path / ("a" * 300)):
        with pytest.raises(
            BundleError, match=r"cannot write .*; give a name in a folder that can be written"
        ):
            save_bundle(file, SNAPSHOT, RULES)


def test_a_full_disk_is_told_and_leaves_no_half_a_bundle(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(
            BundleError, match=r"cannot write .*File too large; give a name where there is room"
        ):
            save_bundle(tmp_path / "saved.json", SNAPSHOT, RULES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 1000,
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'"bundle"',
        b"[" * 100_000,
        b'{"schema": "\xff"}',
        b'{"schema": "\\ud800"}',
        b"\x1f\x8b",
        b"\x1f\x8bnot gzip at all, only its first two bytes",
        gzip.compress(b"{}"),
        gzip.compress(b"{" * 1000)[:-9],
        b"E0728 12:00:00.000000 1 model_lifecycle.cc:654] a log",
    ],
)
def test_what_is_no_bundle_is_refused_with_what_to_give(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b").write_bytes(content)
    assert refusal(tmp_path / "b").endswith("; give a file that --save wrote")


@given(st.binary(max_size=200))
def test_no_bytes_end_in_anything_but_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes"
    for given_bytes in (content, b"\x1f\x8b\x08" + content, gzip.compress(content)):
        file.write_bytes(given_bytes)
        refusal(file)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "gone")
    assert "Is a directory" in refusal(tmp_path)


def test_a_file_without_end_and_one_that_unpacks_to_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.bundle.MAX_BUNDLE_BYTES", 1 << 20)
    assert "is larger than any bundle" in refusal(Path("/dev/zero"))
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b" " * (8 << 20)))
    assert "is larger than any bundle" in refusal(tmp_path / "bomb.gz")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: b.update(schema="triton-ops/triage-bundle/v9"),
         f"has schema 'triton-ops/triage-bundle/v9', and this version reads '{SCHEMA}'"),
        (lambda b: b.update(extra=1), "is no bundle: Object contains unknown field `extra`"),
        (lambda b: b.pop("tree"), "is no bundle: Object missing required field `tree`"),
        (lambda b: b["snapshot"]["evidence"][0]["facts"].update(type="shell"), "Invalid value 'shell'"),
        (lambda b: b["snapshot"]["evidence"][0]["facts"].update(lines_read=[]), "Expected `int`, got `array`"),
        (lambda b: b.update(tree="tree: small\n"), "the rules in"),
        (lambda b: b.update(signatures={}), "no signatures here"),
        (lambda b: b.update(tree=TREE.replace("start: seen", "start: gone")), "start: 'gone' is no node"),
        (lambda b: b.update(tree="a: " + "[" * 50_000), "tree:1:1: nested too deeply to be a file of ours"),
        (lambda b: b.update(signatures={"s": "- " * 50_000}), "s:1:1: nested too deeply to be a file of ours"),
        (lambda b: b.update(tree="a: &a [*a]"), "an alias may not stand inside its own anchor"),
        (lambda b: b.update(tree="a: !!python/object/apply:os.system [id]"), "the rules in"),
    ],
)  # fmt: skip
def test_a_bundle_of_another_shape_is_refused_by_name(
    saved: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    assert told in refusal(changed(saved, change))


def test_evidence_that_was_changed_by_hand_cannot_reach_the_terminal_raw(saved: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for item in content["snapshot"]["evidence"]:
            item.update(source="\x1b]0;x\x07", command="a\nFIX b", query="\x9b31m", fetched_at="\r")
        content["snapshot"]["collected_at"] = "\x1b[2J"
        content["snapshot"]["asked"]["model"] = "m\x1b[31m"
        content["tree"] = content["tree"].replace("title: GPU memory", 'title: "GPU\\e[1m memory"')

    text = render_text(report_of(*load_bundle(changed(saved, change))))
    assert [c for c in text if (c < " " and c != "\n") or "\x7f" <= c < "\xa0"] == []
    assert [line for line in text.splitlines()[1:] if line.startswith("FIX")] == []


def test_evidence_that_says_twice_who_it_is_or_nothing_at_all_makes_a_report(saved: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        found = content["snapshot"]["evidence"]
        found += [
            {**found[0], "probe": "no such probe"},
            {**found[0], "facts": None},
            {**found[1], "id": found[0]["id"]},
        ]
        found[0]["facts"]["lines"] = [[-5, failed("m", OUT)], [1 << 62, ""], [-5, loaded("m")]]

    assert report_of(*load_bundle(changed(saved, change))).verdict.category == "gpu_memory"


def test_a_large_bundle_is_a_matter_of_seconds(tmp_path: Path) -> None:
    lines = [f"{n} {'x' * 100}" for n in range(10_000)]
    save_bundle(tmp_path / "b.gz", snapshot([log(*lines, failed("m", OUT)), pod("web-1")]), RULES)
    began = time.process_time()
    assert report_of(*load_bundle(tmp_path / "b.gz")).verdict.category == "gpu_memory"
    assert time.process_time() - began < 10
