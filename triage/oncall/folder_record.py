"""The record as a folder: one JSON file an incident, for its owner alone to read."""

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from triage.oncall.incident import Incident
from triage.oncall.record import RecordError, decode, encode

log = structlog.get_logger(__name__)

_DEADLINE_SECONDS = 10.0
_AT_ONCE = 4
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,200}[a-z0-9])?")
_Value = TypeVar("_Value")


class FolderRecord:
    """`Record` in `folder`, which is made where it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing: dict[str, asyncio.Lock] = {}
        # Threads of its own: those that a volume holds that does not answer are nobody else's, such as the name resolver's.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="record")
        self._late: dict[str, Future[None]] = {}
        """Writes that had begun when their time was over: what they write may yet arrive, and must not follow a later value."""

    async def load(self) -> Sequence[Incident]:
        return await self._in_thread(self._load)

    async def read(self, name: str) -> Incident:
        """Raises RecordError, also where there is none."""
        file = self._file(name)
        try:
            return decode(await self._in_thread(file.read_bytes), str(file), name)
        except RecordError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise RecordError(f"there is no incident {name} in {self._folder}") from error
            raise

    async def save(self, incident: Incident) -> None:
        file = self._file(incident.name)
        # One file has one writer at a time: of two replacements the later value must stand.
        async with self._writing.setdefault(incident.name, asyncio.Lock()):
            late = self._late.get(incident.name)
            if late is not None and not late.done():
                raise RecordError(self._away())
            self._late.pop(incident.name, None)
            writing = self._threads.submit(_write, file, encode(incident))
            try:
                await self._told(writing)
            finally:
                if not writing.done():
                    self._late[incident.name] = writing

    async def check(self) -> None:
        probe = self._folder / ".check"
        await self._in_thread(lambda: _write(probe, b"{}"))
        await self._in_thread(lambda: probe.unlink(missing_ok=True))

    async def remove(self, name: str) -> None:
        file = self._file(name)
        await self._in_thread(lambda: file.unlink(missing_ok=True))
        self._writing.pop(name, None)
        self._late.pop(name, None)

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise RecordError(f"{name!r:.100} is no name of an incident")
        return self._folder / f"{name}.json"

    def _load(self) -> list[Incident]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = []
        for file in sorted(self._folder.glob("*.json")):
            try:
                found.append(decode(file.read_bytes(), str(file), file.stem))
            except (RecordError, OSError) as error:
                log.warning("record_unreadable", file=str(file), cause=str(error))
        return found

    async def _in_thread(self, work: Callable[[], _Value]) -> _Value:
        return await self._told(self._threads.submit(work))

    async def _told(self, working: "Future[_Value]") -> _Value:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                return await asyncio.wrap_future(working)
        except TimeoutError:
            raise RecordError(self._away()) from None
        except OSError as error:
            raise RecordError(
                f"{self._folder}: {error.strerror or error}; the record needs a folder that can be written, with room"
            ) from error

    def _away(self) -> str:
        return f"{self._folder} does not answer within {_DEADLINE_SECONDS:g} s: is its volume away?"


def _write(file: Path, content: bytes) -> None:
    """All of it or nothing, and on the disk."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = file.with_suffix(".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    unfinished.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too
    finally:
        os.close(folder)
