"""A log from a file or from standard input, read as a stream; no log is too large, and none without end holds up the report."""

import asyncio
import codecs
import os
import shlex
import stat
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from triage.collect import Found, Question
from triage.evidence import Missing
from triage.log_excerpt import LINE_CHARACTERS, LogKeeper
from triage.seal import Seal
from triage.signatures import Signatures

CHUNK_BYTES = 1 << 18
HEAD_BYTES = 16 << 20
TAIL_BYTES = 16 << 20
"""Of a larger file, its beginning and its end are read: a start-up failure stands in one of them."""
SHARE_OF_DEADLINE = 0.8
"""Reading stops with time left to use what was read."""
QUIET_SECONDS = 2.0
"""A pipe that says nothing for this long, after it said something, has said all that there is for now."""


def log_questions(name: str, signatures: Signatures, deadline_seconds: float) -> list[Question]:
    """`name` is a path, or `-` for standard input. What was read by the deadline is used."""
    if name == "-":
        source, query, command = "standard input", "standard input", "kubectl logs POD -c CONTAINER"
    else:
        source, query, command = f"log file {Path(name).name}", name, f"less {shlex.quote(name)}"

    async def ask(seal: Seal) -> Found:
        keeper = LogKeeper(seal.line, signatures)
        reader = _Reader(keeper, time.monotonic() + deadline_seconds * SHARE_OF_DEADLINE)
        try:
            if name == "-" and not _is_regular(sys.stdin.fileno()):
                cut = await reader.read_stream(sys.stdin.buffer)
            else:
                cut = await reader.read_file(0 if name == "-" else name)
        except OSError as error:
            return Found(_unreadable(name, error))
        excerpt = keeper.excerpt(cut=cut)
        if not excerpt.lines_read:
            remedy = "give the log of the server's process, from its start"
            return Found(Missing("not_found", f"{source} is empty", remedy))
        return Found(excerpt)

    return [Question("log", "log", source, query, command, ask, on_timeout="give the log as a file")]


class _Reader:
    """Feeds a keeper from bytes; `until` is the monotonic time at which it stops with what it has."""

    def __init__(self, keeper: LogKeeper, until: float) -> None:
        self._keeper = keeper
        self._until = until
        self._rest = ""
        self._decoder: codecs.IncrementalDecoder | None = None

    async def read_file(self, file: str | int) -> bool:
        """Whether a part was left out: the middle of a large file, or what the time did not suffice for."""
        handle = await asyncio.to_thread(open, file, "rb", closefd=not isinstance(file, int))
        with handle:
            size = os.fstat(handle.fileno()).st_size
            large = size > HEAD_BYTES + TAIL_BYTES
            cut = await self._read_until(handle, HEAD_BYTES if large else sys.maxsize)
            if large:
                self._end()
                handle.seek(size - TAIL_BYTES)
                handle.readline(LINE_CHARACTERS)  # the rest of a line
                await self._read_until(handle, sys.maxsize)
        self._end()
        return cut or large

    async def read_stream(self, stream: BinaryIO) -> bool:
        """Whether the stream goes on: it was left when it fell quiet or time ran short."""
        ended = False
        async for chunk in _chunks(stream, self._until):
            ended = not chunk
            await asyncio.to_thread(self._feed, chunk)
        self._end()
        return not ended

    async def _read_until(self, handle: BinaryIO, most: int) -> bool:
        """Whether the time ran out first."""
        read = 0
        while read < most and (chunk := await asyncio.to_thread(handle.read, CHUNK_BYTES)):
            read += len(chunk)
            await asyncio.to_thread(self._feed, chunk)
            if time.monotonic() > self._until:
                return True
        return False

    def _feed(self, chunk: bytes) -> None:
        if self._decoder is None:
            encoding = "utf-16" if chunk[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"
            self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        *lines, self._rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        for line in lines:
            self._keeper.feed(line.rstrip("\r"))
        if len(self._rest) > CHUNK_BYTES:  # one line without end
            self._keeper.feed(self._rest)
            self._rest = ""

    def _end(self) -> None:
        if self._rest:
            self._keeper.feed(self._rest)
        self._rest, self._decoder = "", None


async def _chunks(stream: BinaryIO, until: float) -> AsyncIterator[bytes]:
    """What the pipe says, the last one empty if it ended; it is left when it falls quiet after it said something."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    try:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
    except (ValueError, PermissionError):  # a device that cannot be waited for, such as /dev/null
        yield await asyncio.to_thread(stream.read)
        yield b""
        return
    try:
        chunk = await reader.read(CHUNK_BYTES)
        yield chunk
        while chunk and time.monotonic() < until:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    chunk = await reader.read(CHUNK_BYTES)
            except TimeoutError:
                return
            yield chunk
    finally:
        transport.close()


def _is_regular(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _unreadable(name: str, error: OSError) -> Missing:
    said = f"{name}: {error.strerror or error}"
    if isinstance(error, FileNotFoundError):
        return Missing("not_found", said, "check the path of --log")
    if isinstance(error, PermissionError):
        return Missing("forbidden", said, "ask as a user who may read the file")
    return Missing("refused", said, "give a regular file, or - for standard input")
