"""A chart as shapes to draw: points, bands and labels placed on a canvas. All markup is in chart.svg.j2."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from triage.chart_scale import (
    Axis,
    clock,
    end_of,
    is_drawable,
    letters,
    measured,
    summary,
    time_axis,
    unit_of,
    usual_of,
    value_axis,
)
from triage.report import Chart, Mark, Onset
from triage.seal import printable

MAX_CURVES = 6
_LABEL = 108  # pixels that `began 02:41:10` takes


@dataclass(frozen=True, slots=True)
class Canvas:
    """How large it is drawn, in pixels; a phone gets a canvas of its own, for a scaled-down one has letters too small to read."""

    name: str
    width: int
    height: int
    left: int
    right: int
    time_ticks: int
    top: int = 36
    bottom: int = 22

    @property
    def floor(self) -> int:
        return self.height - self.bottom

    @property
    def edge(self) -> int:
        return self.width - self.right


WIDE = Canvas("wide", 820, 224, left=50, right=168, time_ticks=8)
NARROW = Canvas("narrow", 360, 210, left=42, right=10, time_ticks=4)


@dataclass(frozen=True, slots=True)
class Label:
    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class CurveDrawing:
    number: int
    """From 1: its colour and its dashes."""
    label: str
    path: str
    name: Label | None
    """At its end; None where there is no room, or it never was measured."""


@dataclass(frozen=True, slots=True)
class OnsetDrawing:
    x: float
    left: float
    width: float
    label: Label
    anchor: str


@dataclass(frozen=True, slots=True)
class Drawing:
    canvas: Canvas
    values: tuple[Label, ...]
    """Ticks of the value axis; each has a line across."""
    times: tuple[Label, ...]
    usual: tuple[float, float] | None
    """Top and height of the usual range."""
    onset: OnsetDrawing | None
    changes: tuple[tuple[float, Label], ...]
    """Where each line stands, and its letter."""
    curves: tuple[CurveDrawing, ...]


@dataclass(frozen=True, slots=True)
class ChartFigure:
    """A chart with what is said of it in words."""

    title: str
    unit: str
    summary: str
    """How it was, how it is: what a reader has who sees no drawing."""
    key: tuple[tuple[int, str], ...]
    """Number and name of each curve."""
    undrawn: int
    """Curves left out."""
    drawings: tuple[Drawing, ...]
    evidence: tuple[str, ...]


def chart_figures(charts: Sequence[Chart]) -> tuple[ChartFigure, ...]:
    """Each chart, drawn for a wide page and for a phone."""
    named = letters(charts)
    return tuple(_figure(chart, named) for chart in charts)


def _figure(chart: Chart, named: Mapping[Mark, str]) -> ChartFigure:
    shown = chart.curves[:MAX_CURVES]
    drawings = tuple(_draw(chart, canvas, named) for canvas in (WIDE, NARROW)) if is_drawable(chart) else ()
    return ChartFigure(
        title=chart.title,
        unit=unit_of(chart).name,
        summary=summary(chart),
        key=tuple((number, curve.label) for number, curve in enumerate(shown, 1)),
        undrawn=len(chart.curves) - len(shown),
        drawings=drawings,
        evidence=chart.evidence,
    )


def _draw(chart: Chart, canvas: Canvas, named: Mapping[Mark, str]) -> Drawing:
    times = time_axis(chart.start, end_of(chart), canvas.time_ticks)
    values = value_axis(chart, 5)

    def x(at: float) -> float:
        return round(canvas.left + times.share(at) * (canvas.edge - canvas.left), 1)

    def y(value: float) -> float:
        return round(canvas.floor - values.share(value) * (canvas.floor - canvas.top), 1)

    paths = [
        [
            (x(chart.start + index * chart.step), y(value)) if value is not None and measured(value) else None
            for index, value in enumerate(curve.values)
        ]
        for curve in chart.curves[:MAX_CURVES]
    ]
    usual = usual_of(chart)
    return Drawing(
        canvas=canvas,
        values=tuple(Label(canvas.left - 8, y(tick.at), tick.label) for tick in values.ticks),
        times=tuple(_time_labels(times, canvas)),
        usual=(y(usual[1]), round(max(2.0, y(usual[0]) - y(usual[1])), 1)) if usual else None,
        onset=_onset(chart.onset, times, canvas) if chart.onset else None,
        changes=tuple(_changes(chart, named, times, canvas)),
        curves=tuple(_curves(chart, paths, canvas)),
    )


def _time_labels(times: Axis, canvas: Canvas) -> Iterator[Label]:
    room = canvas.edge - canvas.left
    for tick in times.ticks:
        yield Label(round(canvas.left + times.share(tick.at) * room, 1), canvas.height - 5, tick.label)


def _onset(onset: Onset, times: Axis, canvas: Canvas) -> OnsetDrawing | None:
    if not times.low <= onset.at <= times.high:
        return None
    room = canvas.edge - canvas.left
    ends = [min(1.0, max(0.0, times.share(end))) for end in (onset.earliest, onset.latest)]
    place = round(canvas.left + times.share(onset.at) * room, 1)
    left = round(canvas.left + min(ends) * room, 1)
    before = place + _LABEL > canvas.width
    return OnsetDrawing(
        x=place,
        left=left,
        width=round(max(1.0, abs(ends[1] - ends[0]) * room), 1),
        label=Label(place - 5 if before else place + 5, 12, f"began {clock(onset.at)}"),
        anchor="end" if before else "start",
    )


def _changes(
    chart: Chart, named: Mapping[Mark, str], times: Axis, canvas: Canvas
) -> Iterator[tuple[float, Label]]:
    """Letters of changes that lie close stand side by side; their lines stay where they are."""
    free = 0.0
    seen = [mark for mark in chart.marks if mark in named and times.low <= mark.at <= times.high]
    for mark in sorted(set(seen), key=lambda mark: (mark.at, mark.what)):
        place = round(canvas.left + times.share(mark.at) * (canvas.edge - canvas.left), 1)
        shown = max(place, free)
        free = shown + 17
        yield place, Label(round(shown, 1), 26, named[mark])


def _curves(
    chart: Chart, paths: Sequence[Sequence[tuple[float, float] | None]], canvas: Canvas
) -> Iterator[CurveDrawing]:
    ends = {
        number: last[-1][1]
        for number, path in enumerate(paths)
        if (last := [point for point in path if point])
    }
    places = _apart(ends, 15.0, canvas.top + 4.0, float(canvas.floor))
    for number, path in enumerate(paths):
        label = chart.curves[number].label
        name = None
        if canvas is WIDE and number in places:
            name = Label(canvas.edge + 24, round(places[number], 1), _short(label, 20))
        yield CurveDrawing(number + 1, label, _path(path), name)


def _apart(wanted: Mapping[int, float], gap: float, top: float, bottom: float) -> dict[int, float]:
    """Heights as near as may be to those wanted, no two nearer than `gap`."""
    placed: dict[int, float] = {}
    free = top
    for key, height in sorted(wanted.items(), key=lambda item: item[1]):
        placed[key] = max(height, free)
        free = placed[key] + gap
    limit = bottom
    for key in reversed(placed):
        placed[key] = min(placed[key], limit)
        limit = placed[key] - gap
    return placed


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """A line with its gaps. A point that stands alone is a line of no length, which round ends make a dot."""
    said: list[str] = []
    before: tuple[float, float] | None = None
    for index, point in enumerate(points):
        if point is None:
            before = None
            continue
        alone = before is None and (index + 1 == len(points) or points[index + 1] is None)
        said.append(f"{'L' if before else 'M'}{point[0]:g} {point[1]:g}{'h0' if alone else ''}")
        before = point
    return "".join(said)


def _short(label: str, most: int) -> str:
    """Names of pods differ at their end."""
    said = " ".join(printable(label[:4000]).split())
    if len(said) <= most:
        return said
    head = most // 3
    return f"{said[:head]}…{said[len(said) - (most - head - 1) :]}"
