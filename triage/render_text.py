"""The report for a terminal, in the order in which it is needed at 3 a.m. Pure text; `styled` adds colour where it is wanted."""

import textwrap
from collections.abc import Callable, Iterable, Iterator

from triage.chart_scale import summary
from triage.chart_text import chart_lines
from triage.gpu_map import gpu_line, left_out
from triage.report import EvidenceLine, Mitigation, Report, tone_of
from triage.timeline import whole_timeline

Style = Callable[[str, str], str]
"""(text, one of: headline-cause, headline-calm, headline-unknown, title, quote, command, dim)."""


def plain(text: str, style: str) -> str:
    return text


def render_text(report: Report, width: int = 100, style: Style = plain, *, unicode: bool = True) -> str:
    """The report as lines of at most `width` characters, but for lines of a log and commands, which are kept whole to be copied.
    Without `unicode` its chart is drawn in ASCII."""
    return "\n".join(_lines(report, max(40, width), style, unicode)) + "\n"


def _lines(report: Report, width: int, style: Style, unicode: bool) -> Iterator[str]:
    tone = f"headline-{tone_of(report)}"
    yield from (style(line, tone) for line in _wrap(report.headline, width))
    if report.verdict.also:
        yield from _wrap(f"Fits as well: {', '.join(_word(other) for other in report.verdict.also)}.", width)
    if report.freeze and tone_of(report) != "calm":
        yield ""
        yield style("Freeze first, so that nothing else changes while you look", "title")
        yield style(_one_line(f"  $ {report.freeze}"), "command")
    yield from _section("Impact", report.impact, width, style)
    yield from _charts(report, width, style, unicode)
    if report.why:
        yield ""
        yield style("Why", "title")
        for number, fact in enumerate(report.why, 1):
            yield from _wrap(f"{fact.text}{_marks(fact.evidence)}", width, f"  {number}. ", "     ")
            if fact.quote:
                # Several lines stay a quotation: what a container says last must not pass for a line of the report.
                yield from (style(f"     | {line}", "quote") for line in fact.quote.splitlines())
    against = [f"{fact.text}{_marks(fact.evidence)}" for fact in report.against]
    for other in report.alternatives:
        apart = f"; to tell them apart: {other.separate}" if other.separate else ""
        against.append(
            f"also fits: {_word(other.title or other.category)} ({_word(other.confidence)}){apart}"
        )
    yield from _section("Against it", against or ["nothing that was seen"], width, style)
    if report.unseen:
        yield ""
        yield style("Could not see", "title")
        for gap in report.unseen:
            yield from _wrap(
                f"{gap.what}: {gap.reason.replace('_', ' ')} ({gap.detail})", width, "  - ", "    "
            )
            yield from _wrap(f"-> {gap.remedy}", width, "    ", "       ")
    yield ""
    yield style("Do" if report.verdict.category != "cannot_tell" else "Look", "title")
    for number, action in enumerate(report.actions, 1):
        yield from _action(number, action, width, style)
    yield from _models(report, width, style)
    if report.gpus:
        rows = [f"{gpu_line(row)}{_marks(row.evidence[:1])}" for row in report.gpus.rows]
        yield from _section("GPUs", [*rows, *filter(None, [left_out(report.gpus)])], width, style)
    if timeline := whole_timeline(report):
        yield ""
        yield style("Timeline", "title")
        for moment in timeline:
            source = f"  [{moment.evidence}]" if moment.evidence else ""
            yield _one_line(f"  {moment.at}  {moment.what}{source}")
    yield ""
    yield style("Path", "title")
    yield from _path(report, width, style)
    yield ""
    yield style("Evidence", "title")
    shown = _worth_showing(report)
    for item in shown:
        yield from _wrap(f"[{item.id}] {item.source}: {item.got}", width, "  ", "      ")
        yield style(_one_line(f"      $ {item.command}"), "dim")
    if len(shown) < len(report.evidence):
        yield style(
            f"  {len(report.evidence) - len(shown)} more that nothing above rests on: -o json or -o html",
            "dim",
        )
    yield ""
    masked = f", {report.masked} value{'s' if report.masked != 1 else ''} masked" if report.masked else ""
    took = f"{report.took_seconds:g} s"
    foot = f"{report.collected_at}, {took}, tree {report.tree} {report.tree_sha256[:12]}, {len(report.evidence)} sources{masked}"
    yield from (style(line, "dim") for line in _wrap(foot, width))


