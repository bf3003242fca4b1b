"""What became of each model version between two looks at a server's repository index: loads, failed loads, unloads.

A look is every few seconds, so these are what can be told for sure and no more: a load that failed twice with the same text between
two looks counts once, and a reload in place, failed or not, leaves the version READY and shows nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from telemetry.repository_index import (
    MOST_VERSIONS,
    IndexRow,
    ModelState,
    RepositoryIndex,
    Unavailable,
    VersionKey,
)

KEPT_SECONDS: Final = 600.0
"""How long a version that left the index is remembered: its folder may be gone while it still serves, and its last counts must be
scraped."""


@dataclass(frozen=True, slots=True)
class VersionHistory:
    """One version on one pod. The counts are of what was seen since it was first looked at."""

    row: IndexRow | None
    """As it was listed last; None when nothing is loaded, since its server began anew."""
    listed_at: float
    """Second of the last look that had it."""
    born_at: float
    """Second of the first."""
    loads: int = 0
    load_failures: int = 0
    unloads: int = 0


@dataclass(frozen=True, slots=True)
class PodModels:
    """One pod's models; `answered` tells whether the last look was answered, without which no state is known."""

    versions: Mapping[VersionKey, VersionHistory] = field(default_factory=dict)
    answered: bool = False
    at: float = 0.0
    """Second of the last look that was answered."""
    left_out: int = 0
    known: bool = False
    """What was loaded before the next look is known: either it was looked at, or the server began in our sight."""

    def listed(self) -> Mapping[VersionKey, IndexRow]:
        """What the server has now; nothing where the last look was not answered."""
        if not self.answered:
            return {}
        return {
            key: version.row
            for key, version in self.versions.items()
            if version.row is not None and version.listed_at == self.at
        }


def looked(before: PodModels, index: RepositoryIndex, at: float) -> PodModels:
    """After an answered look at second `at`."""
    versions = dict(_remembered(before, index, at))
    for key, row in index.rows.items():
        versions[key] = _compared(versions.get(key), row, at, known=before.known)
    return PodModels(versions, answered=True, at=at, left_out=index.left_out, known=True)


def silent(before: PodModels) -> PodModels:
    """After a look that was not answered: no state is known, and what was counted stays."""
    return replace(before, answered=False)


def restarted(before: PodModels) -> PodModels:
    """Once its server's process ended: whatever it has loaded next is a load."""
    versions = {key: replace(version, row=None) for key, version in before.versions.items()}
    return replace(before, versions=versions, answered=False, known=True)


def _remembered(
    before: PodModels, index: RepositoryIndex, at: float
) -> list[tuple[VersionKey, VersionHistory]]:
    """Of what was listed before: what is listed now, and of the rest what left lately, no more than an index may have."""
    left = sorted(
        (each for each in before.versions.items() if each[0] not in index.rows),
        key=lambda each: each[1].listed_at,
        reverse=True,
    )
    stays = [each for each in before.versions.items() if each[0] in index.rows]
    return stays + [each for each in left[:MOST_VERSIONS] if at - each[1].listed_at < KEPT_SECONDS]


def _compared(before: VersionHistory | None, row: IndexRow, at: float, *, known: bool) -> VersionHistory:
    if before is None:
        born = VersionHistory(row, at, at)
        if not known:
            return born
        earlier = None
    else:
        born = replace(before, row=row, listed_at=at)
        earlier = before.row
    was_ready = earlier is not None and earlier.state is ModelState.READY
    ready = row.state is ModelState.READY
    failed = row.unavailable is Unavailable.FAILED and row != earlier
    return replace(
        born,
        loads=born.loads + (ready and not was_ready),
        load_failures=born.load_failures + failed,
        unloads=born.unloads + (was_ready and not ready),
    )
