import asyncio
import os
import pty
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from triage.evidence import LogExcerpt, Missing
from triage.log_excerpt import LINE_CHARACTERS
from triage.probes import log_file
from triage.probes.log_file import CHUNK_BYTES, TAIL_BYTES, log_questions
from triage.seal import Seal
from triage.signatures import parse_signatures

SIGNATURES = parse_signatures(
    {
        "a.yaml": """
area: test
signatures:
  - id: unused
    role: noise
    origin: system
    pattern: no line of these tests
    says: Nothing.
    cites: [test]
    matches: [no line of these tests]
"""
    },
    "a.yaml",
)
FAILED = "E0102 03:04:05.000006 1 model_lifecycle.cc:654] failed to load 'bert'"


class NoSecrets:
    masked = 0

    def line(self, text: str) -> str:
        return text

    def value(self, value: Any) -> Any:
        return value


async def read(
    name: str | Path, deadline_seconds: float = 5.0, worth_a_look: Callable[[str], bool] | None = None
) -> LogExcerpt | Missing:
    (question,) = log_questions(str(name), SIGNATURES.any, deadline_seconds, worth_a_look=worth_a_look)
    facts = (await question.ask(Seal(NoSecrets(), lambda text: True))).facts
    assert isinstance(facts, LogExcerpt | Missing)
    return facts


async def texts(name: str | Path, deadline_seconds: float = 5.0) -> list[str]:
    found = await read(name, deadline_seconds)
    assert isinstance(found, LogExcerpt), found
    return [line.text for line in found.lines]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[bytes]]:
    """The writing end of standard input."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as stdin, os.fdopen(write_end, "wb", buffering=0) as writer:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writer


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        pytest.param(b"one\ntwo\n", ["one", "two"], id="lines"),
        pytest.param(b"one\n\ntwo", ["one", "", "two"], id="no line break at the end"),
        pytest.param(b"one\r\ntwo\r\n", ["one", "two"], id="CRLF"),
        pytest.param(b" 50%\r100%\rone\ntwo", [" 50%", "100%", "one", "two"], id="a progress bar"),
        pytest.param(b"\xef\xbb\xbfone\n", ["one"], id="UTF-8 with a mark"),
        pytest.param("one\ntwö\n".encode("utf-16"), ["one", "twö"], id="UTF-16 as PowerShell writes it"),
        pytest.param(b"\xfe\xff" + "one\ntwö".encode("utf-16-be"), ["one", "twö"], id="big-endian UTF-16"),
        pytest.param("one\ntwo".encode("utf-16-le"), ["one", "two"], id="UTF-16 without a mark"),
        pytest.param(b"\x1b[31mone\x1b[0m \x07\ntwo", ["one ", "two"], id="colours and bells"),
        pytest.param(b"\xff\x00\x80one\n", ["\ufffd\ufffdone"], id="not text"),
    ],
)
async def test_a_file_is_read_as_lines_of_printable_text(
    content: bytes, lines: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.log").write_bytes(content)
    assert await texts(tmp_path / "a.log") == lines


async def test_line_breaks_and_letters_may_be_cut_by_a_chunk(tmp_path: Path) -> None:
    first = "x" * (CHUNK_BYTES - 2) + "ä"  # its second byte is in the second chunk
    second = "y" * (2 * CHUNK_BYTES - len(first.encode()) - 2 - 1)
    (tmp_path / "a.log").write_bytes(f"{first}\r\n{second}\r\nz".encode())
    assert [len(line) for line in await texts(tmp_path / "a.log")] == [
        LINE_CHARACTERS + 6,
        LINE_CHARACTERS + 6,
        1,
    ]


async def test_a_line_without_end_is_one_line(tmp_path: Path) -> None:
    """What follows it is not counted apart, and its rest is not taken for lines of Triton's."""
    (tmp_path / "a.log").write_text("x" * (3 * CHUNK_BYTES) + FAILED + "\nnext\n")
    assert await texts(tmp_path / "a.log") == ["x" * LINE_CHARACTERS + " [cut]", "next"]


@pytest.mark.parametrize("content", [b"", b"\n\n  \r\n"])
async def test_a_blank_file_is_missing_evidence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(content)
    found = await read(tmp_path / "a.log")
    assert isinstance(found, Missing)
    assert (found.reason, found.detail) == ("not_found", "log file a.log is empty")


