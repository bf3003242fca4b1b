"""What the servers' logs tell of changes, put together over the pods. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from triage.evidence import Evidence, LogExcerpt
from triage.latency.change import Change
from triage.latency.kinds import ChangeKind
from triage.latency.server_log import Kind, Told, read_server_log
from triage.wording import names, short

_OF_LOG: Mapping[Kind, ChangeKind] = {
    "load": "load",
    "unload": "unload",
    "backend_death": "backend_death",
    "out_of_memory": "out_of_memory",
    "stop": "scale",
}


_TOGETHER_SECONDS = 60.0
"""What several pods tell so shortly after one another is one change."""


class _Pod(NamedTuple):
    """What one pod's log tells."""

    told: Told
    pod: str
    evidence: str


def changes_of_logs(logs: Sequence[tuple[Evidence, LogExcerpt]]) -> Iterator[Change]:
    """Triton's own lines, which say when, and not who asked. What several pods tell in the same words is told once."""
    alike: dict[tuple[str, ...], list[list[_Pod]]] = {}
    found = [_Pod(told, one.subject, one.id) for one, log in logs for told in _told_by(one, log)]
    for row in sorted(found, key=lambda row: row.told.began):
        groups = alike.setdefault((row.told.kind, row.told.model, row.told.version, row.told.says), [])
        last = groups[-1] if groups else []
        near = last and row.told.began <= max(other.told.ended for other in last) + _TOGETHER_SECONDS
        if near and row.pod not in {other.pod for other in last}:
            last.append(row)
        else:
            groups.append([row])
    for groups in alike.values():
        yield from map(_together, groups)


def _told_by(evidence: Evidence, log: LogExcerpt) -> list[Told]:
    return read_server_log(log.lines, evidence.fetched_at, over=evidence.id.endswith("/previous"))


def _together(rows: Sequence[_Pod]) -> Change:
    first = rows[0].told
    pods = tuple(row.pod for row in rows if row.pod)
    ended = max(row.told.ended for row in rows)
    model = first.model if first.kind in ("load", "unload") else ""
    what = " version ".join(filter(None, (model, first.version))) + f" {first.says}"
    what += f" in {names(pods)}" if pods else ""
    if not first.open and ended - first.began >= 0.05:
        what += f", for {ended - first.began:.3g} s"
    what += f": {first.reason}" if first.reason else ""
    return Change(
        first.began,
        first.began,
        _OF_LOG[first.kind],
        short(what.strip(), 200),
        tuple(row.evidence for row in rows),
        first.model,
        () if first.kind == "stop" else pods,  # the pods of a change of scale are those that came
        ended=ended,
    )
