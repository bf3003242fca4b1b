"""The view as text: a headline, a table of as many columns as the width has room for, and at last what was looked at."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from triage.failing.view import FailingModels, Gap, Line, Serving
from triage.render_text import Style, plain
from triage.wording import count, names, short

NARROW = 120
"""Below it what to do stands on a line of its own, under the model: a dozen letters of it would tell nothing."""
_WORDS: dict[Serving, str] = {
    "nobody": "DOWN",
    "some": "PARTLY",
    "earlier_version": "OLD",
    "other": "-",
}
_HEAD = ("HOW", "NAMESPACE", "WORKLOAD", "MODEL", "FOR", "PODS")
_GAP = "  "
_INDENT = "        "
_LEAST = 8


def render_failing_json(view: FailingModels) -> str:
    return msgspec.json.format(msgspec.json.encode(view), indent=2).decode() + "\n"


def render_failing_text(view: FailingModels, width: int | None, style: Style = plain) -> str:
    """Lines of at most `width` characters, but for commands; None: whole, each model on one line, for who reads it by a program."""
    return "\n".join(_lines(view, width, style)) + "\n"


def headline(view: FailingModels) -> str:
    """What a person has to know first."""
    looked = view.looked
    if not view.lines:
        if not looked.triton:
            return f"CANNOT TELL: no Triton among {count(looked.listed, 'pod')} that may be listed."
        if not view.could_look:
            return f"CANNOT TELL: no failing model was seen, and {' and '.join(_left_out(view))}."
        return f"NOTHING FAILS in {count(looked.triton, 'Triton pod')}."
    counts = {word: sum(line.serving == word for line in view.lines) for word in _WORDS}
    told = [f"{counts[word]} {said}" for word, said in _SAID.items() if counts[word]]
    return f"{len(view.lines)} FAIL: {', '.join(told)}."


_SAID: dict[Serving, str] = {
    "nobody": "that nobody serves",
    "some": "that only some replicas serve",
    "earlier_version": "served by an earlier version",
    "other": "that may still come up",
}


def _left_out(view: FailingModels) -> Iterator[str]:
    looked = view.looked
    if left := looked.troubled - looked.read - looked.alike:
        yield f"{count(left, 'pod')} in trouble could not be looked at"
    if looked.not_asked:
        yield f"{count(looked.not_asked, 'ready pod')} could not be asked for models"
    if view.unlisted:
        yield f"the pods of {names(view.unlisted)} could not be listed"


def _lines(view: FailingModels, width: int | None, style: Style) -> Iterator[str]:
    tone = "headline-cause" if view.lines else "headline-calm" if view.could_look else "headline-unknown"
    yield from (style(line, tone) for line in _wrap(headline(view), width))
    if view.lines:
        yield ""
        yield from _table(view, width, style)
        yield ""
        yield from _wrap("The whole report of the first line; the others' in the same way:", width)
        yield style(f"  $ {view.lines[0].report}", "command")
    if view.unseen:
        yield ""
        yield style("Could not see", "title")
        for gap in view.unseen:
            yield from _wrap(_gap(gap), width, "  - ", "    ")
            yield from _wrap(f"-> {gap.remedy}", width, "    ", "       ")
    yield ""
    yield from (style(line, "dim") for line in _wrap(_foot(view), width))


def _table(view: FailingModels, width: int | None, style: Style) -> Iterator[str]:
    now = datetime.fromisoformat(view.collected_at)
    narrow = width is not None and width < NARROW
    head = _HEAD if narrow else (*_HEAD, "WHY", "SURE")
    rows = [_cells(line, now, narrow=narrow) for line in view.lines]
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    if width is not None:
        most = width if narrow else width - width // 4
        _shrink(widths, most - len(_GAP) * (len(widths) - 1))
    yield style(_row(head, widths).rstrip() if narrow else _row(head, widths) + f"{_GAP}DO FIRST", "title")
    for line, cells in zip(view.lines, rows, strict=True):
        first = _row(cells, widths)
        tone = "headline-cause" if line.serving == "nobody" else "title"
        if narrow:
            yield style(first.rstrip(), tone)
            yield _cut(f"{_INDENT}{_why(line)}, {_sure(line)}: {line.action}", width)
        else:
            room = None if width is None else width - len(first) - len(_GAP)
            yield style(first, tone) + _GAP + _cut(line.action, room)


_SHORT = {"deployment": "deploy", "statefulset": "sts", "daemonset": "ds", "replicaset": "rs"}


def _cells(line: Line, now: datetime, *, narrow: bool) -> tuple[str, ...]:
    kind, _, name = line.workload.partition("/")
    model = f"{line.model}:{line.version}" if line.version else line.model or "(none named)"
    which = (_WORDS[line.serving], line.namespace, f"{_SHORT.get(kind, kind)}/{name}", model)
    long = (_age(line.since, now), f"{line.pods.failing}/{line.pods.of}")
    return (*which, *long) if narrow else (*which, *long, _why(line), _sure(line))


def _why(line: Line) -> str:
    return line.title if line.category == "cannot_tell" else line.category.replace("_", " ")


def _sure(line: Line) -> str:
    return "cannot tell" if line.confidence == "cannot_tell" else line.confidence


def _age(since: str | None, now: datetime) -> str:
    """In one unit, as kubectl shows it; a clock that is behind the cluster's makes no negative age."""
    if since is None:
        return "?"
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _shrink(widths: list[int], room: int) -> None:
    """Takes from the widest column, one letter at a time, until all fit; none gets too narrow to be told from another."""
    while sum(widths) > room and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(_middle_cut(cell, most).ljust(most) for cell, most in zip(cells, widths, strict=True))


def _middle_cut(text: str, most: int) -> str:
    """Names differ at their ends: both stay."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def _cut(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else f"{text[: max(0, most - 1)].rstrip()}…"


def _gap(gap: Gap) -> str:
    of = f" of {count(gap.pods, 'pod')}" if gap.pods else ""
    whose = f" of {gap.workload}" if gap.workload else ""
    # Whoever may not see something knows by the remedy what is missing.
    detail = "" if gap.reason == "forbidden" else f": {short(gap.detail, _MOST_SAID)}"
    return f"{gap.what}{of}{whose} in {names(gap.namespaces)}: {gap.reason.replace('_', ' ')}{detail}"


_MOST_SAID = 200


def _foot(view: FailingModels) -> str:
    looked = view.looked
    everywhere = "of the namespaces that may be listed" if view.unlisted else "of all namespaces"
    where = f"in {', '.join(view.namespaces)}" if view.namespaces else everywhere
    alike = f" and {looked.alike} stand like them" if looked.alike else ""
    said = (
        f"{view.collected_at}: {count(looked.triton, 'Triton pod')} among {looked.listed} {where}; {looked.troubled} in trouble, of"
        f" which {looked.read} were looked at{alike}; {looked.asked} told which models they have (a failed reload of the version"
        " that serves does not show there)"
    )
    if looked.not_asked:
        said += f"; failing models of {count(looked.not_asked, 'ready pod')} could not be seen"
    return f"{said}; {view.took_seconds:g} s of {view.budget_seconds:g} s, {count(view.requests, 'request')}"


def _wrap(text: str, width: int | None, first: str = "", rest: str = "") -> list[str]:
    said = " ".join(text.split())
    if width is None:
        return [first + said]
    return textwrap.wrap(
        said,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first]
