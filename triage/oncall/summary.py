"""An incident in few words: what lists and columns show. Pure."""

from triage.oncall.incident import Incident


def state_of(incident: Incident) -> str:
    """`Looking`, `Open`, `Resolved` or `Closed`, as kubectl's columns are written."""
    if incident.state == "open":
        return "Open" if incident.work in ("done", "failed") else "Looking"
    return incident.state.capitalize()


def cause_of(incident: Incident) -> tuple[str, str]:
    """The verdict's category and confidence; empty where there is none yet."""
    if incident.refused:
        return "not_looked_at", ""
    if incident.report is None:
        return ("triage_failed" if incident.work == "failed" else ""), ""
    return incident.report.verdict.category, incident.report.verdict.confidence


def same_cause(one: Incident, other: Incident) -> bool:
    """Whether both have the same verdict, and it names a cause: what is told of one thread is then told of both."""
    if (
        one.report is None
        or other.report is None
        or one.preliminary
        or other.preliminary
        or one.tree != other.tree
    ):
        return False
    mine, theirs = one.report.verdict, other.report.verdict
    if mine.category == "cannot_tell" or mine.confidence not in ("confirmed", "likely"):
        return False
    return (mine.category, mine.leaf, mine.signature) == (theirs.category, theirs.leaf, theirs.signature)
