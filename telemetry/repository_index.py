"""Triton's repository index: which versions of which models one server has, and in what state.

The answer to `POST /v2/repository/index` is a list of `{name, version, state, reason}`
(triton-inference-server/server docs/protocol/extension_model_repository.md). A model that was never asked for is a name alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

MOST_VERSIONS: Final = 1000
"""Of one server. Each is four series in Prometheus."""
_MOST_NAME: Final = 255  # a model's name and its version are names of folders
_MOST_REASON: Final = 300  # enough to tell one error from another
_UNLOADED: Final = (
    "unloaded"  # Triton's reason for a version that it was told to unload, or to give up with the others
)


class VersionKey(NamedTuple):
    model: str
    version: str


class ModelState(StrEnum):
    """Triton's own words."""

    READY = "READY"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


class Unavailable(StrEnum):
    """Why a version is UNAVAILABLE, which its state alone does not say."""

    FAILED = "failed"  # its load failed: the reason is an error's text
    UNLOADED = "unloaded"  # it was told to unload, or another version of its model failed to load with it
    UNTOLD = ""  # no reason given: its load has not begun yet


@dataclass(frozen=True, slots=True)
class IndexRow:
    state: ModelState
    reason: str = ""
    """How it begins."""

    @property
    def unavailable(self) -> Unavailable:
        """UNTOLD for every other state."""
        if self.state is not ModelState.UNAVAILABLE or not self.reason:
            return Unavailable.UNTOLD
        return Unavailable.UNLOADED if self.reason == _UNLOADED else Unavailable.FAILED


@dataclass(frozen=True, slots=True)
class RepositoryIndex:
    rows: Mapping[VersionKey, IndexRow]
    left_out: int = 0
    """Rows that are not among them: past MOST_VERSIONS, or with a name or a state that no Triton gives."""


class _Row(msgspec.Struct):
    name: str
    version: str = ""
    state: str = ""
    reason: str = ""


_DECODER: Final = msgspec.json.Decoder(list[_Row])
_STATES: Final = {state.value: state for state in ModelState}


def parse_index(body: bytes) -> RepositoryIndex:
    """The versions that have a state. Raises ValueError when it is not a repository index."""
    try:
        listed = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a repository index: {error}") from error
    rows: dict[VersionKey, IndexRow] = {}
    left_out = 0
    for row in listed:
        if not row.state and not row.version:
            continue
        key, state = VersionKey(row.name, row.version), _STATES.get(row.state)
        named = 0 < len(row.name) <= _MOST_NAME and len(row.version) <= _MOST_NAME
        if state is None or not named or (len(rows) == MOST_VERSIONS and key not in rows):
            left_out += 1
        else:
            rows[key] = IndexRow(state, row.reason[:_MOST_REASON])
    return RepositoryIndex(rows, left_out)
