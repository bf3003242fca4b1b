"""A failure on a real Triton, left where the server came to rest."""

import asyncio
import ctypes
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, End, Failure
from tests.loadfailures.object_store import listening_store
from tests.loadfailures.private_mounts import mount_privately
from tests.local_process import LocalProcess
from tests.tritons.install import TritonInstall
from tests.tritons.server import TritonRefused, TritonServer

SETTLE_SECONDS = 60.0  # 0.1 to 2 s on a machine that does nothing else
QUIET_SECONDS = 3.0
"""A server that has written nothing for so long, where a hang is expected. The longest silence of one that goes on is 1.3 s."""

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Failed:
    """What a diagnosis is given, and beside it what it must find."""

    failure: Failure
    end: End
    url: str | None
    """None where the server does not answer."""
    log: Path
    exit_code: int | None
    """None while it runs."""
    index: list[dict[str, Any]] | str | None
    """The repository index, the text of its refusal, or None without a URL."""


@asynccontextmanager
async def run_failure(install: TritonInstall, failure: Failure, folder: Path) -> AsyncIterator[Failed]:
    """Inside, the server is as `failure` leaves it; after, it is gone. `folder` must not exist yet."""
    _write(failure, install, folder)
    async with AsyncExitStack() as stack:
        for path in failure.unreadable:
            (folder / path).chmod(0)
            stack.callback((folder / path).chmod, 0o700)  # so that the folder can be removed
        known: dict[str, object] = {"folder": folder}
        known["taken_port"] = stack.enter_context(_listener()).getsockname()[1]
        store = stack.enter_context(listening_store(failure.store)) if failure.store else None
        if store:
            known["store_port"] = store.port
        disks = {path.format(**known): size for path, size in failure.disks.items()}
        url = failure.repository.format(**known) if "://" in failure.repository else None
        server = _FailingServer(
            install,
            url or folder / failure.repository,
            folder,
            arguments=[argument.format(**known) for argument in failure.arguments],
            environment={name: value.format(**known) for name, value in failure.environment.items()},
            limit=_limits(failure, disks, str(folder / failure.dead_mount) if failure.dead_mount else ""),
        )
        server.hang_is_expected = failure.end is End.HUNG
        await stack.enter_async_context(server)
        for _ in range(failure.tries - 1):
            if server.end is not failure.end:
                await server.start_over()
        if failure.client and server.answers:
            await failure.client(server, folder)
        if store and store.unexpected:
            raise AssertionError(f"the store was asked what its client never asks: {store.unexpected[:3]}")
        install.load_failures += failure.cause.label != NOT_A_LOAD_FAILURE
        yield Failed(
            failure,
            server.end,
            server.url if server.answers else None,
            server.log,
            server.exit_code,
            await server.index_or_refusal() if server.answers else None,
        )


class _FailingServer(TritonServer):
    """Started until it settles in any way, and killed: the second or two of an orderly end would show nothing."""

    stop_seconds = 0.0
    answers = False
    hang_is_expected = False

    async def start(self) -> None:
        self.answers = False
        self._child = await self.launch()
        await self._settle(self._child)

    async def start_over(self) -> None:
        await self.stop()
        self.log.unlink()
        await self.start()

    @property
    def exit_code(self) -> int | None:
        return self._child.exit_code

    @property
    def end(self) -> End:
        if self.exit_code is not None:
            return End.ENDED
        return End.SERVING if self.answers else End.HUNG

    async def index_or_refusal(self) -> list[dict[str, Any]] | str:
        try:
            return await self.index()
        except TritonRefused as refusal:
            return str(refusal)

    async def _settle(self, child: LocalProcess) -> None:
        """Returns when it serves (which it does only after it tried all models), ended, or hangs."""
        deadline = time.monotonic() + SETTLE_SECONDS
        quiet_since, written = time.monotonic(), -1
        while child.running and time.monotonic() < deadline:
            if await self._has_settled_index():
                self.answers = True
                return
            if (size := self.log.stat().st_size) != written:
                quiet_since, written = time.monotonic(), size
            elif self.hang_is_expected and time.monotonic() - quiet_since > QUIET_SECONDS:
                return
            await asyncio.sleep(0.05)

    async def _has_settled_index(self) -> bool:
        try:
            rows = await self.index_or_refusal()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return isinstance(rows, str) or all(row.get("state") != "LOADING" for row in rows)


def _write(failure: Failure, install: TritonInstall, folder: Path) -> None:
    for path, content in failure.files.items():
        target = folder / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    if failure.prepare:
        failure.prepare(folder, install)


def _limits(failure: Failure, disks: Mapping[str, int], dead: str) -> Callable[[], None]:
    """Called in the server's process before it starts.

    Root may read what nobody may: without these two capabilities it is refused like everybody else, and still owns its files."""
    drop = (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH) if failure.unreadable and os.geteuid() == 0 else ()

    def limit() -> None:
        if disks or dead:
            mount_privately(disks, dead)
        for capability in drop:
            if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl(PR_CAPBSET_DROP)")
        if failure.memory_bytes is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (failure.memory_bytes, failure.memory_bytes))
        if failure.open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (failure.open_files, failure.open_files))

    return limit


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.listen()
    return listener
