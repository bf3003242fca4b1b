"""A model repository on disk, read once within a time: layout, configurations, modes, kinds of content, checksums.

Of each file the head and the tail are read; whole files only where a manifest, or an entry of bad_versions.yaml, names a checksum.
What could not be looked at is told. Nothing outside the repository is opened; no pipe and no device is."""

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triage.evidence import RepositoryFile, RepositoryModel, RepositoryProblem, RepositoryView
from triage.repository.access import RunAs, refused_to
from triage.repository.backends import Backends
from triage.repository.config_text import ConfigError, as_json, parse_config
from triage.repository.configuration import config_fields
from triage.repository.content import HEAD_BYTES, TAIL_BYTES, cut_short, kind_of
from triage.repository.layout import CONFIG
from triage.repository.model_folder import Entry, ModelFolder
from triage.repository.places import OUT_OF_IT, Names, listed, one_line, opened, walk
from triage.repository.problems import problems_of
from triage.repository.verification import TimeOver, Verifier, said_of, small_file, worded

MAX_MODELS = 2_000
MAX_FILES = 20_000
TOLD_FILES = 100
"""Of one model, in the evidence."""
TOLD_CONFIGS = 200
"""Models whose configuration stands in the evidence."""
MAX_PROBLEMS = 2_000
MAX_UNREAD = 100


@dataclass
class _Contents:
    """Of one model's folder, while it is read."""

    model: str
    entries: dict[str, Entry] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


