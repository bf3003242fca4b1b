"""A chart as Slack's own block, or as lines of text where the workspace does not take that. Pure.

A point of the block is one span of the chart, of which the worst value is drawn, so that a peak is not averaged away. Every series
must have a value at every point, and what was not measured is no zero: spans without a value of the first curve are left out and
said, and a curve that has not all the others is left out and named."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from triage.chart_scale import Unit, clock, day, is_drawable, measured, summary, unit_of
from triage.chart_text import chart_lines
from triage.report import Chart, Curve
from triage.slack.limits import CHART_LABEL_CHARS, CHART_POINTS, CHART_SERIES, CHART_TITLE_CHARS, cut
from triage.slack.plain import one_line
from triage.slack.rich import Block
from triage.wording import count

_LEAST_POINTS = 3
"""Fewer make no curve."""
_TEXT_COLUMNS = 46
"""What a box of text shows without breaking its lines, but for the smallest phones."""


class DrawnChart(msgspec.Struct, frozen=True):
    block: Block
    notes: tuple[str, ...]
    """What the block shows and how, and what it leaves out."""


def chart_block(chart: Chart) -> DrawnChart | None:
    """The chart as a block; None where it cannot be drawn without making up a value."""
    if not is_drawable(chart) or not chart.curves:
        return None
    spans = _spans(max(len(curve.values) for curve in chart.curves))
    unit = unit_of(chart)
    first = _worst(chart.curves[0], spans, unit)
    kept = [number for number, value in enumerate(first) if value is not None]
    if len(kept) < _LEAST_POINTS:
        return None
    labels = _labels(chart, [spans[number].start for number in kept])
    shown: list[dict[str, Any]] = []
    left_out: list[str] = []
    for curve in chart.curves:
        values = [_worst(curve, spans, unit)[number] for number in kept]
        name = _name(curve, [series["name"] for series in shown])
        if None in values or len(shown) == CHART_SERIES:
            left_out.append(one_line(curve.label, 80))
            continue
        data = [{"label": label, "value": value} for label, value in zip(labels, values, strict=True)]
        shown.append({"name": name, "data": data})
    named = one_line(unit.name, 40)
    title = one_line(chart.title, 200) + (f", {named}" if named else "")
    block = {
        "type": "data_visualization",
        "title": cut(title, CHART_TITLE_CHARS) or "chart",
        "chart": {
            "type": "line",
            "series": shown,
            "axis_config": {
                "categories": labels,
                "x_label": "UTC",
                **({"y_label": named} if named else {}),
            },
        },
    }
    return DrawnChart(block, tuple(_notes(chart, spans, len(kept), left_out)))


def chart_text(chart: Chart) -> str:
    """The chart as lines for a box of text, in ASCII: the box's letters are not all of one width beyond that."""
    return "\n".join(chart_lines(chart, _TEXT_COLUMNS, unicode=False))


def what_it_shows(chart: Chart) -> str:
    """In a sentence."""
    return one_line(f"{one_line(chart.title, 200)}: {summary(chart)}", 500)


def _spans(steps: int) -> list[range]:
    """The steps in at most as many spans as Slack takes points, all of one length but the last."""
    length = max(1, math.ceil(steps / CHART_POINTS))
    return [range(start, min(start + length, steps)) for start in range(0, steps, length)]


def _worst(curve: Curve, spans: Sequence[range], unit: Unit) -> list[float | None]:
    """The highest value of each span, in the unit shown; None where nothing was measured."""
    worst: list[float | None] = []
    for span in spans:
        there = [
            value for value in curve.values[span.start : span.stop] if value is not None and measured(value)
        ]
        worst.append(_figures(max(there) * unit.factor) if there else None)
    return worst


def _figures(value: float) -> float:
    """With the few figures that a person reads; no exponent is lost by it."""
    return float(f"{value:.4g}")


def _labels(chart: Chart, starts: Sequence[int]) -> list[str]:
    """When each span begins; all different."""
    times = [chart.start + chart.step * start for start in starts]
    forms: tuple[Callable[[float], str], ...] = (
        lambda at: clock(at)[:5],
        clock,
        lambda at: f"{day(at)[5:]} {clock(at)}",
    )
    for form in forms:
        labels = [form(at) for at in times]
        if len(set(labels)) == len(labels):
            return labels
    return [f"{clock(at)} {number}" for number, at in enumerate(times, 1)]


def _name(curve: Curve, taken: Sequence[str]) -> str:
    whole = cut(one_line(curve.label, 200), CHART_LABEL_CHARS) or "curve"
    name, number = whole, 2
    while name in taken:
        ending = f" {number}"
        name, number = cut(whole, CHART_LABEL_CHARS - len(ending)) + ending, number + 1
    return name


def _notes(chart: Chart, spans: Sequence[range], kept: int, left_out: Sequence[str]) -> list[str]:
    notes = [what_it_shows(chart)]
    if chart.onset is not None:
        began = chart.onset
        notes.append(
            f"it began at {clock(began.at)} UTC, between {clock(began.earliest)} and {clock(began.latest)}"
        )
    seconds = len(spans[0]) * chart.step
    if len(spans[0]) > 1:
        notes.append(f"each point is the highest value of {seconds:g} s")
    if gaps := len(spans) - kept:
        notes.append(f"{count(gaps, 'point')} without a measurement left out, so the times have gaps")
    if left_out:
        notes.append(f"not drawn, for it was not measured all the time: {', '.join(left_out[:4])}")
    return notes
