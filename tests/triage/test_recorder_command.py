"""`triton-triage record` as a process, beside a server on loopback that answers as Triton does."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.local_process import eventually
from tests.triage.latency.peers import Peer, Reply, peer
from triage.repository.journal import read_lines

UNCHANGED, CHANGED, USAGE, COULD_NOT = 0, 1, 2, 3
INDEX, CONFIG = "POST /v2/repository/index", "GET /v2/models/m/config"
READY = Reply(b'[{"name": "m", "version": "1", "state": "READY", "reason": ""}]')
Replies = Mapping[str, list[Reply]]


def config(delay: int) -> Reply:
    return Reply(json.dumps({"name": "m", "dynamic_batching": {"delay": delay}}).encode())


def command(url: str, file: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "triage", "record", "--triton", url, "--to", str(file), *more]


async def ended(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that ends by itself."""
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@dataclass
class Running:
    process: asyncio.subprocess.Process
    file: Path

    async def lines(self, count: int) -> None:
        """Returns when so many are recorded."""

        async def there() -> bool:
            return self.file.exists() and len(read_lines(self.file)) >= count

        await eventually(there, seconds=30)

    async def end(self, number: signal.Signals) -> tuple[int | None, str, str]:
        self.process.send_signal(number)
        async with asyncio.timeout(30):
            out, err = await self.process.communicate()
        return self.process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def running(url: str, file: Path, *more: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *command(url, file, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield Running(process, file)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_once_the_exit_code_says_whether_something_changed(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    async with peer({INDEX: [READY], CONFIG: [config(0), config(0), config(9)]}) as triton:
        once = command(triton.url, file, "--once")
        assert await ended(*once) == (UNCHANGED, "", "")
        assert await ended(*once) == (UNCHANGED, "", "")
        code, out, err = await ended(*once)
    assert (code, err) == (CHANGED, "")
    assert "m: config changed: dynamic_batching.delay 0 -> 9  (after " in out


async def test_a_change_is_shown_and_recorded_while_it_runs_and_looks_without_one_are_not_written(
    tmp_path: Path,
) -> None:
    file = tmp_path / "r.jsonl"
    async with (
        peer({INDEX: [READY], CONFIG: [*[config(0)] * 5, config(9)]}) as triton,
        running(triton.url, file, "--every", "100ms") as recorder,
    ):
        await recorder.lines(2)
        await more_looks(triton)
        code, out, err = await recorder.end(signal.SIGTERM)
    first, second, last = read_lines(file)  # the last one as it ended: until when nothing had changed
    assert (code, err) == (-signal.SIGTERM, "")
    assert "m: config changed: dynamic_batching.delay 0 -> 9" in out
    assert [told.what for told in second.changes] == ["config changed: dynamic_batching.delay 0 -> 9"]
    assert first.at < second.changes[0].after < second.at
    assert (last.changes, last.at > second.at) == ((), True)


async def more_looks(triton: Peer) -> None:
    """Returns when all before them are over, and what they changed is shown too."""
    before = len(triton.seen)

    async def there() -> bool:
        return len(triton.seen) >= before + 4

    await eventually(there, seconds=30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_at_once_while_triton_does_not_answer(
    tmp_path: Path, number: signal.Signals
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with running(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path / "r.jsonl") as recorder:
            silent.settimeout(30)
            taken, _ = await asyncio.to_thread(silent.accept)
            assert await recorder.end(number) == (-number, "", "")
            taken.close()


async def test_it_outlives_a_triton_that_is_away_and_says_so_once(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    refused = Reply(b"", 503)
    async with (
        peer({INDEX: [READY, refused, refused, refused, READY], CONFIG: [config(0), config(9)]}) as triton,
        running(triton.url, file, "--every", "100ms") as recorder,
    ):
        await recorder.lines(3)
        await more_looks(triton)
        code, out, err = await recorder.end(signal.SIGTERM)
    before, away, after, *_ = read_lines(file)
    assert code == -signal.SIGTERM
    assert (set(away.unknown), away.changes, after.unknown) == ({"index", "configs"}, (), {})
    assert [told.after for told in after.changes] == [before.began]
    assert (err.count("cannot see index"), err.count("all can be seen again")) == (1, 1)
    assert "config changed" in out


async def test_looks_that_show_nothing_at_all_are_no_success(tmp_path: Path) -> None:
    async with peer({INDEX: [Reply(b"", 503)]}) as triton:
        code, out, err = await ended(*command(triton.url, tmp_path / "r.jsonl", "--once"))
    assert (code, out, "cannot see index" in err) == (COULD_NOT, "", True)


async def test_credentials_and_secrets_are_in_no_line(tmp_path: Path) -> None:
    secret = Reply(b'{"name": "m", "parameters": {"api_key": {"string_value": "hunter2-hunter2"}}}')
    async with peer({INDEX: [READY], CONFIG: [secret]}) as triton:
        url = triton.url.replace("http://", "http://me:open-sesame@")
        file = tmp_path / "r.jsonl"
        assert (await ended(*command(url, file, "--once")))[0] == UNCHANGED
    text = file.read_text()
    assert ("hunter2" in text, "sesame" in text, "parameters.api_key" in text) == (False, False, True)


async def test_a_record_of_another_server_is_begun_afresh_and_not_compared_with(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    async with peer({INDEX: [READY], CONFIG: [config(0)]}) as one:
        await ended(*command(one.url, file, "--once"))
    async with peer({INDEX: [READY], CONFIG: [config(9)]}) as other:
        code, out, err = await ended(*command(other.url, file, "--once"))
    assert (code, out) == (UNCHANGED, "")
    assert err == f"the record so far is of Triton at {one.url}: it is begun afresh\n"


async def test_a_disk_without_room_stops_no_recorder_and_loses_no_change(tmp_path: Path) -> None:
    """A limit on the file's size stands for the full disk."""
    file = tmp_path / "r.jsonl"
    async with peer({INDEX: [READY], CONFIG: [config(0), config(9)]}) as triton:
        await ended(*command(triton.url, file, "--once"))
        room = file.stat().st_size + 10
        limited = ["prlimit", f"--fsize={room}", "--", *command(triton.url, file, "--once")]
        code, out, err = await ended(*limited)
        assert (code, out, "cannot write the record" in err) == (COULD_NOT, "", True)
        code, out, err = await ended(*command(triton.url, file, "--once"))
    assert (code, "delay 0 -> 9" in out) == (CHANGED, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--triton", "localhost", "--to", "r"], "is no address of Triton's HTTP port"),
        (["--triton", "http://h:1", "--to", "r", "--every", "30"], "--every 30: expected a duration"),
        (["--triton", "http://h:1", "--to", "r", "--repository", "gone"], "there is no such folder"),
    ],
)
async def test_usage_is_told_before_anything_is_written(tmp_path: Path, words: list[str], said: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "triage", "record", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stderr=subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert (process.returncode, said in err.decode(), os.listdir(tmp_path)) == (USAGE, True, [])
