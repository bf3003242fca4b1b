"""`triton-triage` as a person runs it: a process of its own, with its streams and its exit code."""

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from triage.report import Report

CHECKOUT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
"""Far over the command's own budget: how long is too long, the report says itself."""


@dataclass(frozen=True)
class Ended:
    code: int
    output: bytes
    talk: str
    """What it said on stderr."""

    @property
    def report(self) -> Report:
        """Of `-o json`."""
        assert self.output, self.talk
        return msgspec.json.decode(self.output, type=Report)


async def triage(*words: str | Path) -> Ended:
    """What became of it."""
    process = await asyncio.create_subprocess_exec(
        *_command(words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
    )
    try:
        output, talk = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    finally:
        _end(process)
    return Ended(process.returncode or 0, output, talk.decode())


async def triage_at_a_terminal(*words: str | Path) -> tuple[str, bool, Ended]:
    """The first that it says on a terminal, whether it was still looking then, and what became of it."""
    ours, its = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *_command(words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=its,
            env=_environment(),
        )
        os.close(its)
        first = await asyncio.to_thread(os.read, ours, 4096)
        looking = process.returncode is None
        try:
            output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        finally:
            _end(process)
    finally:
        os.close(ours)
    return first.decode(), looking, Ended(process.returncode or 0, output, first.decode())


def _command(words: tuple[str | Path, ...]) -> list[str]:
    return [sys.executable, "-m", "triage", *map(str, words)]


def _environment() -> dict[str, str]:
    """Of this checkout, whichever one is installed."""
    return {**os.environ, "PYTHONPATH": str(CHECKOUT)}


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
