"""A triage in a process of its own: whatever that does, one gets a report or a reason, and no process stays."""

import asyncio
import json
import sys
import time
from pathlib import Path

import msgspec
import pytest
import structlog

from telemetry.rules_dir import rules_dir
from tests.oncall.values import report
from triage.oncall.child import TriageFailedError, run_triage
from triage.oncall.job import Job, Said
from triage.oncall.sealed_log import sealed
from triage.rules import seals_from_folder

JOB = Job(tree="load-failure", namespace="prod", target="deployment/web", start=0.0, end=1.0)
REPORT = msgspec.json.encode(Said(kind="report", report=report(), kept="b")).decode()
PROGRESS = '{"kind":"progress","answered":1}'


async def run(code: str, *, seconds: float = 20.0, heard: list[Said] | None = None) -> Said:
    """With a child of this code, where `say` writes a line."""
    lines = ["import os, signal, subprocess, sys, time", "def say(line): print(line, flush=True)", code]
    command = [sys.executable, "-c", "\n".join(lines)]
    on_said = (heard if heard is not None else []).append
    return await run_triage(JOB, on_said, deadline_seconds=seconds, command=command)


async def failed(code: str, *, seconds: float = 20.0) -> str:
    with pytest.raises(TriageFailedError) as told:
        await run(code, seconds=seconds)
    return str(told.value)


async def test_the_last_word_is_the_report_and_what_came_before_was_heard() -> None:
    heard: list[Said] = []
    last = await run(f"say({PROGRESS!r}); say({REPORT!r})", heard=heard)
    assert (last.report, last.kept) == (report(), "b")
    assert [one.answered for one in heard] == [1]


async def test_the_child_is_told_its_job() -> None:
    with pytest.raises(TriageFailedError, match="deployment/web"):
        await run("import json; say(json.dumps({'kind': 'failed', 'why': json.load(sys.stdin)['target']}))")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("sys.exit(3)", "the triage ended with code 3 and no report"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL: was its memory not enough?"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
        (f"say({PROGRESS!r})", "ended with code 0 and no report"),
        ("1/0", "ended with code 1 and no report"),
        ("say('garbage')", "no line of its own"),
        ('say(\'{"kind": "report"}\')', "gave no reason"),
        ("sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush()", "no line of its own"),
        ("say('x' * (5 << 20))", "no line of its own"),
        ('sys.stdin.close(); say(\'{"kind": "failed", "why": "bad rules"}\')', "bad rules"),
    ],
)
async def test_a_child_that_fails_says_how(code: str, why: str) -> None:
    assert why in await failed(code)


async def test_a_child_that_hangs_is_ended() -> None:
    assert await failed("time.sleep(60)", seconds=0.3) == "no report within 0.3 s"


async def test_a_child_that_talks_for_ever_is_ended() -> None:
    assert "within 0.5 s" in await failed(f"while True: say({PROGRESS!r})", seconds=0.5)


async def test_what_it_complains_of_holds_nothing_up_and_is_told() -> None:
    with structlog.testing.capture_logs() as logged:
        assert (await run(f"sys.stderr.write('x' * (1 << 24) + 'the end'); say({REPORT!r})")).report
    (event,) = logged
    assert event["stderr"].endswith("the end")
    assert len(event["stderr"]) <= 4000


async def test_what_it_started_does_not_hold_up_the_report_and_ends_with_it(tmp_path: Path) -> None:
    """As the plug-in of a kubeconfig, which has the child's own pipes."""
    file = tmp_path / "pid"
    starts = f"p = subprocess.Popen(['sleep', '60']); open({str(file)!r}, 'w').write(str(p.pid))"
    began = time.monotonic()
    assert (await run(f"{starts}; say({REPORT!r})")).report == report()
    assert time.monotonic() - began < 5
    await ended(int(file.read_text()))
    assert "within 1 s" in await failed(f"{starts}; time.sleep(60)", seconds=1.0)
    await ended(int(file.read_text()))


async def test_a_triage_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = f"open({str(file)!r}, 'w').write(str(os.getpid())); say({PROGRESS!r}); time.sleep(60)"
    heard: list[Said] = []
    running = asyncio.create_task(run(code, heard=heard))
    while not heard:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await ended(int(file.read_text()))


async def ended(pid: int) -> None:
    """Returns once it runs no more; what nobody has waited for yet is dead all the same."""

    def runs() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    async with asyncio.timeout(5):
        while runs():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def test_no_secret_of_anybody_gets_into_the_log() -> None:
    seal = sealed(seals_from_folder(rules_dir()))
    event = {
        "event": "triage_said",
        "stderr": "Traceback\n  password=hunter2-of-the-night\nValueError",
        "lines": ["Authorization: Bearer q7Rk2Zt9Xb4Mv8Lc1Ws6Np3Hd5Jy0Gf"],
        "error": OSError("https://admin:hunter2-of-the-night@prometheus is away"),
        "file": Path("/var/lib"),
        "count": 3,
    }
    told = seal(None, "", event)
    assert isinstance(told, dict)
    said = json.dumps(told)
    assert "hunter2" not in said
    assert "q7Rk2" not in said
    assert (told["file"], told["count"], told["event"]) == ("/var/lib", 3, "triage_said")
