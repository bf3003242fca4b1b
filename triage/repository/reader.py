"""A model repository on disk, read once within a time: layout, configurations, modes, kinds of content, checksums.

Of each file the head and the tail are read; whole files only where a manifest, or an entry of bad_versions.yaml, names a checksum.
What could not be looked at is told. Nothing outside the repository is opened; no pipe and no device is."""

import hashlib
import os
import posixpath
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from telemetry.located_yaml import InvalidFileError
from triage.evidence import RepositoryFile, RepositoryModel, RepositoryProblem, RepositoryView
from triage.repository.access import RunAs, refused_to
from triage.repository.backends import Backends
from triage.repository.bad_versions import FILE as BAD_VERSIONS
from triage.repository.bad_versions import BadVersion, folder_sha256, parse_bad_versions
from triage.repository.config_text import ConfigError, as_json, parse_config
from triage.repository.configuration import config_fields
from triage.repository.content import HEAD_BYTES, TAIL_BYTES, cut_short, kind_of
from triage.repository.layout import CONFIG
from triage.repository.manifest import NoManifest, is_manifest, parse_manifest
from triage.repository.model_folder import Entry, ModelFolder
from triage.repository.places import OUT_OF_IT, Names, listed, one_line, opened, walk
from triage.repository.problems import problems_of

MAX_MODELS = 2_000
MAX_FILES = 20_000
MAX_TEXT_BYTES = 1 << 20
"""Of a configuration, a manifest, or bad_versions.yaml."""
TOLD_FILES = 100
"""Of one model, in the evidence."""
TOLD_CONFIGS = 200
"""Models whose configuration stands in the evidence."""
MAX_PROBLEMS = 2_000
MAX_UNREAD = 100
_CHUNK = 1 << 20


class _TimeOver(Exception):
    """The rest is not read."""


