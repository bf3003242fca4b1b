"""A run as a file: one line about it, then one line an observation (JSON)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from demo.observe import Observation
from demo.spike_story import Second
from demo.story import Story

RECORDED = Path(__file__).parent / "recorded.jsonl"


def incident_of(recording: Path) -> Path:
    """The bundle of the second act, beside the recording."""
    return recording.with_suffix(".incident.json.gz")


def spike_of(recording: Path) -> tuple[Path, Path]:
    """The seconds of the third act, and its bundle, beside the recording."""
    return recording.with_suffix(".spike.jsonl"), recording.with_suffix(".spike.json.gz")


@dataclass(frozen=True)
class About:
    """What the screen says of the whole run."""

    story: Story
    units: dict[str, str]
    triton: str
    """Triton's own version."""
    recorded_on: str = ""
    """The day of the recording; empty for a run that happens now."""


class Recorder:
    """Writes a run as it happens."""

    def __init__(self, file: IO[bytes], about: About) -> None:
        self._file = file
        self._write(about)

    def add(self, observation: Observation) -> None:
        self._write(observation)

    def _write(self, value: About | Observation) -> None:
        self._file.write(msgspec.json.encode(value) + b"\n")


def read_recording(file: Path) -> tuple[About, Sequence[Observation]]:
    """The run. Raises OSError, and msgspec.DecodeError for a file that is no recording."""
    first, *lines = _lines(file)
    return msgspec.json.decode(first, type=About), [
        msgspec.json.decode(line, type=Observation) for line in lines
    ]


def read_seconds(file: Path) -> list[Second]:
    """Those of the third act. Raises OSError, and msgspec.DecodeError for a file that has none."""
    return [msgspec.json.decode(line, type=Second) for line in _lines(file)]


def _lines(file: Path) -> Iterator[bytes]:
    yield from file.read_bytes().splitlines()
