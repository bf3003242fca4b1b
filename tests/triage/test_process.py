"""What only a process shows: signals, closed and foreign streams, and sources that never let go."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.triage.rules import tree_text, write_rules
from tests.triage.test_cli import CANNOT_TELL, FAILED, FOUND

PROGRAM = [sys.executable, "-m", "triage"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With `rules`, whose budget is a second, a `server.log` of a failed load, and a `pipe` that nobody writes to."""
    write_rules(tmp_path / "rules", "1s", log="300ms")
    (tmp_path / "server.log").write_text(FAILED)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def command(folder: Path, log: str) -> list[str]:
    return [*PROGRAM, "load-failure", "--log", str(folder / log), "--rules", str(folder / "rules")]


def run(folder: Path, log: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command(folder, log), stderr=subprocess.PIPE, timeout=60, check=False, **more)  # type: ignore[call-overload,no-any-return]


def test_a_source_that_never_lets_go_of_a_thread_does_not_hold_the_program(folder: Path) -> None:
    """Opening a named pipe waits for its writer, for ever."""
    got = run(folder, "pipe", stdout=subprocess.PIPE)
    assert (got.returncode, got.stdout.startswith(b"CANNOT TELL"), got.stderr) == (CANNOT_TELL, True, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_without_a_traceback(folder: Path, number: signal.Signals) -> None:
    """Ended by the signal itself, so that a shell stops its loop too; never with 1, which is a finding."""
    (folder / "rules" / "trees" / "load-failure.yaml").write_text(tree_text("60s", log="60s"))
    with (
        subprocess.Popen(command(folder, "pipe"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
        (folder / "pipe").open("wb"),  # now it reads
    ):
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (-number, b"", b"")


def test_a_reader_who_has_seen_enough_is_no_error(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        got = run(folder, "server.log", stdout=writing)
    finally:
        os.close(writing)
    assert (got.returncode, got.stderr) == (FOUND, b"")


def test_a_full_disk_is_said(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        got = run(folder, "server.log", stdout=full)
    assert (got.returncode, got.stderr) == (
        CANNOT_TELL,
        b"cannot write the report: No space left on device\n",
    )


def test_without_any_stdout_the_exit_code_still_tells(folder: Path) -> None:
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command(folder, "server.log")]
    got = subprocess.run(shell, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (got.returncode, got.stderr) == (FOUND, b"")


def test_a_pipe_gets_no_colour_and_a_number_for_a_character_that_its_encoding_lacks(folder: Path) -> None:
    (folder / "server.log").write_text(FAILED.replace("'m'", "'größe-模'"))
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    got = run(folder, "server.log", stdout=subprocess.PIPE, env=environment)
    shown = "FIX größe-\\u6a21 (the repository's layout)".encode("latin-1")
    assert (got.returncode, got.stdout.startswith(shown), b"\x1b" in got.stdout) == (FOUND, True, False)


def test_a_file_name_that_is_no_utf8_is_read_shown_and_saved(folder: Path) -> None:
    name = os.fsencode(folder) + b"/server\xff.log"
    os.rename(folder / "server.log", name)
    words = [os.fsencode(word) for word in (*command(folder, ""), "--save", str(folder / "b.json"))]
    words[words.index(b"--log") + 1] = name
    got = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert (got.returncode, got.stderr) == (FOUND, b"")
    assert "server\ufffd.log" in (folder / "b.json").read_text()


@pytest.mark.parametrize(("environment", "coloured"), [({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_it_is_not_wanted(
    folder: Path, environment: dict[str, str], coloured: bool
) -> None:
    ours, theirs = pty.openpty()
    got = run(folder, "server.log", stdout=theirs, env={**os.environ, **environment})
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    except OSError:  # the terminal has no other end any more
        os.close(ours)
    assert (got.returncode, b"FIX m" in shown, b"\x1b[" in shown) == (FOUND, True, coloured)