async def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    missing = [await read(tmp_path / "gone.log"), await read(tmp_path)]
    assert [(m.reason, m.detail) for m in missing if isinstance(m, Missing)] == [
        ("not_found", f"{tmp_path}/gone.log: No such file or directory"),
        ("refused", f"{tmp_path}: Is a directory"),
    ]


async def test_a_name_that_is_no_utf8_can_be_shown(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.log")
    (question,) = log_questions(name, SIGNATURES.any, 5.0)
    assert (question.source, question.query) == ("log file \ufffd.log", f"{tmp_path}/\ufffd.log")
    with os.fdopen(os.open(name, os.O_CREAT | os.O_WRONLY), "w") as file:
        file.write("one\n")
    assert await texts(name) == ["one"]


async def test_a_stored_log_is_read_to_its_end_and_what_tells_is_kept_wherever_it_stands(
    tmp_path: Path,
) -> None:
    """Also where it takes longer than a log that goes on may take."""
    with (tmp_path / "a.log").open("wb") as file:
        for part in range(3):
            for _ in range(20):
                file.write((b"x" * 99 + b"\n") * 10_000)
            file.write(FAILED.replace("bert", f"bert-{part}").encode() + b"\n")
    found = await read(tmp_path / "a.log", deadline_seconds=4.0, worth_a_look=lambda text: "failed" in text)
    assert isinstance(found, LogExcerpt)
    assert [line.text[-7:-1] for line in found.lines if "failed" in line.text] == [
        "bert-0",
        "bert-1",
        "bert-2",
    ]
    assert (found.cut, found.lines_read) == (False, 600_003)


async def test_a_stored_log_that_is_piped_has_more_time_than_one_that_goes_on(pipe: IO[bytes]) -> None:
    def write() -> None:
        for _ in range(40):
            pipe.write(b"x\n" * (1 << 19))
        pipe.write(f"{FAILED}\n".encode())
        pipe.close()

    writing = asyncio.ensure_future(asyncio.to_thread(write))
    found = await read("-", deadline_seconds=2.0, worth_a_look=lambda text: "failed" in text)
    await writing
    assert isinstance(found, LogExcerpt)
    assert (found.lines[-1].text, found.cut, found.lines_read) == (FAILED, False, 40 * (1 << 19) + 1)


async def test_of_a_file_for_which_the_time_does_not_suffice_the_beginning_and_the_end_are_read(
    tmp_path: Path,
) -> None:
    """20 GB of holes between them."""
    with (tmp_path / "a.log").open("wb") as file:
        file.write(b"first\n")
        file.truncate(20_000_000_000)
        file.seek(0, os.SEEK_END)
        file.write(f"\n{FAILED}\nlast\n".encode())
    found = await read(tmp_path / "a.log", deadline_seconds=0.5)
    assert isinstance(found, LogExcerpt)
    assert [line.text for line in found.lines if line.text.strip(" [cut]")] == ["first", FAILED, "last"]
    assert found.cut


@pytest.mark.parametrize("megabytes", [10, 40])
async def test_the_end_is_read_though_the_time_is_over(megabytes: int, tmp_path: Path) -> None:
    with (tmp_path / "a.log").open("wb") as file:
        for _ in range(megabytes):
            file.write((b"x" * 999 + b"\n") * 1000)
        file.write(f"{FAILED}\n".encode())
    found = await read(tmp_path / "a.log", deadline_seconds=0.01)
    assert isinstance(found, LogExcerpt)
    assert (found.lines[-1].text, found.cut) == (FAILED, True)
    assert found.bytes_read < TAIL_BYTES


async def test_standard_input_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where the program before has left it."""
    (tmp_path / "a.log").write_text("one\ntwo\n")
    with (tmp_path / "a.log").open() as file:
        os.lseek(file.fileno(), 4, os.SEEK_SET)
        monkeypatch.setattr(sys, "stdin", file)
        assert await texts("-") == ["two"]


async def test_standard_input_is_read_to_its_end(pipe: IO[bytes]) -> None:
    pipe.write(f"one\n{FAILED}\n".encode())
    pipe.close()
    found = await read("-")
    assert isinstance(found, LogExcerpt)
    assert ([line.text for line in found.lines], found.cut) == (["one", FAILED], False)


async def test_a_pipe_that_falls_quiet_has_said_all(pipe: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """`kubectl logs -f` never ends."""
    monkeypatch.setattr(log_file, "QUIET_SECONDS", 0.1)
    pipe.write(f"{FAILED}\nhalf a li".encode())
    began = time.monotonic()
    found = await read("-", deadline_seconds=60)
    assert isinstance(found, LogExcerpt)
    assert ([line.text for line in found.lines], found.cut) == ([FAILED, "half a li"], True)
    assert time.monotonic() - began < 5


async def test_a_pipe_that_never_falls_quiet_is_left_in_time_with_its_end(pipe: IO[bytes]) -> None:
    def talk() -> int:
        """Numbered lines until nobody reads them; how many there were."""
        number = 0
        while not stop.is_set():
            pipe.write(b"".join(b"%d\n" % line for line in range(number, number + 4000)))
            number += 4000
        return number

    stop = threading.Event()
    talking = asyncio.ensure_future(asyncio.to_thread(talk))
    found = await read("-", deadline_seconds=0.5)
    stop.set()
    os.read(sys.stdin.fileno(), 1 << 20)
    said = await talking
    assert isinstance(found, LogExcerpt)
    assert found.cut
    assert said - 50_000 < int(found.lines[-2].text) < said


@pytest.mark.parametrize("speaks", [True, False])
async def test_a_terminal_is_asked_as_a_pipe(speaks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is as blocking afterwards as before: the shell uses it, too."""
    monkeypatch.setattr(log_file, "QUIET_SECONDS", 0.1)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal, os.fdopen(ours, "wb", buffering=0) as keyboard:
        monkeypatch.setattr(sys, "stdin", terminal)
        if speaks:
            keyboard.write(f"{FAILED}\n".encode())
        found = await read("-", deadline_seconds=0.5)
        assert os.get_blocking(theirs)
    if isinstance(found, LogExcerpt):
        assert ([line.text for line in found.lines], speaks) == ([FAILED], True)
    else:
        assert (found.reason, found.detail, speaks) == (
            "timeout",
            "standard input said nothing within 0.4 s",
            False,
        )


async def test_a_named_pipe_is_read_and_none_that_nobody_writes_to_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    silent = await read(tmp_path / "pipe", deadline_seconds=0.5)
    assert isinstance(silent, Missing)
    assert silent.reason == "timeout"
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(texts(tmp_path / "pipe"))
        await asyncio.to_thread((tmp_path / "pipe").write_text, f"{FAILED}\n")
    assert asked.result() == [FAILED]


@pytest.mark.parametrize("name", ["-", "/dev/null"])
async def test_an_empty_device_is_empty(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with os.fdopen(os.open(os.devnull, os.O_RDONLY)) as null:
        monkeypatch.setattr(sys, "stdin", null)
        found = await read(name)
    assert isinstance(found, Missing)
    assert found.reason == "not_found"


async def test_an_endless_device_is_left_in_time() -> None:
    """/dev/zero would fill any memory."""
    found = await read("/dev/zero", deadline_seconds=0.5)
    assert isinstance(found, LogExcerpt)
    assert found.cut


async def test_a_closed_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    found = await read("-")
    assert isinstance(found, Missing)
    assert (found.reason, found.detail) == ("refused", "standard input: standard input is closed")


async def test_what_was_read_before_an_error_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk or a network store may fail within the file."""
    (tmp_path / "a.log").write_text("x\n" * CHUNK_BYTES)
    pread = os.pread

    def fail(descriptor: int, length: int, at: int) -> bytes:
        if at:
            raise OSError(5, "Input/output error")
        return pread(descriptor, length, at)

    monkeypatch.setattr(os, "pread", fail)
    found = await read(tmp_path / "a.log")
    assert isinstance(found, LogExcerpt)
    assert (found.lines_read, found.cut) == (CHUNK_BYTES // 2, True)


def test_who_gave_a_file_is_not_told_to_give_one(tmp_path: Path) -> None:
    (of_file,) = log_questions(str(tmp_path / "triton.log"), str.isascii, 8.0)
    (of_a_pipe,) = log_questions("-", str.isascii, 8.0)
    assert "give the log as a file" in of_a_pipe.on_timeout
    assert "give the log as a file" not in of_file.on_timeout
