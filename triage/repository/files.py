"""The files of a model repository on disk, fingerprinted. A file is read again only when its size or a time of it changed.

Nothing outside the repository is read: a link is followed to a file within it, and no other. Pipes and devices are not opened."""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from triage.repository.fingerprints import File, Folder

WHOLE_BYTES = 2 << 30
"""Of a larger file, the head and the tail are read."""
END_BYTES = 16 << 20
MAX_FILES = 20_000
"""Of all models together; the folder in which it is reached cannot be told, nor those behind it."""
MAX_DEPTH = 32
_CHUNK = 1 << 20
_WRITTEN_BY_PYTHON = ("__pycache__",)
"""Loading a model of the Python backend writes it into the repository."""
_MAX_PATH = 300
_SETTLED_NS = 2_000_000_000
"""A file written this short before it was read may be written again within one tick of its clock."""


@dataclass(frozen=True, slots=True)
class Files:
    """What one reading shows, its names sealed."""

    began: float
    folders: Mapping[str, Folder]
    unread: Mapping[str, str]
    """By model, why its folder could not be read."""


class TooMany(Exception):
    """More files than are kept."""


@dataclass
class FilesOnDisk:
    """A repository's files, and what was read of them before. Not for two threads at once."""

    root: Path
    seal: Callable[[str], str]
    known: Mapping[str, Folder] = field(default_factory=dict)
    """What an earlier run read."""
    whole_bytes: int = WHOLE_BYTES
    end_bytes: int = END_BYTES
    max_files: int = MAX_FILES
    _unsettled: set[tuple[str, str]] = field(default_factory=set)
    _names: dict[str, str] = field(default_factory=dict)
    _left: int = 0

    def read(self) -> Files:
        """All models' files, now. Raises OSError when the repository itself cannot be read."""
        began = time.time()
        root = self.root.resolve(
            strict=True
        )  # each time: a deployment may swap a link to the whole repository
        folders: dict[str, Folder] = {}
        unread: dict[str, str] = {}
        self._left = self.max_files
        with os.scandir(root) as entries:
            models = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_name)
        for entry in models:
            model = self._shown(entry.name)
            try:
                if (folder := self._model(root, entry, model)) is not None:
                    folders[model] = folder
            except TooMany:
                unread[model] = f"more than {self.max_files} files in the repository"
            except OSError as error:
                unread[model] = error.strerror or type(error).__name__
        self.known = {model: kept for model, kept in self.known.items() if model in unread} | folders
        return Files(began, folders, unread)

    def _model(self, root: Path, entry: os.DirEntry[str], model: str) -> Folder | None:
        """None: it is no folder."""
        place = Path(entry.path)
        if entry.is_symlink():
            place = place.resolve(strict=True)
            if not place.is_relative_to(root):
                raise OSError(0, "a link out of the repository, which is not followed")
        if not stat.S_ISDIR(os.stat(place, follow_symlinks=False).st_mode):
            return None
        before = self.known.get(model, {})
        folder: dict[str, File] = {}
        for path in self._walk(place, 0):
            if self._left <= 0:
                raise TooMany
            self._left -= 1
            shown = self._shown(os.path.relpath(path, place))
            try:
                folder[shown] = self._file(root, path, before.get(shown), (model, shown))
            except FileNotFoundError:  # removed since its folder was listed
                continue
        return folder

    def _walk(self, folder: Path, depth: int) -> Iterator[str]:
        """Every path that is no folder."""
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=_name):
                if not entry.is_dir(follow_symlinks=False):
                    yield entry.path
                elif entry.name in _WRITTEN_BY_PYTHON:
                    continue
                elif depth >= MAX_DEPTH:
                    raise OSError(0, f"folders nested more than {MAX_DEPTH} deep")
                else:
                    yield from self._walk(Path(entry.path), depth + 1)

    def _file(self, root: Path, path: str, before: File | None, key: tuple[str, str]) -> File:
        found = os.stat(path, follow_symlinks=False)
        link = ""
        if stat.S_ISLNK(found.st_mode):
            link = self._shown(os.readlink(path))
            place = os.path.realpath(path)
            if not Path(place).is_relative_to(root):
                return _unread(found, "a link out of the repository, not followed", link)
            try:
                path, found = place, os.stat(place, follow_symlinks=False)
            except OSError as error:
                return _unread(found, error.strerror or "a link that leads nowhere", link)
            if stat.S_ISDIR(found.st_mode):
                return File(0, 0, 0, link=link)  # its files stand at their own place
        if not stat.S_ISREG(found.st_mode):
            return _unread(found, "neither a file nor a folder", link)
        if before is not None and key not in self._unsettled and _same(before, found, link):
            return before
        self._unsettled.discard(key)
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _SETTLED_NS:
            self._unsettled.add(key)
        try:
            found, sha256 = self._hash(root, path)
        except PermissionError as error:
            return _unread(found, error.strerror or "it may not be read", link)
        if not sha256:
            return _unread(found, "it was replaced by something else while it was read", link)
        partly = found.st_size > self.whole_bytes
        return File(found.st_size, found.st_mtime_ns, found.st_ctime_ns, sha256, partly, link)

    def _hash(self, root: Path, path: str) -> tuple[os.stat_result, str]:
        """Of the file that was really opened; empty where that is not a file within the repository."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            # A folder above it may have been swapped for a link since it was listed.
            real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if not stat.S_ISREG(found.st_mode) or not real.is_relative_to(root):
                return found, ""
            digest = hashlib.sha256()
            spans = [(0, found.st_size)]
            if found.st_size > self.whole_bytes:
                spans = [(0, self.end_bytes), (found.st_size - self.end_bytes, found.st_size)]
            for begin, end in spans:
                at = file.seek(begin)
                while at < end and (chunk := file.read(min(_CHUNK, end - at))):
                    digest.update(chunk)
                    at += len(chunk)
        return found, digest.hexdigest()

    def _shown(self, name: str) -> str:
        """Printable and sealed, and another one for each name."""
        if name not in self._names:
            if len(self._names) > 4 * self.max_files:
                self._names.clear()
            escaped = "".join(
                sign if sign.isprintable() and sign != "\\" else sign.encode("unicode_escape").decode()
                for sign in name
            )
            if len(escaped) > _MAX_PATH:
                digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
                escaped = f"{escaped[: _MAX_PATH - 12]}...#{digest}"
            self._names[name] = self.seal(escaped)
        return self._names[name]


def _same(before: File, found: os.stat_result, link: str) -> bool:
    then = (before.size, before.mtime_ns, before.ctime_ns, before.link)
    return bool(before.sha256) and then == (found.st_size, found.st_mtime_ns, found.st_ctime_ns, link)


def _unread(found: os.stat_result, why: str, link: str) -> File:
    return File(found.st_size, found.st_mtime_ns, found.st_ctime_ns, link=link, unread=why)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name
