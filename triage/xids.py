"""What XID errors mean: rows of `rules/gpu_xids.yaml`, after NVIDIA's catalogue."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from telemetry.located_yaml import parse_located

FILE = "gpu_xids.yaml"


class Xid(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    xid: Annotated[int, Field(ge=1, le=999)]
    means: Annotated[str, Field(min_length=1)]
    application: bool = False
    """An error of what ran on the GPU, which should still be healthy."""


class _XidFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    xids: tuple[Xid, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _once_each(self) -> "_XidFile":
        seen: set[int] = set()
        for row in self.xids:
            if row.xid in seen:
                raise ValueError(f"it has XID {row.xid} twice")
            seen.add(row.xid)
        return self


Xids = Mapping[int, Xid]


def parse_xids(text: str, file: str) -> Xids:
    """By code. Raises InvalidFileError with every mistake."""
    return {row.xid: row for row in parse_located(_XidFile, text, file).xids}


def told_xid(code: int, xids: Xids) -> str:
    """Such as `XID 79 (GPU has fallen off the bus)`."""
    row = xids.get(code)
    if row is None:
        return f"XID {code}"
    return f"XID {code} ({row.means}{', an error of what ran on it' if row.application else ''})"
