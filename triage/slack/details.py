"""What stands below the root: the report in the order in which it is needed at night. Pure."""

from collections.abc import Iterator, Sequence

from triage.gpu_map import gpu_line
from triage.oncall.incident import Incident
from triage.report import Mitigation, ModelLine, Report, Unseen, tone_of
from triage.seal import printable
from triage.slack.chart import chart_block, chart_text, what_it_shows
from triage.slack.kept import Kept
from triage.slack.layout import Group, Piece, Row, box, bullet, lay_out, line
from triage.slack.limits import size
from triage.slack.message import Message, make_message
from triage.slack.plain import inert, one_line
from triage.slack.rich import Element, rich_text, say, section
from triage.slack.root import TWICE, how_to_get_it
from triage.timeline import whole_timeline
from triage.wording import count

_MOST_MESSAGES = 3
_MOST_COMMAND = 700
"""Letters of a command; a longer one is not shown, for half of one is worse than none."""
_MOST = {
    "against": 8,
    "unseen": 8,
    "actions": 6,
    "models": 10,
    "gpus": 5,
    "timeline": 15,
    "path": 20,
    "evidence": 8,
}


def details_messages(incident: Incident, report: Report, kept: Kept, *, charts: bool) -> Iterator[Message]:
    """The report's details in one to three messages."""
    groups = [group for group in _groups(report, charts=charts) if group.rows or group.block]
    laid = lay_out(groups, _MOST_MESSAGES)
    last = len(laid.pages)
    for number, page in enumerate(laid.pages, 1):
        part = "details" if number == 1 else f"details-{number}"
        said = "Details" if last == 1 else f"Details {number} of {last}"
        posted = incident.posted.get(part)
        notes = [TWICE] if posted is not None and posted.maybe_twice else []
        head = [line(say(said, bold=True), say(f", {_foot(report)}"))] + [line(say(note)) for note in notes]
        foot: list[Element] = []
        if number == last:
            if laid.dropped:
                foot.append(say(f"{count(laid.dropped, 'more row')} left out here. "))
            foot += how_to_get_it(incident, kept)
            if incident.bundle:
                foot.append(say(f". All evidence, in the service's folder: {one_line(incident.bundle, 200)}"))
        else:
            foot.append(say("Goes on in the next message."))
        blocks = (
            rich_text([section([element for piece in head for element in (*piece.inlines, say("\n"))][:-1])]),
            *page,
            rich_text([section(foot)]),
        )
        text = inert(f"{said} of {one_line(incident.workload, 200)}")
        yield make_message(incident.name, part, text, blocks, thread=True)


def _groups(report: Report, *, charts: bool) -> Iterator[Group]:
    calm = tone_of(report) == "calm"
    if report.freeze and not calm:
        title = "Freeze first, so that nothing else changes while you look"
        yield Group(title, ((_command(report.freeze),),))
    # Before what explains it: on a telephone the first command must not be two screens down.
    title = "Look" if tone_of(report) == "unknown" else "Do"
    yield _group(title, "actions", [_action(n, action) for n, action in enumerate(report.actions, 1)])
    yield from _charts(report, charts=charts)
    yield _against(report)
    yield _group("Could not see", "unseen", [_unseen(gap) for gap in report.unseen])
    if len(report.models) > 1:
        yield _group("Models", "models", [_model(row) for row in report.models])
    if report.gpus:
        rows = [_one(one_line(gpu_line(row), 400)) for row in report.gpus.rows[: _MOST["gpus"]]]
        yield Group("GPUs", tuple(rows), more=len(report.gpus.rows) - len(rows) + report.gpus.more)
    yield _timeline(report)
    yield _group("Path", "path", [_one(step) for step in _path(report)])
    yield _evidence(report)


def _group(title: str, kind: str, rows: Sequence[Row]) -> Group:
    most = _MOST[kind]
    return Group(title, tuple(rows[:most]), more=max(0, len(rows) - most))


def _one(said: str) -> Row:
    return (bullet(say(said)),)


def _charts(report: Report, *, charts: bool) -> Iterator[Group]:
    """The most telling one is drawn; of the others what they show, in words."""
    if not report.charts:
        return
    first, *others = report.charts
    rest = [_one(what_it_shows(chart)) for chart in others[:4]]
    drawn = chart_block(first) if charts else None
    if drawn is not None:
        yield Group("What moved", (*map(_one, drawn.notes), *rest), block=drawn.block)
    else:
        shown = _one(what_it_shows(first))
        yield Group("What moved", ((box(chart_text(first)),), shown, *rest))