@dataclass
class RepositoryReader:
    folder: Path
    backends: Backends
    until: float
    """Of the monotonic clock: what is not read by then is told as unread."""
    run_as: RunAs | None = None
    """Whom the server runs as; None: not known."""
    _root: Path = field(init=False)
    _unread: list[str] = field(default_factory=list)
    _more_unread: int = 0
    _left: int = MAX_FILES
    _checksums: dict[str, str] = field(default_factory=dict)
    """By real path."""
    _held: int = 0

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
                break
            try:
                models[name], places[name] = self._model(name, place), place
            except _TimeOver:
                self._skip(f"{name} and what follows it: the time was over")
                break
        files = {entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)}
        problems = list(self._problems(models, places, files))
        if len(problems) > MAX_PROBLEMS:
            self._skip(f"{len(problems) - MAX_PROBLEMS} more findings are not told")
        if self._more_unread:
            self._unread.append(f"and {self._more_unread} more")
        return RepositoryView(
            models=tuple(_model_view(model, number) for number, model in enumerate(models.values())),
            problems=tuple(problems[:MAX_PROBLEMS]),
            unread=tuple(self._unread),
            files=MAX_FILES - self._left,
            checksums=self._held,
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
                return None
            return place if place.is_dir() else None
        except RuntimeError:
            self._skip(f"{name}: a link in a circle")
        except OSError as error:
            self._skip(f"{name}: {_said(error)}")
        return None

    def _model(self, name: str, place: Path) -> ModelFolder:
        entries: dict[str, Entry] = {}

        def within(path: str) -> str:
            return "/".join(self._shown(part) for part in os.path.relpath(path, place).split("/"))

        def on_folder(entry: os.DirEntry[str]) -> None:
            self._count(name)
            try:
                entries[within(entry.path)] = _entry("folder", entry.stat(follow_symlinks=False))
            except OSError as error:
                self._skip(f"{name}/{within(entry.path)}: {_said(error)}")

        def on_error(path: str, error: OSError) -> None:
            self._skip(f"{name if path == str(place) else f'{name}/{within(path)}'}: {_said(error)}")

        try:
            own = _entry("folder", os.stat(place, follow_symlinks=False))
        except OSError:
            own = Entry("folder", mode=0o755)
        try:
            for path in walk(place, on_folder, on_error):
                self._count(name)
                shown = within(path)
                found = self._file(path)
                if found is None:
                    continue  # removed since its folder was listed
                entries[shown] = found
                if found.unread:
                    self._skip(f"{name}/{shown}: {found.unread}")
        except _TooMany:
            self._skip(f"{name}: more than {MAX_FILES} files in the repository are not read")
        model = ModelFolder(name, self.backends, entries, own=own)
        self._configure(model, place)
        return model

    def _count(self, name: str) -> None:
        if time.monotonic() > self.until:
            raise _TimeOver
        if self._left <= 0:
            raise _TooMany
        self._left -= 1

    def _configure(self, model: ModelFolder, place: Path) -> None:
        entry = model.entries.get(CONFIG)
        if entry is None or entry.kind in ("", "folder", "other", "lfs_pointer", "html"):
            return
        try:
            model.config = parse_config(self._text(place / CONFIG))
        except ConfigError as error:
            model.config_error = error
        except OSError as error:
            self._skip(f"{model.name}/{CONFIG}: {_said(error)}")

    def _text(self, path: Path) -> bytes:
        """A small file, whole. Raises OSError."""
        with opened(self._root, os.path.realpath(path)) as whole:
            if whole is None:
                raise OSError(0, "it is no file within the repository")
            file, _ = whole
            content = file.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise OSError(0, f"more than {MAX_TEXT_BYTES} bytes are not read")
        return content

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
            return Entry("", link=link, unread=_said(error))
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
            return _entry("", found, link=link, unread=_said(error))

    def _problems(
        self, models: Mapping[str, ModelFolder], places: Mapping[str, Path], files: set[str]
    ) -> Iterator[RepositoryProblem]:
        own = _entry("folder", os.stat(self._root))
        if denied := refused_to(own, None):
            yield _problem("", f"repository: the repository has mode {own.mode:04o}: nobody may {denied} it")
        for name, model in models.items():
            for version, text in problems_of(
                model, models, root_has_config=CONFIG in files, run_as=self.run_as
            ):
                yield _problem(name, text, version)
        yield from self._marked(models, places, files)
        for place, name in self._manifests(models, places, files):
            yield from self._held_against(place, name, models, places)

    def _marked(
        self, models: Mapping[str, ModelFolder], places: Mapping[str, Path], files: set[str]
    ) -> Iterator[RepositoryProblem]:
        if BAD_VERSIONS not in files:
            return
        try:
            bad = parse_bad_versions(self._text(self._root / BAD_VERSIONS).decode())
        except InvalidFileError as error:
            for problem in error.problems[:5]:
                self._skip(f"{problem.file}:{problem.line}:{problem.column}: {problem.message}")
            return
        except (OSError, UnicodeDecodeError) as error:
            self._skip(f"{BAD_VERSIONS}: {_said(error)}")
            return
        for number, row in enumerate(bad.root, 1):
            model = models.get(row.model)
            if model is None or row.version not in model.versions.loaded:
                continue
            if row.sha256 is None or self._is_content(row, places[row.model]):
                since = f", since {row.since}" if row.since else ""
                report = f", report {row.report}" if row.report else ""
                told = f"entry {number} of {BAD_VERSIONS}{since}{report}"
                yield _problem(
                    row.model,
                    f"repository: version {row.version} is marked bad by {told}: {' '.join(row.reason.split())}",
                    str(row.version),
                )

    def _is_content(self, row: BadVersion, place: Path) -> bool:
        """Whether the version folder has the content that the entry is about; so it is taken where that cannot be told."""
        folder = place / str(row.version)
        try:
            sums = {
                os.path.relpath(path, folder): self._sha256(path) for path in walk(folder) if _is_file(path)
            }
        except (OSError, _TimeOver) as error:
            self._skip(f"{row.model}/{row.version}: its checksum, which {BAD_VERSIONS} names: {_said(error)}")
            return True
        return folder_sha256(sums) == row.sha256

    def _manifests(
        self, models: Mapping[str, ModelFolder], places: Mapping[str, Path], files: set[str]
    ) -> Iterator[tuple[Path, str]]:
        """The manifests of the repository, of its models and of their versions: each one's folder and name."""
        for name in sorted(filter(is_manifest, files)):
            yield self._root, name
        for name, model in models.items():
            for path, entry in model.entries.items():
                if (
                    is_manifest(posixpath.basename(path))
                    and path.count("/") <= 1
                    and entry.kind not in ("", "folder")
                ):
                    inner, _, file = path.rpartition("/")
                    yield places[name] / inner, file

    def _held_against(
        self, folder: Path, manifest: str, models: Mapping[str, ModelFolder], places: Mapping[str, Path]
    ) -> Iterator[RepositoryProblem]:
        shown = self._shown(os.path.relpath(folder / manifest, self._root))
        try:
            entries = list(parse_manifest(self._text(folder / manifest).decode(errors="surrogateescape")))
        except (OSError, NoManifest) as error:
            self._skip(f"{shown}: {_said(error)}")
            return
        owners = sorted(((place, name) for name, place in places.items()), key=lambda row: -len(row[0].parts))
        for entry in entries:
            path = Path(os.path.normpath(folder / entry.path))
            owner = next(((place, name) for place, name in owners if path.is_relative_to(place)), None)
            where = self._shown(os.path.relpath(path, owner[0] if owner else self._root))
            name = owner[1] if owner else ""
            by = f"line {entry.line} of {shown}"
            version = where.split("/", 1)[0] if "/" in where and where.split("/", 1)[0].isdecimal() else ""
            if owner and version and int(version[:20]) not in models[name].versions.loaded:
                continue  # Triton would not load it
            if not path.is_relative_to(self._root):
                self._skip(f"{shown}: line {entry.line} names a path out of the repository")
                continue
            try:
                found = self._sha256(str(path))
            except FileNotFoundError:
                yield _problem(name, f"repository: {where} is missing, which {by} names", version)
            except _TimeOver:
                self._skip(
                    f"{shown}: the time was over at line {entry.line}; the files from there on were not checked"
                )
                return
            except OSError as error:
                self._skip(f"{where}: {_said(error)}")
            else:
                self._held += 1
                if found != entry.sha256:
                    yield _problem(name, f"repository: {where} has another SHA-256 than {by} names", version)

    def _sha256(self, path: str) -> str:
        """Raises OSError, or _TimeOver."""
        real = os.path.realpath(path)
        if real not in self._checksums:
            if not os.path.lexists(real):
                raise FileNotFoundError(real)
            if not Path(real).is_relative_to(self._root):
                raise OSError(0, OUT_OF_IT)
            digest = hashlib.sha256()
            if not _is_file(real):
                raise OSError(0, "it is no file")
            with opened(self._root, real) as whole:
                if whole is None:
                    raise OSError(0, "it is no file within the repository")
                while chunk := whole[0].read(_CHUNK):
                    if time.monotonic() > self.until:
                        raise _TimeOver
                    digest.update(chunk)
            self._checksums[real] = digest.hexdigest()
        return self._checksums[real]


def _problem(model: str, text: str, version: str = "") -> RepositoryProblem:
    return RepositoryProblem(model, one_line(text), version)


class _TooMany(Exception):
    """More files than are read."""


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _entry(kind: str, found: os.stat_result, **more: str | bool) -> Entry:
    mode = stat.S_IMODE(found.st_mode)
    return Entry(kind, found.st_size, mode, found.st_uid, found.st_gid, **more)  # type: ignore[arg-type]


def _said(error: Exception) -> str:
    if isinstance(error, _TimeOver):
        return "the time was over"
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


def _model_view(model: ModelFolder, number: int) -> RepositoryModel:
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
    told = model.config is not None and number < TOLD_CONFIGS
    return RepositoryModel(
        model.name,
        model.versions.present[:TOLD_FILES],
        model.versions.loaded[:TOLD_FILES],
        model.versions.policy,
        model.loaded.backend,
        tuple(files[:TOLD_FILES]),
        max(0, len(files) - TOLD_FILES),
        config_fields(as_json(model.config)) if told else {},
    )
