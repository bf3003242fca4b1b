"""What could not be seen, told once where it is the same of several pods: five replicas that fail alike would fill a screen with
five times the same missing right. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from triage.evidence import Evidence, Missing, MissingReason
from triage.report import Unseen

_POD = "\0"
"""Stands for a pod's name where texts of several pods are compared."""
_MOST_FILES = 10
_DENIED = ": Permission denied"


def missing_evidence(evidence: Iterable[Evidence]) -> Sequence[Unseen]:
    """In the order of the first of each kind, which speaks for the others."""
    alike: dict[tuple[str, ...], list[tuple[str, Missing]]] = {}
    for each in evidence:
        if each.missing is not None:
            alike.setdefault(_kind(each, each.missing), []).append((each.source, each.missing))
    return [_told(each) for each in alike.values()]


def _kind(evidence: Evidence, gone: Missing) -> tuple[str, ...]:
    pod = evidence.subject
    if not pod:
        return (evidence.id,)
    # A missing right is one thing, of whichever object it was missed.
    said = gone.remedy if gone.reason == "forbidden" else f"{gone.detail}{gone.remedy}"
    return evidence.probe, gone.reason, said.replace(pod, _POD), _container(evidence)


def _container(evidence: Evidence) -> str:
    """Of a pod's log, which one: an init container's is another thing than the server's."""
    return evidence.id.rpartition("/")[2] if "/" in evidence.id else ""


def _told(alike: Sequence[tuple[str, Missing]]) -> Unseen:
    source, gone = alike[0]
    others = len({each for each, _ in alike}) - 1
    more = f", and the same of {others} more" if others else ""
    return Unseen(what=f"{source}{more}", reason=gone.reason, detail=gone.detail, remedy=gone.remedy)


def unread_files(source: str, unread: Sequence[str]) -> Iterator[Unseen]:
    """What of a repository was not read, each `NAME: why`."""
    remedy = "look at it by hand, or give a repository that this program may read"
    for said in unread[:_MOST_FILES]:
        reason: MissingReason = "forbidden" if said.endswith(_DENIED) else "truncated"
        yield Unseen(what=source, reason=reason, detail=said, remedy=remedy)
    if (more := len(unread) - _MOST_FILES) > 0:
        yield Unseen(what=source, reason="truncated", detail=f"{more} more, not told here", remedy=remedy)
