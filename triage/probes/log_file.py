"""A log from a file or from standard input, read as a stream; no log is too large, and none without end holds up the report."""

import asyncio
import codecs
import errno
import io
import math
import os
import select
import shlex
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from triage.collect import Found, Question
from triage.evidence import Missing
from triage.log_excerpt import USUAL_ROOM, LogKeeper, Room
from triage.seal import Seal

CHUNK_BYTES = 1 << 18
TAIL_BYTES = 16 << 20
"""Of a file for which the time does not suffice, its beginning and its end are read: a start-up failure stands in one of them."""
END_BYTES = 1 << 20
"""The very end is read even where the time did not suffice for more."""
SHARE_OF_DEADLINE = 0.8
"""Reading stops with time left to use what was read."""
SHARE_BEFORE_END = 0.9
"""Of the time for a file, before its end is read without what is between."""
STORED_TIMES = 8
"""A log that comes as fast as it is read was stored, and has an end: it may take so many times the deadline. A gigabyte does."""
LIVE_BYTES_A_SECOND = 4 << 20
"""No server logs so fast."""
QUIET_SECONDS = 2.0
"""A pipe that says nothing for this long, after it said something, has said all that there is for now."""
_WAIT_SECONDS = 0.25
"""A thread waits no longer for a pipe at a time: it could not be called off."""


def log_questions(
    name: str,
    is_known: Callable[[str], bool],
    deadline_seconds: float,
    room: Room = USUAL_ROOM,
    worth_a_look: Callable[[str], bool] | None = None,
) -> list[Question]:
    """`name` is a path, or `-` for standard input. What was read by the deadline is used; `is_known` and `room` are the
    `LogKeeper`'s. worth_a_look: whether a text of several lines may hold one that is worth keeping; with it, a stored log is read
    to its end, or for STORED_TIMES the deadline."""
    shown = os.fsencode(name).decode(errors="replace")
    if name == "-":
        source, query, command = "standard input", "standard input", "kubectl logs POD -c CONTAINER"
        on_timeout = "give the log as a file"
    else:
        source, query, command = f"log file {Path(shown).name or shown}", shown, f"less {shlex.quote(shown)}"
        on_timeout = "look whether it is a log of Triton's, and give the part from its start to the failure"

    longest = deadline_seconds * (STORED_TIMES if worth_a_look else 1)

    async def ask(seal: Seal) -> Found:
        def skip(text: str) -> bool:
            said = seal.unmasked(text)
            return said is not None and worth_a_look is not None and not worth_a_look(said)

        keeper = LogKeeper(seal.line, is_known, room, skip if worth_a_look else None)
        reader = _Reader(keeper, deadline_seconds * SHARE_OF_DEADLINE, longest * SHARE_OF_DEADLINE)
        try:
            cut = await reader.read(name)
        except OSError as error:
            cut = True
            if not keeper.excerpt().lines:
                return Found(_unreadable(query, error))
        excerpt = keeper.excerpt(cut=cut)
        if excerpt.dropped or any(line.text.strip() for line in excerpt.lines):
            return Found(excerpt)
        remedy = "give the log of the server's process, from its start"
        if cut:
            seconds = f"{deadline_seconds * SHARE_OF_DEADLINE:g} s"
            return Found(Missing("timeout", f"{source} said nothing within {seconds}", remedy))
        return Found(Missing("not_found", f"{source} is empty", remedy))

    patience = longest if worth_a_look else None
    return [Question("log", "log", source, query, command, ask, on_timeout=on_timeout, patience=patience)]


