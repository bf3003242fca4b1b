"""The first message of the thread: what to do, what it hits, why. Pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence

from triage.chart_scale import clock, day
from triage.oncall.incident import Incident
from triage.report import Report
from triage.slack.first_line import first_line, since, target
from triage.slack.kept import Kept
from triage.slack.layout import Group, Piece, Row, box, bullet, lay_out, line
from triage.slack.limits import TEXT_CHARS, cut
from triage.slack.mentions import mention_elements, mention_markup
from triage.slack.message import Message, make_message
from triage.slack.plain import inert, lines, one_line
from triage.slack.rich import Element, link, rich_text, say, section
from triage.wording import count

_MOST_IMPACT = 6
_MOST_WHY = 3
_MOST_ALERTS = 5
_MOST_ALSO = 20


def root_message(
    incident: Incident, mentions: Mapping[str, Sequence[str]], links: Mapping[str, str], kept: Kept
) -> Message:
    """The root. Mentions stay in it when it is edited, which calls nobody again; without them an edit would take back who was
    called."""
    called = [] if incident.same_as else list(mentions.get(incident.first_severity, ()))
    said = first_line(incident)
    text = "\n".join(part for part in (inert(said), inert(_where(incident)), mention_markup(called)) if part)
    head: list[Piece] = [line(say(said, bold=True)), line(say(_where(incident)), *spaced(called))]
    head += [line(say(note)) for note in _notes(incident)]
    groups = [Group("", (tuple(head),)), *_body(incident, links)]
    laid = lay_out(groups, most_pages=1)
    foot = [say(f"{count(laid.dropped, 'more row')} left out here. ")] if laid.dropped else []
    foot += how_to_get_it(incident, kept)
    blocks = (*laid.pages[0], rich_text([section(foot)]))
    return make_message(incident.name, "root", cut(text, TEXT_CHARS), blocks, thread=False)


def how_to_get_it(incident: Incident, kept: Kept) -> list[Element]:
    """The commands that show the whole report, as the pieces of a line."""
    said = [say("All of it: ")]
    for command in kept.commands(incident.name):
        said += [*([say(" or ")] if len(said) > 1 else []), say(command, code=True)]
    return said


def by_hand(incident: Incident) -> str:
    """The command that looks at the same from a person's own shell."""
    words = ["triton-triage", incident.tree, "-n", incident.namespace, incident.workload]
    if incident.model:
        words += ["--model", incident.model]
    if incident.tree == "p99":
        words += ["--at", f"{day(since(incident))}T{clock(since(incident))}Z"]
    return shlex.join(one_line(word, 253) for word in words)


def spaced(mentions: Sequence[str]) -> list[Element]:
    """Mentions to follow other words of a line."""
    spaced: list[Element] = []
    for element in mention_elements(mentions):
        spaced += [say(" "), element]
    return spaced


def _where(incident: Incident) -> str:
    model = f", model {one_line(incident.model, 80)}" if incident.model else ""
    state = {"open": "", "resolved": ", resolved", "closed": ", resolved and closed"}[incident.state]
    return f"{incident.severity}: {target(incident)}{model}, since {clock(since(incident))} UTC{state}"


def _notes(incident: Incident) -> Iterator[str]:
    posted = incident.posted.get("root")
    if posted is not None and posted.maybe_twice:
        yield TWICE
    if incident.reopened:
        yield f"Its alerts had ended and fired again {count(incident.reopened, 'time')}."
    if incident.same_as or incident.refused:
        return
    if incident.preliminary and incident.report is not None:
        yield "PRELIMINARY: it rests on what had answered by then; the whole report follows in this message."
    if incident.report is not None and incident.failure:
        yield f"The whole report could not be made: {one_line(incident.failure, 300)}"


TWICE = "This may stand here twice: Slack did not say whether a first sending arrived, and nobody could look."


def _body(incident: Incident, links: Mapping[str, str]) -> Iterator[Group]:
    if incident.same_as:
        yield Group("", (_same(incident, links),))
        yield _alerts(incident)
        return
    if incident.refused:
        yield Group("Nothing was looked at, because", ((line(say(one_line(incident.refused))),),))
        yield Group("To look by hand", ((box(by_hand(incident)),),))
        yield _alerts(incident)
        return
    if (report := incident.report) is not None:
        told = report.impact
        rows: list[Row] = [(bullet(say(one_line(row, 400))),) for row in told[:_MOST_IMPACT]]
        yield Group("Impact", tuple(rows), more=max(0, len(told) - _MOST_IMPACT))
        yield Group("Why", tuple(_why(report)))
    elif incident.failure or incident.work == "failed":
        yield Group("Look by hand", ((box(by_hand(incident)),),))
        yield Group(
            "Why there is no report", ((line(say(one_line(incident.failure) or "No reason was given.")),),)
        )
    else:
        looking = {"waiting": "Waits for its turn to be looked at.", "running": "Being looked at."}
        said = looking.get(incident.work, "")
        progress = one_line(incident.progress, 200)
        yield Group("", ((line(say(f"{said} {progress}".strip() or "Being looked at.")),),))
    yield _alerts(incident)
    if incident.also:
        shown = incident.also[:_MOST_ALSO]
        rows = [(bullet(say(one_line(other, 200))),) for other in shown]
        more = len(incident.also) - len(shown)
        yield Group("The same cause hits", tuple(rows), more=more)


def _same(incident: Incident, links: Mapping[str, str]) -> Row:
    said = f"The cause and what to do are told at {one_line(incident.same_as, 200)}"
    url = links.get(incident.same_as, "")
    if url.startswith("https://"):
        return (line(say(f"{said}: "), link(url, "that thread")),)
    return (line(say(f"{said}.")),)


def _why(report: Report) -> Iterator[Row]:
    for fact in report.why[:_MOST_WHY]:
        pieces = [bullet(say(one_line(fact.text, 500)))]
        if fact.quote and (quoted := lines(fact.quote, 700)):
            pieces.append(box(quoted))
        yield tuple(pieces)


def _alerts(incident: Incident) -> Group:
    rows: list[Row] = []
    for alert in incident.alerts[:_MOST_ALERTS]:
        ended = "" if alert.firing else ", ended"
        summary = f": {one_line(alert.summary, 300)}" if alert.summary else ""
        began = f"since {clock(alert.starts_at)} UTC"
        runbook = f" Runbook: {one_line(alert.runbook_url, 300)}" if alert.runbook_url else ""
        rows.append((bullet(say(f"{one_line(alert.name, 120)}, {began}{ended}{summary}{runbook}")),))
    if not incident.alerts and incident.began == "unready_pods":
        rows.append((bullet(say("no alert: pods stay unready with a failed model")),))
    if incident.truncated_alerts:
        left = count(incident.truncated_alerts, "alert")
        rows.append((bullet(say(f"Alertmanager left out {left} more; nothing is known of them")),))
    return Group("Alerts" if rows else "", tuple(rows), more=max(0, len(incident.alerts) - _MOST_ALERTS))
