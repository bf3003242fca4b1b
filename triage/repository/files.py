"""The files of a model repository on disk, fingerprinted. A file is read again only when its size or a time of it changed."""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from triage.repository.fingerprints import File, Folder
from triage.repository.places import OUT_OF_IT, Names, listed, opened, walk

WHOLE_BYTES = 2 << 30
"""Of a larger file, the head and the tail are read."""
END_BYTES = 16 << 20
MAX_FILES = 20_000
"""Of all models together; the folder in which it is reached cannot be told, nor those behind it."""
_CHUNK = 1 << 20
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
    _left: int = 0

    def __post_init__(self) -> None:
        self._shown = Names(self.seal, 4 * self.max_files).shown

    def read(self) -> Files:
        """All models' files, now. Raises OSError when the repository itself cannot be read."""
        began = time.time()
        root = self.root.resolve(
            strict=True
        )  # each time: a deployment may swap a link to the whole repository
        folders: dict[str, Folder] = {}
        unread: dict[str, str] = {}
        self._left = self.max_files
        for entry in listed(root):
            if entry.name.startswith("."):
                continue
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
                raise OSError(0, OUT_OF_IT)
        if not stat.S_ISDIR(os.stat(place, follow_symlinks=False).st_mode):
            return None
        before = self.known.get(model, {})
        folder: dict[str, File] = {}
        for path in walk(place):
            if self._left <= 0:
                raise TooMany
            self._left -= 1
            shown = self._shown(os.path.relpath(path, place))
            try:
                folder[shown] = self._file(root, path, before.get(shown), (model, shown))
            except FileNotFoundError:  # removed since its folder was listed
                continue
        return folder

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
        with opened(root, path) as whole:
            if whole is None:
                return os.stat(path, follow_symlinks=False), ""
            file, found = whole
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


def _same(before: File, found: os.stat_result, link: str) -> bool:
    then = (before.size, before.mtime_ns, before.ctime_ns, before.link)
    return bool(before.sha256) and then == (found.st_size, found.st_mtime_ns, found.st_ctime_ns, link)


def _unread(found: os.stat_result, why: str, link: str) -> File:
    return File(found.st_size, found.st_mtime_ns, found.st_ctime_ns, link=link, unread=why)
