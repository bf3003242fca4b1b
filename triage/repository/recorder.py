"""Looks at a model repository every so often and keeps in a record what changed. What is away is unknown, and asked again.

Triton and the files are looked at beside each other. Files are read by a thread, which a hung file system may hold: then they
are unknown, and no second reading begins before the first one ends."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from triage.latency.facts import RepositoryChange
from triage.repository.compare import compare
from triage.repository.files import Files, FilesOnDisk
from triage.repository.fingerprints import Known, Look, after_look
from triage.repository.journal import Journal, JournalError
from triage.repository.record import is_due, known_from, line_of
from triage.repository.triton import Served, ServedModels

FILES_SECONDS = 15.0
"""So long a look waits for files; a reading that takes longer is told by a later look."""
_SIGN_OFF_SECONDS = 1.0


@dataclass
class Sources:
    """The server that is looked at, and the files that it serves where they can be read."""

    served: ServedModels
    files: FilesOnDisk | None = None
    seal: Callable[[str], str] = str
    files_seconds: float = FILES_SECONDS
    _reading: "asyncio.Future[Files] | None" = field(default=None, init=False)
    _reading_since: float = field(default=0.0, init=False)

    async def look(self) -> Look:
        """One look. No failure of a source is raised, not even one that nobody thought of."""
        began = time.time()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(self._served())
            read = group.create_task(self._files())
        served, files = asked.result(), read.result()
        unknown = dict(served.unknown)
        if isinstance(files, str):
            unknown["files"] = self.seal(files)
        seen = files if isinstance(files, Files) else None
        if seen is not None:
            unknown |= {f"files {model}": self.seal(why) for model, why in seen.unread.items()}
        return Look(
            began=began,
            ended=max(time.time(), began),
            index=served.index,
            configs=served.configs,
            hidden=served.hidden,
            folders=None if seen is None else seen.folders,
            folders_began=None if seen is None else min(seen.began, began),
            unknown=unknown,
        )

    async def _served(self) -> Served:
        try:
            return await self.served.look()
        except Exception as error:  # the recorder is to outlive what it looks at
            why = _unthought(error)
            return Served(unknown={"index": why, "configs": why})

    async def _files(self) -> Files | str | None:
        """What was read, or why nothing was; None without a folder."""
        if self.files is None:
            return None
        if self._reading is None:
            self._reading_since = time.monotonic()
            self._reading = asyncio.get_running_loop().run_in_executor(None, self.files.read)
        await asyncio.wait([self._reading], timeout=self.files_seconds)
        if not self._reading.done():
            return "their reading takes longer than a look"
        reading, self._reading = self._reading, None
        try:
            return reading.result()
        except OSError as error:
            return f"{self.files.root}: {error.strerror or error}"
        except Exception as error:
            return _unthought(error)


@dataclass
class Recorder:
    """Keeps the record of `sources` in `journal`, going on from what that knows."""

    sources: Sources
    journal: Journal
    source: str
    """What it looks at, in words; a record of something else is not compared with."""
    on_change: Callable[[RepositoryChange], None] = lambda change: None
    on_trouble: Callable[[str], None] = lambda said: None
    known: Known = field(default_factory=Known)
    looked: Look | None = None
    """The last one."""
    _written_at: float | None = None
    _afresh: bool = False
    _unwritten: Look | None = None

    async def resume(self) -> None:
        """Reads what earlier runs recorded. Raises JournalError."""
        lines = await asyncio.to_thread(self.journal.lines)
        earlier = next((line.source for line in reversed(lines) if line.source), self.source)
        if earlier != self.source:
            self.on_trouble(f"the record so far is of {earlier}: it is begun afresh")
            self._afresh = True
            return
        self.known = await asyncio.to_thread(known_from, lines)
        if self.sources.files is not None:
            self.sources.files.known = self.known.folders

    async def run(self, every_seconds: float) -> None:
        """Looks at once and then every so often, until it is cancelled; then the last look is recorded, if it was not."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                try:
                    await self.look_once()
                except JournalError as error:
                    self.on_trouble(str(error))
                due = max(due + every_seconds, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            await self._sign_off()

    async def look_once(self) -> Sequence[RepositoryChange]:
        """What changed since what is known, recorded. Raises JournalError; the next look then sees the same changes."""
        look = self.looked = await self.sources.look()
        changes = compare(self.known, look)
        self._tell_of_unknown(look)
        if is_due(self.known, look, changes, self._written_at):
            self._unwritten = None
            await asyncio.to_thread(self._write, look, changes)
        else:
            self._unwritten = look
        self.known = after_look(self.known, look)
        for change in changes:
            self.on_change(change)
        return changes

    def _write(self, look: Look, changes: Sequence[RepositoryChange]) -> None:
        full = self.journal.begin_line() or self._afresh
        source = self.source if full or self._written_at is None else ""
        self.journal.append(line_of(self.known, look, changes, source=source, full=full))
        self._written_at, self._afresh = look.ended, False

    def _tell_of_unknown(self, look: Look) -> None:
        told = self.known.unknown if self._written_at is not None else {}
        new = look.unknown.keys() - told.keys()
        if new:
            self.on_trouble(
                "; ".join(f"cannot see {aspect}: {look.unknown[aspect]}" for aspect in sorted(new))
            )
        elif self.known.unknown and not look.unknown:
            self.on_trouble("all can be seen again")

    async def _sign_off(self) -> None:
        """So that a next run knows until when nothing had changed."""
        if self._unwritten is not None:
            try:
                async with asyncio.timeout(_SIGN_OFF_SECONDS):
                    await asyncio.to_thread(self._write, self._unwritten, ())
            except (TimeoutError, JournalError):
                return


def _unthought(error: Exception) -> str:
    return f"{type(error).__name__}: a mistake of triton-triage, please report it"
