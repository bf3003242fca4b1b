"""One service writes a record: a second one, such as of a mistaken replica, would tell everything a second time."""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from triage.oncall.record import RecordError

log = structlog.get_logger(__name__)

_WAIT_SECONDS = 15.0
"""As long as one that was told to stop may take."""


@asynccontextmanager
async def only_one(folder: Path) -> AsyncIterator[None]:
    """Nobody else is in here with the same folder. Raises RecordError where somebody stays. The kernel lets go of it however the
    program ends; where the folder cannot be locked or written, that is told and nothing is known of others."""
    held = None
    try:
        try:
            held = _opened(folder)
            await _locked(held, folder)
        except OSError as error:
            log.warning("folder_not_locked", folder=str(folder), cause=error.strerror)
        yield
    finally:
        if held is not None:
            os.close(held)


def _opened(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


async def _locked(held: int, folder: Path) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() > end:
            raise RecordError(
                f"another triton-triage serve writes here: {folder}; one has to be enough, so end one of them"
            )
        await asyncio.sleep(0.5)
