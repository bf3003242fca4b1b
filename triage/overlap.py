"""Which loads were under way at once, by one log."""

import re

from triage.claims import LogReading
from triage.evidence import LogExcerpt
from triage.load_attempts import Attempt, named_or_numbered

_INSTANCE_MADE = re.compile(r"TRITONBACKEND_ModelInstanceInitialize: ([^\s(]+) \(")


def loading_beside(reading: LogReading, model: str) -> str | None:
    """Who else was loading while the model's last load was under way, in words; empty where nobody was, None where the log does not
    show when the load began."""
    attempt = reading.log.attempts.get(model)
    if attempt is None or attempt.began is None:
        return None
    others = (other for other in reading.log.attempts.values() if other is not attempt)
    if beside := next((other.model for other in others if _overlap(attempt, other)), ""):
        return f"{beside} was loading at the same time"
    if len(_instances(reading, model)) > 1:
        return f"instances of {model} were loading at the same time"
    return ""


def _overlap(one: Attempt, other: Attempt) -> bool:
    if one.began is None or other.began is None:
        return False
    return other.began <= (one.ended or other.began) and one.began <= (other.ended or one.began)


def _instances(reading: LogReading, model: str) -> set[str]:
    """The names of the model's instances that the log shows being made."""
    lines = reading.evidence.facts.lines if isinstance(reading.evidence.facts, LogExcerpt) else ()
    named = (made[1] for line in lines if (made := _INSTANCE_MADE.search(line.text)))
    return {name for name in named if named_or_numbered(name, {model}) == model}