class _Reader:
    """Feeds a keeper from bytes: for `seconds` at most, or for `longest` where the log is a stored one. Then it stops with what it
    has."""

    def __init__(self, keeper: LogKeeper, seconds: float, longest: float) -> None:
        self._keeper = keeper
        self._began = time.monotonic()
        self._until = self._began + seconds
        self._longest = self._began + longest
        self._rest = ""
        self._skipping = False
        """The rest of this line is not read."""
        self._decoder: io.IncrementalNewlineDecoder | None = None

    async def read(self, name: str) -> bool:
        """Whether there is more than was read: the middle of a file for which the time did not suffice, or what a pipe may say
        later."""
        descriptor = _open(name)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                cut = await self._read_file(descriptor)
            else:
                cut = await self._read_stream(descriptor)
        finally:
            os.close(descriptor)
        self._end()
        return cut

    async def _read_file(self, descriptor: int) -> bool:
        begin, size = os.lseek(descriptor, 0, os.SEEK_CUR), os.fstat(descriptor).st_size
        before_end = self._began + (self._longest - self._began) * SHARE_BEFORE_END
        reached, ended = await self._read_span(descriptor, begin, None, before_end)
        cut = not ended
        for length, until in ((TAIL_BYTES, self._longest), (END_BYTES, math.inf)):
            if ended:
                break
            self._end()
            begin = max(reached, size - length)
            self._skipping = os.pread(descriptor, 1, begin - 1) != b"\n"
            reached, ended = await self._read_span(descriptor, begin, size, until)
        return cut

    async def _read_span(
        self, descriptor: int, begin: int, end: int | None, until: float
    ) -> tuple[int, bool]:
        """Where it stopped, and whether that is the end: of the file, where none is given."""
        at = begin
        while end is None or at < end:
            chunk = await asyncio.to_thread(os.pread, descriptor, CHUNK_BYTES, at)
            if not chunk:
                return at, True
            at += len(chunk)
            await asyncio.to_thread(self._feed, chunk)
            if time.monotonic() > until:
                return at, False
        return at, True

    async def _read_stream(self, descriptor: int) -> bool:
        """Whether the stream goes on, or a part of it was skipped. It is left when it falls quiet or time runs short; from half
        of the time on, only its end is kept. A stored log that somebody pipes has more time, and nearly all of it."""
        kept: deque[bytes] = deque()
        size, read, skipped, ended = 0, 0, False, False
        last: float | None = None
        while not ended:
            now = time.monotonic()
            stored = read > LIVE_BYTES_A_SECOND * (now - self._began)
            until = self._longest if stored else self._until
            if now >= until or (last is not None and now - last >= QUIET_SECONDS):
                break
            chunk = await asyncio.to_thread(_read_some, descriptor)
            if chunk is None:
                continue
            last, ended, read = time.monotonic(), not chunk, read + len(chunk)
            share = SHARE_BEFORE_END if stored else 0.5
            if not skipped and now < self._began + (until - self._began) * share:
                await asyncio.to_thread(self._feed, chunk)
                continue
            kept.append(chunk)
            size += len(chunk)
            while size - len(kept[0]) >= END_BYTES:
                size -= len(kept.popleft())
                skipped = True
        if skipped:
            self._end()
            self._skipping = True
        await asyncio.to_thread(self._feed, b"".join(kept))
        return skipped or not ended

    def _feed(self, chunk: bytes) -> None:
        if self._decoder is None:
            encoding = "utf-16" if chunk[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"
            decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
            self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        text = self._rest + self._decoder.decode(chunk)
        if self._skipping:
            _, ended, text = text.partition("\n")
            self._rest = ""
            if not ended:
                return
            self._skipping = False
        whole = text[: text.rfind("\n") + 1]
        self._rest = rest = text[len(whole) :]
        if whole:
            self._keeper.feed_lines(whole)
        if len(rest) > CHUNK_BYTES:  # one line without end
            self._keeper.feed(rest)
            self._rest, self._skipping = "", True

    def _end(self) -> None:
        if self._rest:
            self._keeper.feed(self._rest)
        self._rest, self._decoder, self._skipping = "", None, False


def _open(name: str) -> int:
    if name != "-":
        # To open a pipe that nobody writes to waits for a writer; to read it is waited for as for any other.
        return os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    if sys.stdin is None:  # the program was started with it closed
        raise OSError(errno.EBADF, "standard input is closed")
    return os.dup(sys.stdin.fileno())


def _read_some(descriptor: int) -> bytes | None:
    """What a pipe or a device says, empty at its end; None where it says nothing for now."""
    poll = select.poll()  # epoll, and so asyncio, refuses /dev/null and its like
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(_WAIT_SECONDS * 1000):
        return None
    try:
        return os.read(descriptor, CHUNK_BYTES)
    except BlockingIOError:  # somebody else was faster
        return None


def _unreadable(name: str, error: OSError) -> Missing:
    said = f"{name}: {error.strerror or error}"
    if isinstance(error, FileNotFoundError):
        return Missing("not_found", said, "check the path of --log")
    if isinstance(error, PermissionError):
        return Missing("forbidden", said, "ask as a user who may read the file")
    return Missing("refused", said, "give a regular file, or - for standard input")
