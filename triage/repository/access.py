"""Whether a user may read what lies in a repository, by owner, group and mode. Pure.

Linux manual, path_resolution(7), Permissions: the first class that fits decides, owner, then group, then others; root passes.
Access control lists and read-only mounts are not seen."""

from dataclasses import dataclass

from triage.repository.model_folder import Entry

_MOST = (1 << 32) - 2


@dataclass(frozen=True)
class RunAs:
    """Whom a server runs as: runAsUser, and runAsGroup, supplementalGroups and fsGroup."""

    user: int
    groups: frozenset[int] = frozenset()


def parse_run_as(text: str) -> RunAs:
    """`1000`, or `1000:1000,2000`. Raises ValueError, saying what would be right."""
    user, _, groups = text.partition(":")
    numbers = [user, *(groups.split(",") if groups else ())]
    if not all(number.isascii() and number.isdecimal() and int(number[:11]) <= _MOST for number in numbers):
        raise ValueError(
            f"{text!r:.60} is no user: give numbers, such as 1000 or 1000:1000,2000 (user:group,group)"
        )
    return RunAs(int(user), frozenset(map(int, numbers[1:])))


def refused_to(entry: Entry, run_as: RunAs | None) -> str:
    """What nobody may, where `run_as` is None, else what this user may not: read, or list; empty: it may, or nothing is known."""
    if entry.dangling or entry.kind == "other" or (entry.link and not entry.kind):
        return ""
    if run_as is None:
        bits = entry.mode | entry.mode >> 3 | entry.mode >> 6
    elif run_as.user == 0:
        return ""
    elif run_as.user == entry.owner:
        bits = entry.mode >> 6
    else:
        bits = entry.mode >> 3 if entry.group in run_as.groups else entry.mode
    if entry.kind == "folder":
        return "" if bits & 4 and bits & 1 else "list"
    return "" if bits & 5 else "read"  # what may be executed need not be read
