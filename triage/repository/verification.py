"""A repository held against what was written about it: manifests of checksums, and bad_versions.yaml.

Whole files are read here, as far as the time reaches."""

import hashlib
import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from telemetry.located_yaml import InvalidFileError
from triage.evidence import RepositoryProblem
from triage.repository.bad_versions import FILE as BAD_VERSIONS
from triage.repository.bad_versions import BadVersion, folder_sha256, parse_bad_versions
from triage.repository.manifest import NoManifest, is_manifest, parse_manifest
from triage.repository.model_folder import ModelFolder
from triage.repository.places import OUT_OF_IT, Names, one_line, opened, walk

MAX_TEXT_BYTES = 1 << 20
"""Of a configuration, a manifest, or bad_versions.yaml."""
_CHUNK = 1 << 20


class TimeOver(Exception):
    """The rest is not read."""


@dataclass
class Verifier:
    root: Path
    until: float
    """Of the monotonic clock."""
    skip: Callable[[str], None]
    """Is told what could not be checked, and why."""
    models: Mapping[str, ModelFolder]
    places: Mapping[str, Path]
    """Where each model's folder really is."""
    files: set[str]
    """Names in the repository's root that are no folders."""
    held: int = 0
    """Files that were held against a manifest."""
    _checksums: dict[str, str] = field(default_factory=dict)
    """By real path."""

    def __post_init__(self) -> None:
        self.shown = Names(str, 1 << 16).shown

    def problems(self) -> Iterator[RepositoryProblem]:
        yield from self._marked()
        for place, name in self._manifests():
            yield from self._held_against(place, name)

    def _marked(self) -> Iterator[RepositoryProblem]:
        if BAD_VERSIONS not in self.files:
            return
        try:
            bad = parse_bad_versions(small_file(self.root, self.root / BAD_VERSIONS).decode())
        except InvalidFileError as error:
            for problem in error.problems[:5]:
                self.skip(f"{problem.file}:{problem.line}:{problem.column}: {problem.message}")
            return
        except (OSError, UnicodeDecodeError) as error:
            self.skip(f"{BAD_VERSIONS}: {said_of(error)}")
            return
        for number, row in enumerate(bad.root, 1):
            model = self.models.get(row.model)
            if model is None or row.version not in model.versions.loaded:
                continue
            if row.sha256 is None or self._is_content(row, self.places[row.model]):
                since = f", since {row.since}" if row.since else ""
                report = f", report {row.report}" if row.report else ""
                told = f"entry {number} of {BAD_VERSIONS}{since}{report}"
                yield worded(
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
        except (OSError, TimeOver) as error:
            self.skip(
                f"{row.model}/{row.version}: its checksum, which {BAD_VERSIONS} names: {said_of(error)}"
            )
            return True
        return folder_sha256(sums) == row.sha256

    def _manifests(self) -> Iterator[tuple[Path, str]]:
        """The manifests of the repository, of its models and of their versions: each one's folder and name."""
        for name in sorted(filter(is_manifest, self.files)):
            yield self.root, name
        for name, model in self.models.items():
            for path, entry in model.entries.items():
                if (
                    is_manifest(posixpath.basename(path))
                    and path.count("/") <= 1
                    and entry.kind not in ("", "folder")
                ):
                    inner, _, file = path.rpartition("/")
                    yield self.places[name] / inner, file

    def _held_against(self, folder: Path, manifest: str) -> Iterator[RepositoryProblem]:
        shown = self.shown(os.path.relpath(folder / manifest, self.root))
        try:
            entries = list(
                parse_manifest(small_file(self.root, folder / manifest).decode(errors="surrogateescape"))
            )
        except (OSError, NoManifest) as error:
            self.skip(f"{shown}: {said_of(error)}")
            return
        owners = {place: name for name, place in self.places.items()}
        for entry in entries:
            path = Path(os.path.normpath(folder / entry.path))
            owner = next((place for place in path.parents if place in owners), None)
            where = self.shown(os.path.relpath(path, owner or self.root))
            name = owners[owner] if owner else ""
            by = f"line {entry.line} of {shown}"
            version = where.split("/", 1)[0] if "/" in where and where.split("/", 1)[0].isdecimal() else ""
            if owner and version and int(version[:20]) not in self.models[name].versions.loaded:
                continue  # Triton would not load it
            if not path.is_relative_to(self.root):
                self.skip(f"{shown}: line {entry.line} names a path out of the repository")
                continue
            try:
                found = self._sha256(str(path))
            except FileNotFoundError:
                yield worded(name, f"repository: {where} is missing, which {by} names", version)
            except TimeOver:
                self.skip(
                    f"{shown}: the time was over at line {entry.line}; the files from there on were not checked"
                )
                return
            except OSError as error:
                self.skip(f"{where}: {said_of(error)}")
            else:
                self.held += 1
                if found != entry.sha256:
                    yield worded(name, f"repository: {where} has another SHA-256 than {by} names", version)

    def _sha256(self, path: str) -> str:
        """Raises OSError, or TimeOver."""
        real = os.path.realpath(path)
        if real not in self._checksums:
            if not Path(real).is_relative_to(self.root):
                raise OSError(0, OUT_OF_IT)
            digest = hashlib.sha256()
            if not stat.S_ISREG(os.stat(real).st_mode):
                raise OSError(0, "it is no file")
            with opened(self.root, real) as whole:
                if whole is None:
                    raise OSError(0, "it is no file within the repository")
                while chunk := whole[0].read(_CHUNK):
                    if time.monotonic() > self.until:
                        raise TimeOver
                    digest.update(chunk)
            self._checksums[real] = digest.hexdigest()
        return self._checksums[real]


def worded(model: str, text: str, version: str = "") -> RepositoryProblem:
    return RepositoryProblem(model, one_line(text), version)


def small_file(root: Path, path: Path) -> bytes:
    """A small file, whole. Raises OSError."""
    with opened(root, os.path.realpath(path)) as whole:
        if whole is None:
            raise OSError(0, "it is no file within the repository")
        file, _ = whole
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise OSError(0, f"more than {MAX_TEXT_BYTES} bytes are not read")
    return content


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def said_of(error: Exception) -> str:
    if isinstance(error, TimeOver):
        return "the time was over"
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
