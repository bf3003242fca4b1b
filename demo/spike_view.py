"""How act three looks: nine lines of at most 79 columns, two lines, or plain ones, and what is shown of the report. Pure."""

import math
import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from demo.spike_story import CALM_SECONDS, CAPTURE_SECONDS, HEADLINES, MODEL, NEW, Second
from triage.report import Report

TITLE = f"ACT THREE. 03:40: a new version of {MODEL} loads well, and p99 jumps."
_BARS = " ▁▂▃▄▅▆▇█"
_ROWS = 4
_SCALE = 8
"""Columns before the bars."""
_SECONDS = 36
"""That fit beside each other; the newest are shown."""
_LEAST_TOP = 600
"""Of the scale, so that it need not change at the jump, and calm looks calm."""


def spike_screen(run: Sequence[Second], width: int, *, recorded: bool = False) -> Text:
    """The last second of `run`, with those before it as bars."""
    shown = run[-_SECONDS:]
    columns = 3 if width > _SCALE + 3 * _SECONDS else 2
    title, facts, asked = _words(run[-1], recorded=recorded)
    lines = [
        title,
        Text(f"p99 of {MODEL} each second, as its clients saw it, ms", style="dim"),
        *_bars(shown, columns),
        Text(_versions_row(shown, columns), style="dim"),
        facts,
        asked,
    ]
    return _fitting(lines, width)


def spike_strip(run: Sequence[Second], width: int, *, recorded: bool = False) -> Text:
    """The same in two lines, for a small screen that also has the report on it."""
    return _fitting(_words(run[-1], recorded=recorded)[:2], width)


def _fitting(lines: Sequence[Text], width: int) -> Text:
    for line in lines:
        line.truncate(width - 1, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines)


def _words(now: Second, *, recorded: bool) -> list[Text]:
    mark = "RECORDED " if recorded else ""
    return [
        Text(f"{mark}{HEADLINES[now.state]}", style="bold"),
        Text(f"now {_facts(now)}"),
        Text(_asked(now), style="dim"),
    ]


def _bars(run: Sequence[Second], columns: int) -> Iterator[Text]:
    most = max((second.p99_ms for second in run if second.p99_ms is not None), default=0.0)
    top = max(_LEAST_TOP, 200 * math.ceil(most / 200))
    for row in reversed(range(_ROWS)):
        line = Text(f"{top * (row + 1) // _ROWS:>{_SCALE - 2}} ", style="dim")
        for second in run:
            slow = NEW in second.versions
            line.append(_cell(second.p99_ms, top, row) * columns, style="red" if slow else "green")
        yield line


def _cell(value: float | None, top: int, row: int) -> str:
    """Of a row of the bar; nothing was answered: a `?` at its foot, which is not zero."""
    if value is None:
        return "?" if row == 0 else " "
    eighths = math.ceil(value / top * _ROWS * 8) - row * 8
    return _BARS[max(0, min(8, eighths))]


def _versions_row(run: Sequence[Second], columns: int) -> str:
    """Under the bars, where the version changes."""
    row, newest = "", ""
    for place, second in enumerate(run):
        version = max(second.versions, default="")
        if version != newest:
            row = f"{row.ljust(_SCALE - 1 + columns * place)}^version {version or 'none'}"
            newest = version
    return row


def _facts(now: Second) -> str:
    p99 = "no answer" if now.p99_ms is None else f"p99 {now.p99_ms:.0f} ms"
    health = "ready" if now.ready else "not ready"
    served = " and ".join(now.versions) or "none"
    return (
        f"{p99} | {now.answered} answers/s | {now.failed} failed | Triton {health}, serves version {served}"
    )


def _asked(now: Second) -> str:
    if now.asked is not None:
        return f"triton-triage looks: {min(now.asked, CAPTURE_SECONDS)} of {CAPTURE_SECONDS} s. Ctrl-C ends."
    if now.at < CALM_SECONDS:
        return f"triton-triage is asked in {CALM_SECONDS - now.at} s. Ctrl-C ends."
    return "Ctrl-C ends."


def spike_lines(before: Second | None, now: Second) -> Iterator[str]:
    """What is new, a line each: what happens, and the numbers every 2 s."""
    changed = before is None or before.state != now.state
    if changed:
        yield f"{now.at:3.0f} s  {HEADLINES[now.state]}"
    if changed or now.at % 2 == 0:
        yield f"{now.at:3.0f} s  {_facts(now)}"


def truth_line(run: Sequence[Second]) -> str:
    """What the report's onset can be held against; empty where the version was never served."""
    pushed = next((second for second in run if second.state in ("pushed", "served")), None)
    served = next((second for second in run if second.state == "served"), None)
    if pushed is None or served is None:
        return ""
    return f"True: the demo pushed version {NEW} at {pushed.clock}Z, and at {served.clock}Z Triton served it."


def moved_line(run: Sequence[Second]) -> str:
    """p99 before, with, and after the version, each the median of its seconds; empty where one was not seen."""
    told = []
    for states, when in ((("calm",), "before"), (("served",), f"with version {NEW}"), (("back",), "after")):
        values = sorted(s.p99_ms for s in run if s.state in states and s.p99_ms is not None)
        if not values:
            return ""
        told.append(f"{values[len(values) // 2]:.0f} ms {when}")
    return f"p99 of {MODEL}: {', '.join(told)}."


def report_excerpt(report: Report, width: int) -> Iterator[tuple[str, str]]:
    """(line, style): what it is, since when, why, and the first action; word for word."""
    width = min(width, 100) - 1
    yield from ((line, "bold red") for line in textwrap.wrap(report.headline, width))
    yield "Impact", "bold"
    for told in report.impact:
        yield from _wrap(told, width, "  - ")
    yield "Why", "bold"
    for number, fact in enumerate(report.why, 1):
        yield from _wrap(fact.text, width, f"  {number}. ")
    for action in report.actions[:1]:
        yield "Do", "bold"
        yield from _wrap(action.do, width, "  1. ")
        if action.command:
            yield f"     $ {action.command}", "green"
        yield from _wrap(action.undo, width, "     undo    ")
        yield from _wrap(action.not_if, width, "     not if  ")


def _wrap(text: str, width: int, first: str) -> Iterator[tuple[str, str]]:
    lines = textwrap.wrap(text, width, initial_indent=first, subsequent_indent=" " * len(first))
    return ((line, "") for line in lines)