def _against(report: Report) -> Group:
    rows = [_one(one_line(fact.text, 400)) for fact in report.against]
    rows += [_one(f"fits as well: {_word(other)}") for other in report.verdict.also]
    for other in report.alternatives:
        apart = f"; to tell them apart: {one_line(other.separate, 300)}" if other.separate else ""
        rows.append(
            _one(f"also fits: {_word(other.title or other.category)} ({_word(other.confidence)}){apart}")
        )
    return _group("Against it", "against", rows or [_one("nothing that was seen")])


def _unseen(gap: Unseen) -> Row:
    what = f"{one_line(gap.what, 200)}: {_word(gap.reason)}"
    detail = f" ({one_line(gap.detail, 120)})" if gap.detail else ""
    return (bullet(say(f"{what}{detail} → "), say(one_line(gap.remedy, 240))),)


def _action(number: int, action: Mitigation) -> Row:
    pieces = [line(say(f"{number}. {one_line(action.do, 500)}", bold=True))]
    if action.command:
        pieces.append(_command(action.command))
    for name, said in (
        ("undo", action.undo),
        ("touches", action.blast_radius),
        ("verify", action.verify),
        ("not if", action.not_if),
    ):
        if said:
            pieces.append(bullet(say(f"{name}: ", bold=True), say(one_line(said, 400))))
    return tuple(pieces)


def _command(command: str) -> Piece:
    """In a box, to be pasted as it is; what would be changed by showing it is not shown."""
    if size(command) > _MOST_COMMAND or printable(command) != command or "\n" in command:
        return line(
            say("Its command is too long for Slack or has hidden signs: take it from the whole report.")
        )
    return box(command)


def _model(row: ModelLine) -> Row:
    name = one_line(f"{row.model}:{row.version}" if row.version else row.model, 200)
    where = f" in {one_line(row.subject, 120)}" if row.subject else ""
    said = f": {_word(row.category)}" if row.category else ""
    blame = f", blames {one_line(row.blames, 120)}" if row.blames else ""
    fix = f" → {one_line(row.fix, 240)}" if row.fix else ""
    return _one(f"{one_line(row.state, 40)} {name}{where}{said}{blame}{fix}")


def _timeline(report: Report) -> Group:
    """The latest moments, for what happened just before tells most."""
    moments = whole_timeline(report)
    earlier = len(moments) - _MOST["timeline"]
    rows = [_one(f"{earlier} earlier ones left out")] if earlier > 0 else []
    rows += [
        _one(f"{one_line(moment.at, 40)}  {one_line(moment.what, 300)}")
        for moment in moments[-_MOST["timeline"] :]
    ]
    return Group("Timeline", tuple(rows))


def _path(report: Report) -> Iterator[str]:
    """Each question answered yes or unknown, with the reason; what was ruled out in one line."""
    ruled_out: list[str] = []
    for step in (*report.path, None):
        if step is not None and step.answer == "no":
            ruled_out.append(step.node)
            continue
        if ruled_out:
            yield f"no: {one_line(', '.join(ruled_out), 300)}"
            ruled_out = []
        if step is not None:
            yield f"{step.answer}: {one_line(step.ask, 200)} {one_line(step.because, 300)}"


def _evidence(report: Report) -> Group:
    cited = {mark for fact in (*report.why, *report.against) for mark in fact.evidence}
    shown = [item for item in report.evidence if item.id in cited][: _MOST["evidence"]]
    rows = [_one(one_line(f"[{item.id}] {item.source}: {item.got}", 300)) for item in shown]
    return Group("Evidence", tuple(rows), more=len(report.evidence) - len(shown))


def _foot(report: Report) -> str:
    said = [
        one_line(report.collected_at, 40),
        f"{report.took_seconds:g} s",
        f"tree {one_line(report.tree, 40)} {report.tree_sha256[:12]}",
        count(len(report.evidence), "source"),
    ]
    if report.masked:
        said.append(f"{count(report.masked, 'value')} masked")
    return ", ".join(said)


def _word(name: str) -> str:
    return one_line(name.replace("_", " "), 120)
