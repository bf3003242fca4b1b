"""Line 1: what to do, for a lock screen. Pure."""

import re

from triage.chart_scale import clock
from triage.oncall.incident import Incident
from triage.report import Report
from triage.slack.limits import LINE_CHARS, cut, size
from triage.slack.plain import one_line

_CLAUSE_ENDS = re.compile(r"[.;](?= )|,(?= )|:(?= )")


def first_line(incident: Incident) -> str:
    """In at most 150 characters what to do now, or what is being done."""
    before = _state(incident)
    return before + _news(incident, LINE_CHARS - size(before))


def target(incident: Incident) -> str:
    """Whom it is about, such as `deployment/web in prod`."""
    return f"{one_line(incident.workload, 200)} in {one_line(incident.namespace, 80)}"


def since(incident: Incident) -> float:
    """When the first of its alerts began to fire, or the incident was opened."""
    return min((alert.starts_at for alert in incident.alerts), default=incident.opened_at)


def _state(incident: Incident) -> str:
    if incident.state in ("resolved", "closed"):
        when = f" {clock(incident.resolved_at)[:5]} UTC" if incident.resolved_at is not None else ""
        return f"RESOLVED{when}. "
    return "AGAIN. " if incident.reopened else ""


def _news(incident: Incident, most: int) -> str:
    if incident.same_as:
        return cut(f"SAME CAUSE as {one_line(incident.same_as, 80)}, told there. {target(incident)}.", most)
    if incident.refused:
        return cut(f"NOT LOOKED AT: {one_line(incident.refused)}", most)
    if incident.report is not None:
        early = "So far: " if incident.preliminary else ""
        return early + headline(incident.report, most - size(early))
    if incident.work == "failed" or incident.failure:
        reason = one_line(incident.failure) or "no reason was given"
        return cut(f"LOOK BY HAND at {target(incident)}: its triage failed: {reason}", most)
    what = one_line(incident.alerts[0].name, 60) if incident.alerts else "pods that stay unready"
    return cut(f"LOOKING at {target(incident)} for {what}, since {clock(since(incident))[:5]} UTC.", most)


def headline(report: Report, most: int) -> str:
    """The report's headline; of a longer one the first clauses of what to do, and how sure that is."""
    whole = one_line(report.headline, 4_000)
    if size(whole) <= most:
        return whole
    word = report.verdict.confidence.replace("_", " ").upper()
    ending = f" {word}." if whole.endswith(f" {word}.") else ""
    body = whole.removesuffix(ending)
    room = most - size(ending)
    # `FIX requests of M (a cause):` is not yet what to do, so a cut before its end would say too little.
    least = max(room // 2, body.find("): ") + 4)
    ends = [found.start() for found in _CLAUSE_ENDS.finditer(body) if least <= found.start() < room - 1]
    said = body[: ends[-1]] + "…" if ends else _whole_words(body, room)
    return cut(said, room) + ending  # clauses are found by letters, some of which count twice


def _whole_words(text: str, most: int) -> str:
    kept = cut(text, most)
    if kept == text or " " not in kept[most // 2 :]:
        return kept
    return kept[: kept.rindex(" ")].rstrip(" ,;:.") + "…"
