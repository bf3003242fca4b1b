"""The files that backends load, as rows: `rules/backends.yaml`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from telemetry.located_yaml import read_located
from triage.repository.content import Kind


class Backend(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    file: str = Field(min_length=1)
    """What it loads from the version directory where default_model_filename names no other."""
    platforms: tuple[str, ...] = ()
    """What `platform` says instead of the backend's name."""
    kinds: tuple[Kind, ...] = ()
    """What the content of that file may be; empty: not judged."""
    cites: tuple[str, ...] = Field(min_length=1)


class Backends(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    backends: tuple[Backend, ...] = Field(min_length=1)

    def find(self, name: str, platform: str) -> Backend | None:
        """The row of this backend; by its platform too where several rows have the name."""
        rows = [row for row in self.backends if row.name == name]
        return next((row for row in rows if platform in row.platforms), rows[0] if len(rows) == 1 else None)

    def of_platform(self, platform: str) -> Backend | None:
        return next((row for row in self.backends if platform in row.platforms), None)


def load_backends(folder: Path) -> Backends:
    """`folder` is `rules/`. Raises InvalidFileError."""
    return read_located(Backends, folder / "backends.yaml")
