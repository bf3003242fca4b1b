"""`bad_versions.yaml` in a repository's root: the model versions that must not be loaded again, and why. Pure.

Triton takes no notice of a file there; `triton-triage load-failure --repository` refuses a repository in which the version policy
of a model would load a version that is marked."""

import hashlib
from collections.abc import Mapping
from textwrap import indent
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from telemetry.located_yaml import parse_located

FILE = "bad_versions.yaml"
_One = Annotated[str, Field(min_length=1, max_length=1000)]


class BadVersion(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: _One
    version: int = Field(ge=1)
    reason: _One
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of the version folder's files (`folder_sha256`): the entry is about this content alone. None: about any."""
    since: str = ""
    """When it was marked."""
    report: str = ""
    """Where the failure is told: a report's name or address."""


class BadVersions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    bad_versions: tuple[BadVersion, ...]


def parse_bad_versions(text: str, file: str = FILE) -> BadVersions:
    """Raises InvalidFileError with file, line and column of every mistake."""
    return parse_located(BadVersions, text, file)


def bad_version_entry(
    model: str, version: int, reason: str, *, sha256: str | None = None, since: str = "", report: str = ""
) -> str:
    """The entry as YAML text, to be put under `bad_versions:`."""
    row = BadVersion(model=model, version=version, reason=reason, sha256=sha256, since=since, report=report)
    told = {key: value for key, value in row.model_dump().items() if value not in (None, "")}
    return indent(yaml.safe_dump([told], sort_keys=False, width=1 << 20), "  ")


def folder_sha256(files: Mapping[str, str]) -> str:
    """Of a version folder, from the SHA-256 of its files by path within it: what
    `find . -type f -not -path '*/__pycache__/*' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum` prints in that folder."""
    lines = [
        f"{files[path]}  ./{path}\n"
        for path in sorted(files, key=lambda path: f"./{path}".encode(errors="surrogateescape"))
    ]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
