"""The record on disk: lines appended and synced, one writer, two files at most. A kill leaves at worst a cut last line."""

import errno
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from triage.evidence import Missing
from triage.latency.facts import RepositoryChanges
from triage.repository.record import Line, changes_within, decode_lines, encode_line

ROTATE_BYTES = 16 << 20
MAX_READ_BYTES = 256 << 20
"""A larger file is no record of ours."""
_REMEDY = "give the file that `triton-triage record --to` writes"


class JournalError(Exception):
    """The record cannot be written; the message says which file, why, and what to do."""


class Journal:
    """A context manager: inside, the record is this process's alone to write."""

    def __init__(self, path: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._descriptor = -1
        self._first_bytes = 0

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def lines(self) -> list[Line]:
        """All that is recorded so far, the rotated file first. Raises JournalError."""
        try:
            return read_lines(self._path)
        except (OSError, ValueError) as error:
            raise JournalError(_cannot("read", self._path, error)) from error

    def begin_line(self) -> bool:
        """Whether the next line is the first of its file, which is rotated when it is full. Raises JournalError."""
        try:
            size = os.fstat(self._descriptor).st_size
            # A first line that fills a file by itself must not turn each line into one.
            if size >= max(self._rotate_bytes, 2 * self._first_bytes):
                os.replace(self._path, rotated(self._path))
                self._close()
                self._open()
                size = 0
        except OSError as error:
            raise JournalError(_cannot("rotate", self._path, error)) from error
        return size == 0

    def append(self, line: Line) -> None:
        """The line is on the disk. Raises JournalError, and then a part of it may be."""
        text = encode_line(line)
        try:
            size = os.fstat(self._descriptor).st_size
            if size == 0:
                self._first_bytes = len(text)
            elif os.pread(self._descriptor, 1, size - 1) != b"\n":  # the last writer was killed in the middle
                text = b"\n" + text
            while text:
                text = text[os.write(self._descriptor, text) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise JournalError(_cannot("write", self._path, error)) from error

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
            regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sync_folder(self._path.parent)
        except BlockingIOError as error:
            self._close()
            raise JournalError(
                f"{self._path}: another recorder writes to it; give each its own file"
            ) from error
        except OSError as error:
            self._close()
            raise JournalError(_cannot("write", self._path, error)) from error
        if not regular:
            self._close()
            raise JournalError(f"{self._path}: not a regular file; give --to another name")

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_changes(path: Path, start: float, end: float) -> RepositoryChanges | Missing:
    """What a record tells of a window, in seconds since 1970; a writer may be at work."""
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        return Missing("not_found", f"{path}: there is no such file", _REMEDY)
    except PermissionError as error:
        return Missing("forbidden", f"{path}: {error.strerror}", "ask as a user who may read it")
    except (OSError, ValueError) as error:
        return Missing("refused", f"{path}: {_said(error)}", _REMEDY)
    return changes_within(lines, start, end)


def read_lines(path: Path) -> list[Line]:
    """The record's lines, the rotated file's first. Raises OSError, and ValueError for what is no record by its size."""
    for _ in range(3):  # rotated while it is read: once more, else a file is read twice or not at all
        before = _identity(path)
        earlier = _read(rotated(path), must_exist=False)
        later = _read(path, must_exist=not earlier)
        if _identity(path) == before:
            break
    return decode_lines([*earlier.split(b"\n"), *later.split(b"\n")])


def rotated(path: Path) -> Path:
    """`FILE.1`."""
    return path.with_name(f"{path.name}.1")


def _read(path: Path, *, must_exist: bool) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        if must_exist:
            raise
        return b""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        text = file.read(MAX_READ_BYTES + 1)
    if len(text) > MAX_READ_BYTES:
        raise ValueError(f"more than {MAX_READ_BYTES} bytes: no record is as large")
    return text


def _identity(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _sync_folder(folder: Path) -> None:
    """So that a new file's name outlives a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:  # some file systems cannot sync a folder
        return
    finally:
        os.close(descriptor)


def _cannot(verb: str, path: Path, error: Exception) -> str:
    hint = "; make room" if isinstance(error, OSError) and error.errno == errno.ENOSPC else ""
    return f"cannot {verb} the record {path}: {_said(error)}{hint}"


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
