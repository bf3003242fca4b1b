"""What is known of each program that exports GPU metrics: families, labels and blanks. Files in `rules/gpu_exporters/`.

A new exporter is a new file: no code knows one by name.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from telemetry.located_yaml import InvalidFileError, Problem, read_located

_Family = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
_Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
_Labels = Annotated[tuple[_Label, ...], Field(min_length=1)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GpuFamily(_Row):
    """A gauge, and what turns it into bytes or a ratio."""

    family: _Family
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    devices: Literal["all", "whole"] = "all"
    """whole: says nothing, or nothing true, of a MIG instance."""


class OwnerLabels(_Row):
    """The labels that name a pod which holds the device."""

    namespace: _Label
    pod: _Label


class DeviceLabels(_Row):
    """Each a list in order of preference: versions and relabelling differ in them."""

    uuid: _Labels
    """Of the whole GPU, also for a MIG instance."""
    gpu_instance: _Labels
    mig_profile: _Labels
    node: _Labels
    owners: tuple[OwnerLabels, ...] = Field(min_length=1)
    """The first pair under which a scrape target names owners holds for all of that target."""
    part: tuple[_Label, ...] = ()
    """There where a pod was given a part of a shared device, which may be one part of several."""


class Remedies(_Row):
    """What to do, by what lacks; told in an error of at most 300 characters."""

    no_owners: str = Field(min_length=1, max_length=160)
    not_an_owner: str = Field(min_length=1, max_length=160)
    memory: str = Field(min_length=1, max_length=160)
    utilization: str = Field(min_length=1, max_length=160)


class GpuExporter(_Row):
    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=63)
    preference: int = Field(ge=1, strict=True)
    """Where two tell what is asked of a device, the lower one is read."""
    memory_used: tuple[GpuFamily, ...] = Field(min_length=1)
    """Bytes after scaling, as all of memory; without what the driver reserves. The first family that is shown is read."""
    memory_free: tuple[GpuFamily, ...] = ()
    memory_reserved: tuple[GpuFamily, ...] = ()
    memory_total: tuple[GpuFamily, ...] = ()
    utilization: tuple[GpuFamily, ...] = Field(min_length=1)
    """0 to 1 after scaling."""
    blank_from: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Raw values from here on mean that there is none."""
    labels: DeviceLabels
    owner_family: _Family | None = None
    """A series for each holder of a device, where the others do not name all of them."""
    remedies: Remedies
    sources: tuple[str, ...] = Field(min_length=1)

    def gauges(self) -> Iterator[GpuFamily]:
        for families in (self.memory_used, self.memory_free, self.memory_reserved, self.memory_total):
            yield from families
        yield from self.utilization

    def families(self) -> frozenset[str]:
        owners = {self.owner_family} if self.owner_family else set[str]()
        return frozenset({gauge.family for gauge in self.gauges()} | owners)


def load_gpu_exporters(folder: Path) -> Sequence[GpuExporter]:
    """Every exporter of the folder, the preferred first. Raises InvalidFileError with the mistakes of all files."""
    exporters: list[GpuExporter] = []
    problems: list[Problem] = []
    files = sorted(folder.glob("*.yaml"))
    if not files:
        problems.append(Problem(str(folder), 1, 1, "no GPU exporters here: expected at least one *.yaml"))
    for file in files:
        try:
            exporter = read_located(GpuExporter, file)
        except InvalidFileError as error:
            problems += error.problems
            continue
        expected = f"{exporter.name.replace('-', '_')}.yaml"
        if file.name != expected:
            told = f"exporter {exporter.name!r} belongs in {expected}, one exporter a file"
            problems.append(Problem(str(file), 1, 1, told))
        for other in exporters:
            if other.preference == exporter.preference:
                told = f"preference {exporter.preference} is that of {other.name} too: give each its own"
                problems.append(Problem(str(file), 1, 1, told))
            for family in sorted(other.families() & exporter.families()):
                told = f"{family} is a family of {other.name} too: whose it is could not be told"
                problems.append(Problem(str(file), 1, 1, told))
        exporters.append(exporter)
    if problems:
        raise InvalidFileError(problems)
    return sorted(exporters, key=lambda exporter: exporter.preference)
