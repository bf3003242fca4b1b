"""All messages that the thread of an incident should show now. Pure: the same incident gives the same bytes."""

from collections.abc import Iterator, Mapping, Sequence

from triage.chart_scale import clock
from triage.oncall.incident import Incident
from triage.slack.details import details_messages
from triage.slack.first_line import target
from triage.slack.kept import Kept
from triage.slack.layout import Group, Row, box, bullet, lay_out, line
from triage.slack.mentions import mention_markup
from triage.slack.message import MOVED, Message, make_message
from triage.slack.plain import inert, one_line
from triage.slack.rich import say
from triage.slack.root import TWICE, by_hand, root_message, spaced

_NO_MENTIONS: Mapping[str, Sequence[str]] = {}
_NO_LINKS: Mapping[str, str] = {}
_KEPT = Kept()


def messages(
    incident: Incident,
    *,
    mentions: Mapping[str, Sequence[str]] = _NO_MENTIONS,
    links: Mapping[str, str] = _NO_LINKS,
    kept: Kept = _KEPT,
    charts: bool = True,
) -> Mapping[str, Message]:
    """By part, in the order in which they are posted. `links` are Slack's links of other incidents' roots, by the incident's name;
    without `charts` a chart is drawn as text. What was said before and is no part of it any more is left as it stands, but for
    details, which are emptied: an old command must not be read as today's."""
    told = {"root": root_message(incident, mentions, links, kept)}
    if incident.report is not None and not incident.same_as and not incident.refused:
        for message in details_messages(incident, incident.report, kept, charts=charts):
            told[message.metadata["event_payload"]["part"]] = message
    for part in incident.posted:
        if part.startswith("details") and not part.endswith(MOVED) and part not in told:
            told[part] = _emptied(incident, part)
    for message in _follow_ups(incident, mentions):
        told[message.metadata["event_payload"]["part"]] = message
    return told


def _emptied(incident: Incident, part: str) -> Message:
    where = f"told at {one_line(incident.same_as, 200)}" if incident.same_as else "in the messages above"
    return _reply(incident, part, f"Nothing here any more: what is known now is {where}.")


def _follow_ups(incident: Incident, mentions: Mapping[str, Sequence[str]]) -> Iterator[Message]:
    """What came after the root. Of several reopenings the last is told; it says how many there were. What got worse, or came back,
    calls by a message of its own: an edit of the root calls nobody."""
    called = mentions.get(incident.severity, ())
    if incident.has_escalated:
        worst = next(alert for alert in incident.alerts if alert.severity == incident.severity)
        said = (
            f"It is {incident.severity} now: {one_line(worst.name, 120)}, since {clock(worst.starts_at)} UTC."
        )
        yield _reply(incident, f"escalated-{incident.severity}", said, called=called)
    if incident.reopened:
        said = f"Alerts fire again for {target(incident)}, {_times(incident.reopened)} within the hour after they had ended."
        yield _reply(incident, f"reopened-{incident.reopened}", said, called=called)
    if incident.state != "open":
        when = f" at {clock(incident.resolved_at)} UTC" if incident.resolved_at is not None else ""
        part = f"resolved-{incident.reopened}" if incident.reopened else "resolved"
        said = f"No alert fires any more{when}."
        if incident.unheard:
            said = f"Nothing was heard of its alerts any more{when}: whether they fire is not known."
        yield _reply(incident, part, f"{said} Whether what was done worked is looked at next.")
    if (outcome := incident.outcome) is not None:
        said = {"yes": "IT WORKED", "no": "IT DID NOT WORK", "unknown": "CANNOT TELL WHETHER IT WORKED"}[
            outcome.worked
        ]
        rows: list[Row] = [(bullet(say(one_line(outcome.said, 1_500))),)]
        if outcome.worked == "no":
            rows.append((line(say("To look again:")), box(by_hand(incident))))
        yield _reply(incident, "outcome", f"{said}: {one_line(outcome.said, 120)}", rows)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _reply(
    incident: Incident, part: str, said: str, rows: Sequence[Row] = (), *, called: Sequence[str] = ()
) -> Message:
    posted = incident.posted.get(part)
    head = [line(say(said, bold=True), *spaced(called))]
    if posted is not None and posted.maybe_twice:
        head.append(line(say(TWICE)))
    laid = lay_out([Group("", (tuple(head), *rows))], most_pages=1)
    text = " ".join(filter(None, (inert(said), mention_markup(called))))
    return make_message(incident.name, part, text, laid.pages[0], thread=True)