_MOST_EVIDENCE = 20


def _worth_showing(report: Report) -> list[EvidenceLine]:
    """All of it, or where that is more than a screen, what the report's sentences and charts rest on."""
    if len(report.evidence) <= _MOST_EVIDENCE:
        return list(report.evidence)
    cited = {mark for fact in (*report.why, *report.against) for mark in fact.evidence}
    cited |= {mark for chart in report.charts for mark in chart.evidence}
    cited |= {moment.evidence for moment in report.timeline}
    return [item for item in report.evidence if item.id in cited]


def _charts(report: Report, width: int, style: Style, unicode: bool) -> Iterator[str]:
    """The most telling chart; of the others what they show, in words, for a screen is short."""
    if not report.charts:
        return
    yield ""
    yield style("What moved", "title")
    first, *others = report.charts
    yield from (f"  {line}" for line in chart_lines(first, width - 2, unicode=unicode))
    for chart in others:
        yield from _wrap(f"{chart.title}: {summary(chart)}{_marks(chart.evidence)}", width, "  - ", "    ")


def _action(number: int, action: Mitigation, width: int, style: Style) -> Iterator[str]:
    yield from _wrap(action.do, width, f"  {number}. ", "     ")
    if action.command:
        yield style(_one_line(f"     $ {action.command}"), "command")
    for name, text in (
        ("undo", action.undo),
        ("touches", action.blast_radius),
        ("verify", action.verify),
        ("not if", action.not_if),
    ):
        yield from _wrap(text, width, f"     {name:8} ", " " * 14)


def _models(report: Report, width: int, style: Style) -> Iterator[str]:
    if len(report.models) < 2:
        return
    yield ""
    yield style("Models", "title")
    for row in report.models:
        name = f"{row.model}:{row.version}" if row.version else row.model
        where = f" in {row.subject}" if row.subject else ""
        said = row.category.replace("_", " ") if row.category else ""
        blame = f", blames {row.blames}" if row.blames else ""
        yield from _wrap(
            f"{name}{where}{': ' + said if said else ''}{blame}", width, f"  {row.state:8} ", " " * 11
        )
        if row.fix and row.model != report.verdict.model:
            yield from _wrap(f"-> {row.fix}", width, " " * 11, " " * 14)


def _path(report: Report, width: int, style: Style) -> Iterator[str]:
    """Each question answered yes or unknown, with the reason; what was ruled out in one line."""
    ruled_out: list[str] = []
    for step in (*report.path, None):
        if step is not None and step.answer == "no":
            ruled_out.append(step.node)
            continue
        if ruled_out:
            yield from (
                style(line, "dim") for line in _wrap(", ".join(ruled_out), width, f"  {'no':8} ", " " * 11)
            )
            ruled_out = []
        if step is not None:
            yield from _wrap(step.ask, width, f"  {step.answer:8} ", " " * 11)
            yield from (style(line, "dim") for line in _wrap(step.because, width, " " * 11, " " * 11))


def _section(title: str, rows: Iterable[str], width: int, style: Style) -> Iterator[str]:
    rows = list(rows)
    if rows:
        yield ""
        yield style(title, "title")
        for row in rows:
            yield from _wrap(row, width, "  - ", "    ")


def _marks(evidence: Iterable[str]) -> str:
    ids = list(evidence)
    return f" [{', '.join(ids[:4])}]" if ids else ""


def _word(name: str) -> str:
    return name.replace("_", " ")


def _wrap(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    # Whitespace in texts of the evidence is no layout of ours.
    said = " ".join(text.split())
    wrapped = textwrap.wrap(
        said,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,  # a model's name is one word
    )
    return wrapped or [first]


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
