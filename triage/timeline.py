"""The report's timeline with the onset and the changes of its charts in their places."""

import re

from triage.chart_scale import clock, letters
from triage.report import Moment, Report

_DAY = 86400
_CLOCK = re.compile(r"\b([01]\d|2[0-3]):([0-5]\d):([0-5]\d)")


def whole_timeline(report: Report) -> tuple[Moment, ...]:
    """What happened, in order. A change that the report's own timeline tells in the same words is told once."""
    moments = list(report.timeline)
    told = {moment.what for moment in moments}
    extra = [(mark.at, mark.what) for mark in letters(report.charts) if mark.what not in told]
    if (began := report.onset) is not None:
        between = f"between {clock(began.earliest)} and {clock(began.latest)}"
        extra.append((began.at, f"it began, {between}: {began.of}"))
    for at, what in sorted(extra):
        place = next((index for index, other in enumerate(moments) if _is_later(other.at, at)), len(moments))
        moments.insert(place, Moment(at=clock(at), what=what, evidence=""))
    return tuple(moments)


def _is_later(told: str, at: float) -> bool:
    """Whether a time of day lies in the half day after; it does not say which day, and an incident is shorter than that."""
    found = _CLOCK.search(told)
    if not found:
        return False
    hours, minutes, seconds = (int(part) for part in found.groups())
    return 0 < (3600 * hours + 60 * minutes + seconds - at) % _DAY < _DAY / 2
