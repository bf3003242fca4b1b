"""One child process on this machine that cannot outlive the run: log file, deadline for readiness, bounded
stop."""

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_GIVEN: deque[int] = deque(maxlen=1000)
"""Ports that `free_ports` gave to this process lately, on which somebody may be about to listen."""
_libc = ctypes.CDLL(None)  # loaded before any fork: the child may only call, not import


class ProcessFailed(Exception):
    """A real part did not start, died, or did not become ready; the message ends with the tail of its log."""


class LocalProcess:
    """A running program in a process group of its own. The kernel kills it when the run dies, even by
    SIGKILL."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        limit: Callable[[], None] | None = None,
    ) -> "LocalProcess":
        """Output is appended to `log`; `environment` replaces this process's own when given; `limit` is called
        in the child before the program starts: it may take rights from it, and may not import."""

        def before_exec() -> None:
            _die_with_parent()
            if limit is not None:
                limit()

        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=before_exec,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when one ended it."""
        return self._process.returncode

    async def wait_until(
        self, ready: Callable[[], Awaitable[bool]], *, seconds: float, every_seconds: float = 0.1
    ) -> None:
        """Returns once `ready()` is true; `ProcessFailed` with the log's tail when the process ends or time
        runs out first."""
        deadline = time.monotonic() + seconds
        while not await ready():
            if not self.running:
                raise ProcessFailed(f"{self.name} ended with {self._process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} was not ready within {seconds:g} s:\n{self.log_tail()}")
            await asyncio.sleep(every_seconds)

    def signal(self, number: signal.Signals) -> None:
        """Sends to the whole group, so that a server's helper processes get it too."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def freeze(self) -> None:
        """Stops the program alone: helpers that share a lock with it may let go of it, as on a starved machine."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def stop(self, *, seconds: float) -> None:
        """SIGTERM to the program alone, which then ends its helpers; after `seconds`, or once it ended,
        SIGKILL to the group."""
        if self.running:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), seconds)
        self.signal(signal.SIGKILL)
        await self._process.wait()

    def log_tail(self, lines: int = 30) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- last lines of {self.log}\n" + "\n".join(text.splitlines()[-lines:])


async def eventually(reached: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
    """Returns once `reached()` is true, for what cannot be watched; `TimeoutError` after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await reached():  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.05)


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Ports that nobody listens on now and that were not given to anybody else here just before, outside the range from which the
    kernel takes outgoing connections' own ports."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
        if port not in _GIVEN:
            _GIVEN.append(port)
            found.append(port)
    return found


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
