"""`bad_versions.yaml` in a repository's root: the model versions that must not be loaded again, and why. Pure.

Triton takes no notice of a file there; `triton-triage load-failure --repository` refuses a repository in which the version policy
of a model would load a version that is marked."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel

from telemetry.located_yaml import parse_located
from triage.rules import refuse_depth

FILE = "bad_versions.yaml"
_One = Annotated[str, Field(min_length=1, max_length=1000)]


class BadVersion(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: _One
    version: int = Field(ge=0)
    reason: _One
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of the version folder's files (`folder_sha256`): the entry is about this content alone. None: about any."""
    since: str = ""
    """When it was marked."""
    report: str = ""
    """Where the failure is told: a report's name or address."""


class BadVersions(RootModel[tuple[BadVersion, ...]]):
    """A list of entries: marking a version adds a line."""


def parse_bad_versions(text: str, file: str = FILE) -> BadVersions:
    """Raises InvalidFileError with file, line and column of every mistake."""
    refuse_depth(text, file)
    return parse_located(BadVersions, text, file)


def bad_version_entry(
    model: str, version: int, reason: str, *, sha256: str | None = None, since: str = "", report: str = ""
) -> str:
    """The entry as one line of the file, without its end: JSON, which is YAML too. Raises ValueError where it is none."""
    row = BadVersion(model=model, version=version, reason=reason, sha256=sha256, since=since, report=report)
    told = {key: value for key, value in row.model_dump().items() if value not in (None, "")}
    said = json.dumps(told, ensure_ascii=False)
    return "- " + "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in said)


def folder_sha256(files: Mapping[str, str]) -> str:
    """Of a version folder, from the SHA-256 of its files by path within it: what
    `find . -type f -not -path '*/__pycache__/*' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum` prints in that folder."""
    lines = [
        f"{files[path]}  ./{path}\n"
        for path in sorted(files, key=lambda path: f"./{path}".encode(errors="surrogateescape"))
    ]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
