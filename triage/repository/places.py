"""Paths of a model repository on disk: their order, how they are shown, and how one is opened without leaving the repository.

Nothing outside the repository is opened: a link is followed to a file within it, and no other. Pipes and devices are not read."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

MAX_DEPTH = 32
OUT_OF_IT = "a link out of the repository, which is not followed"
_WRITTEN_BY_PYTHON = ("__pycache__",)
"""Loading a model of the Python backend writes it into the repository."""
_MAX_PATH = 300


def listed(folder: str | Path) -> list[os.DirEntry[str]]:
    """The folder's entries, by name. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


Told = Callable[[os.DirEntry[str]], None]
Untold = Callable[[str, OSError], None]


def walk(folder: str | Path, on_folder: Told | None = None, on_error: Untold | None = None) -> Iterator[str]:
    """Every path below that is no folder; a link to a folder is none. `on_folder` is told of each folder before it is listed,
    `on_error` of each that cannot be listed or is nested more than MAX_DEPTH deep. Without `on_error` that raises OSError."""
    return _walk(str(folder), 0, on_folder, on_error)


def _walk(folder: str, depth: int, on_folder: Told | None, on_error: Untold | None) -> Iterator[str]:
    try:
        entries = _listed(folder, depth)
    except OSError as error:
        if on_error is None:
            raise
        on_error(folder, error)
        return
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            yield entry.path
        elif entry.name not in _WRITTEN_BY_PYTHON:
            if on_folder is not None:
                on_folder(entry)
            yield from _walk(entry.path, depth + 1, on_folder, on_error)


def _listed(folder: str, depth: int) -> list[os.DirEntry[str]]:
    if depth > MAX_DEPTH:
        raise OSError(0, f"folders nested more than {MAX_DEPTH} deep")
    return listed(folder)


@contextmanager
def opened(root: Path, path: str) -> Iterator[tuple[BinaryIO, os.stat_result] | None]:
    """The file, and what was really opened; None where that is no regular file within `root`: something may have been swapped since
    it was listed. Raises OSError. Never waits for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        found = os.fstat(descriptor)
        real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        whole = stat.S_ISREG(found.st_mode) and real.is_relative_to(root)
        yield (file, found) if whole else None


def one_line(text: str, also: str = "") -> str:
    """The text with escapes for what does not print, and for the signs of `also`."""
    if text.isprintable() and not also:
        return text
    return "".join(
        sign if sign.isprintable() and sign not in also else sign.encode("unicode_escape").decode()
        for sign in text
    )


@dataclass
class Names:
    """How names are shown: printable and sealed, and another one for each name."""

    seal: Callable[[str], str]
    most: int
    """So many are remembered."""
    _shown: dict[str, str] = field(default_factory=dict)

    def shown(self, name: str) -> str:
        if name not in self._shown:
            if len(self._shown) > self.most:
                self._shown.clear()
            escaped = one_line(name, also="\\")
            if len(escaped) > _MAX_PATH:
                digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
                escaped = f"{escaped[: _MAX_PATH - 12]}...#{digest}"
            self._shown[name] = self.seal(escaped)
        return self._shown[name]