@dataclass
class RepositoryReader:
    folder: Path
    backends: Backends
    until: float
    """Of the monotonic clock: what is not read by then is told as unread."""
    run_as: RunAs | None = None
    """Whom the server runs as; None: not known."""
    seal: Callable[[Any], Any] = lambda value: value
    """Masks the secrets of a configuration, while its parameters still stand under their own names and in full."""
    _root: Path = field(init=False)
    _unread: list[str] = field(default_factory=list)
    _more_unread: int = 0
    _left: int = MAX_FILES
    _unseen_models: set[str] = field(default_factory=set)
    _all_models: bool = True
    _verifier: Verifier = field(init=False)

    def read(self) -> RepositoryView:
        """Raises OSError when the folder itself cannot be read."""
        self._shown = Names(str, 4 * MAX_FILES).shown
        self._root = self.folder.resolve(strict=True)
        entries = listed(self._root)
        models: dict[str, ModelFolder] = {}
        places: dict[str, Path] = {}
        for entry in entries:
            if (place := self._place(entry)) is None:
                continue
            name = self._shown(entry.name)
            if len(models) >= MAX_MODELS:
                self._skip(f"{name} and what follows it: more than {MAX_MODELS} models are not read")
                self._all_models = False
                break
            try:
                models[name], places[name] = self._model(name, place), place
            except TimeOver:
                self._skip(f"{name} and what follows it: the time was over")
                self._all_models = False
                break
        files = {entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)}
        problems = list(self._problems(models, places, files))
        if len(problems) > MAX_PROBLEMS:
            self._skip(f"{len(problems) - MAX_PROBLEMS} more findings are not told")
        if self._more_unread:
            self._unread.append(f"and {self._more_unread} more")
        return RepositoryView(
            models=tuple(
                _model_view(model, self.seal if number < TOLD_CONFIGS else None)
                for number, model in enumerate(models.values())
            ),
            problems=tuple(problems[:MAX_PROBLEMS]),
            unread=tuple(self._unread),
            files=MAX_FILES - self._left,
            checksums=self._verifier.held,
        )

    def _skip(self, why: str) -> None:
        if len(self._unread) < MAX_UNREAD:
            self._unread.append(one_line(why))
        else:
            self._more_unread += 1

    def _place(self, entry: os.DirEntry[str]) -> Path | None:
        """Where this model's folder really is; None where it is none, or is not followed."""
        name = self._shown(entry.name)
        try:
            if not entry.is_symlink():
                return Path(entry.path) if entry.is_dir(follow_symlinks=False) else None
            place = Path(entry.path).resolve(strict=True)
            if not place.is_relative_to(self._root):
                self._skip(f"{name}: {OUT_OF_IT}")
                self._unseen_models.add(name)
                return None
            return place if place.is_dir() else None
        except RuntimeError:
            self._skip(f"{name}: a link in a circle")
        except OSError as error:
            self._skip(f"{name}: {said_of(error)}")
        self._unseen_models.add(name)
        return None

    def _may_be_there(self, model: str) -> bool:
        """Whether a model of this name may lie where it was not looked."""
        return not self._all_models or model in self._unseen_models

    def _model(self, name: str, place: Path) -> ModelFolder:
        try:
            own = _entry("folder", os.stat(place, follow_symlinks=False))
        except OSError:
            own = Entry("folder", mode=0o755)
        contents = _Contents(name)
        try:
            self._walk(contents, place)
        except _TooMany:
            contents.unknown.add("")
            self._skip(f"{name}: more than {MAX_FILES} files in the repository are not read")
        model = ModelFolder(
            name, self.backends, contents.entries, unknown=frozenset(contents.unknown), own=own
        )
        self._configure(model, place)
        return model

    def _walk(self, contents: "_Contents", place: Path) -> None:
        """Folders behind links are read once each; at a second link to one its content stays unknown."""
        folders, walked = [(place, "")], {os.path.realpath(place)}
        while folders:
            base, before = folders.pop(0)
            walked_through = walk(
                base, self._on_folder(contents, base, before), self._on_error(contents, base, before)
            )
            for path in walked_through:
                self._count()
                shown = before + self._within(path, base)
                found = self._file(path)
                if found is None:
                    continue  # removed since its folder was listed
                contents.entries[shown] = found
                if found.unread:
                    contents.unknown.add(shown)
                    self._skip(f"{contents.model}/{shown}: {found.unread}")
                elif found.kind == "folder":
                    if (real := os.path.realpath(path)) in walked:
                        contents.unknown.add(shown)
                    else:
                        walked.add(real)
                        folders.append((Path(real), f"{shown}/"))

    def _on_folder(
        self, contents: "_Contents", base: Path, before: str
    ) -> Callable[[os.DirEntry[str]], None]:
        def on_folder(entry: os.DirEntry[str]) -> None:
            self._count()
            shown = before + self._within(entry.path, base)
            try:
                contents.entries[shown] = _entry("folder", entry.stat(follow_symlinks=False))
            except OSError as error:
                contents.unknown.add(shown)
                self._skip(f"{contents.model}/{shown}: {said_of(error)}")

        return on_folder

    def _on_error(self, contents: "_Contents", base: Path, before: str) -> Callable[[str, OSError], None]:
        def on_error(path: str, error: OSError) -> None:
            inner = "" if path == str(base) else self._within(path, base)
            shown = (before + inner).rstrip("/")
            contents.unknown.add(shown)
            self._skip(f"{contents.model}/{shown}: {said_of(error)}".replace("/:", ":", 1))

        return on_error

    def _within(self, path: str, base: Path) -> str:
        return "/".join(self._shown(part) for part in os.path.relpath(path, base).split("/"))

    def _count(self) -> None:
        if time.monotonic() > self.until:
            raise TimeOver
        if self._left <= 0:
            raise _TooMany
        self._left -= 1

    def _configure(self, model: ModelFolder, place: Path) -> None:
        entry = model.entries.get(CONFIG)
        if entry is None or entry.kind in ("", "folder", "other", "lfs_pointer", "html"):
            return
        try:
            model.config = parse_config(small_file(self._root, place / CONFIG))
        except ConfigError as error:
            model.config_error = error
        except OSError as error:
            self._skip(f"{model.name}/{CONFIG}: {said_of(error)}")

    def _file(self, path: str) -> Entry | None:
        link, real = "", path
        try:
            found = os.stat(path, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                link = self._shown(os.readlink(path))
                real = os.path.realpath(path)
                if not Path(real).is_relative_to(self._root):
                    return _entry("", found, link=link, unread=OUT_OF_IT)
                try:
                    found = os.stat(real)
                except FileNotFoundError:
                    return _entry("other", found, link=link, dangling=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Entry("", link=link, unread=said_of(error))
        if stat.S_ISDIR(found.st_mode):
            return _entry("folder", found, link=link)
        if not stat.S_ISREG(found.st_mode):
            return _entry("other", found, link=link)
        try:
            with opened(self._root, real) as whole:
                if whole is None:
                    return _entry("", found, link=link, unread="it was replaced by something else meanwhile")
                file, found = whole
                head = file.read(HEAD_BYTES)
                file.seek(max(0, found.st_size - TAIL_BYTES))
                kind = kind_of(head, found.st_size)
                cut = cut_short(kind, head, file.read(TAIL_BYTES), found.st_size)
                return _entry(kind, found, link=link, cut=cut)
        except FileNotFoundError:
            return None
        except OSError as error:
            return _entry("", found, link=link, unread=said_of(error))

    def _problems(
        self, models: Mapping[str, ModelFolder], places: Mapping[str, Path], files: set[str]
    ) -> Iterator[RepositoryProblem]:
        own = _entry("folder", os.stat(self._root))
        if denied := refused_to(own, None):
            yield worded("", f"repository: the repository has mode {own.mode:04o}: nobody may {denied} it")
        for name, model in models.items():
            for version, text in problems_of(
                model, models, unseen=self._may_be_there, root_has_config=CONFIG in files, run_as=self.run_as
            ):
                yield worded(name, text, version)
        self._verifier = Verifier(self._root, self.until, self._skip, models, places, files)
        yield from self._verifier.problems()


class _TooMany(Exception):
    """More files than are read."""


def _entry(kind: str, found: os.stat_result, **more: str | bool) -> Entry:
    mode = stat.S_IMODE(found.st_mode)
    return Entry(kind, found.st_size, mode, found.st_uid, found.st_gid, **more)  # type: ignore[arg-type]


def _model_view(model: ModelFolder, seal: Callable[[Any], Any] | None) -> RepositoryModel:
    """`seal`: of the configuration; None: it is not told."""
    files = [
        RepositoryFile(
            path,
            entry.kind,
            entry.size,
            f"{entry.mode:04o}",
            entry.owner,
            entry.group,
            entry.link,
            entry.unread,
        )
        for path, entry in model.entries.items()
    ]
    return RepositoryModel(
        model.name,
        model.versions.present[:TOLD_FILES],
        model.versions.loaded[:TOLD_FILES],
        model.versions.policy,
        model.loaded.backend,
        tuple(files[:TOLD_FILES]),
        max(0, len(files) - TOLD_FILES),
        config_fields(as_json(model.config), seal) if model.config is not None and seal is not None else {},
    )
