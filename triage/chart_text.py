"""A chart for a terminal: six rows of braille, or of stars where the terminal has no such letters."""

from collections.abc import Iterator, Mapping, Sequence

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
    value_axis,
)
from triage.report import Chart, Mark, Onset
from triage.seal import printable
from triage.wording import short

ROWS = 6
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille cell, by row and column."""
_LONGEST = 1000  # letters of a text that are looked at


def chart_lines(chart: Chart, width: int, *, unicode: bool = True) -> list[str]:
    """The chart as lines of at most `width` columns, `width` being 40 or more: title, rows, times, onset, changes. The first curve
    is drawn, and a second one with a lighter mark; how many more there are is said. Without `unicode` all of it is ASCII."""
    lines = list(_lines(chart, width, unicode))
    return lines if unicode else [line.encode("ascii", "replace").decode() for line in lines]


def _lines(chart: Chart, width: int, unicode: bool) -> Iterator[str]:
    unit = unit_of(chart).name
    yield _fit(f"{chart.title}, {unit}" if unit else chart.title, width, unicode)
    yield _fit(summary(chart), width, unicode)
    if not is_drawable(chart):
        return
    yield from _curve_key(chart, width, unicode)
    values = value_axis(chart, ROWS - 1)
    left = max(len(tick.label) for tick in values.ticks) + 2
    columns = width - left
    times = time_axis(chart.start, end_of(chart), max(2, columns // 12))
    rows = _rows(chart, values, times, columns, unicode)
    heights = {round((1 - values.share(tick.at)) * (ROWS - 1)): tick.label for tick in values.ticks}
    for number, row in enumerate(rows):
        edge = ("┤" if number in heights else "│") if unicode else "|"
        yield f"{heights.get(number, ''):>{left - 1}}{edge}{row}".rstrip()
    corner = "└" + "─" * columns if unicode else "+" + "-" * columns
    yield " " * (left - 1) + corner[: columns + 1]
    yield " " * left + _times(times, columns)
    yield from (" " * left + line for line in _beneath(chart, times, columns))
    yield from _change_key(chart, width, unicode)


def _curve_key(chart: Chart, width: int, unicode: bool) -> Iterator[str]:
    """Which line is which, where there are two or more."""
    if len(chart.curves) < 2:
        return
    for sign, curve in zip(("⠒", "·") if unicode else ("*", "."), chart.curves, strict=False):
        yield _fit(f"  {sign} ", width, unicode, curve.label)
    if len(chart.curves) > 2:
        yield f"  {len(chart.curves) - 2} more not drawn here"


def _rows(chart: Chart, values: Axis, times: Axis, columns: int, unicode: bool) -> list[str]:
    """The first curve over the second: a cell shows one of them."""
    wide, high = (2, 4) if unicode else (1, 1)
    drawn = [
        _cells(_points(chart, index, values, times, columns * wide, ROWS * high), wide, high)
        for index in range(min(2, len(chart.curves)))
    ]
    lighter = "·" if unicode else "."
    rows = []
    for row in range(ROWS):
        said = ""
        for column in range(columns):
            mask = drawn[0].get((column, row), 0)
            if mask:
                said += chr(0x2800 + mask) if unicode else "*"
            else:
                said += lighter if len(drawn) > 1 and (column, row) in drawn[1] else " "
        rows.append(said)
    return rows


def _points(
    chart: Chart, index: int, values: Axis, times: Axis, wide: int, high: int
) -> list[tuple[int, int] | None]:
    """Each value as a dot from the top left; None where nothing was measured."""
    return [
        (
            round(times.share(chart.start + number * chart.step) * (wide - 1)),
            round((1 - values.share(value)) * (high - 1)),
        )
        if value is not None and measured(value)
        else None
        for number, value in enumerate(chart.curves[index].values)
    ]


def _cells(points: Sequence[tuple[int, int] | None], wide: int, high: int) -> Mapping[tuple[int, int], int]:
    """Cells that a line through the points touches, with their dots; it has the gaps that the points have."""
    cells: dict[tuple[int, int], int] = {}
    before: tuple[int, int] | None = None
    for point in points:
        if point is not None:
            for x, y in _line(before or point, point):
                cell = (x // wide, y // high)
                cells[cell] = cells.get(cell, 0) | _DOTS[y % high][x % wide]
        before = point
    return cells


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    for step in range(steps + 1):
        yield (
            round(start[0] + (end[0] - start[0]) * step / steps),
            round(start[1] + (end[1] - start[1]) * step / steps),
        )


def _times(times: Axis, columns: int) -> str:
    line = " " * columns
    for tick in times.ticks:
        place = round(times.share(tick.at) * (columns - 1))
        if place + len(tick.label) <= columns and not line[max(0, place - 1) :].strip():
            line = line[:place] + tick.label + line[place + len(tick.label) :]
    return line.rstrip()


def _beneath(chart: Chart, times: Axis, columns: int) -> Iterator[str]:
    """Letters under the changes, then the mark of the onset with its times."""
    named = letters((chart,))
    placed: dict[int, str] = {}
    for mark, letter in named.items():
        if times.low <= mark.at <= times.high:
            # Changes that are nearer than a column stand beside each other.
            place = round(times.share(mark.at) * (columns - 1))
            while any(place + offset in placed for offset in range(len(letter))):
                place += 1
            placed.update({place + offset: part for offset, part in enumerate(letter)})
    if placed:
        yield "".join(placed.get(column, " ") for column in range(min(columns, max(placed) + 1)))
    if chart.onset and times.low <= chart.onset.at <= times.high:
        place = round(times.share(chart.onset.at) * (columns - 1))
        said = _onset_times(chart.onset)
        if place + 2 + len(said) <= columns:
            yield f"{' ' * place}^ {said}"
        elif len(said) < place:
            yield f"{said} ^".rjust(place + 1)
        else:
            yield f"{' ' * place}^"
            yield f"{said:>{columns}}" if len(said) <= columns else clock(chart.onset.at)


def _onset_times(onset: Onset) -> str:
    return f"{clock(onset.at)} ({clock(onset.earliest)} to {clock(onset.latest)})"


def _change_key(chart: Chart, width: int, unicode: bool) -> Iterator[str]:
    named: Mapping[Mark, str] = letters((chart,))
    for mark, letter in named.items():
        yield _fit(f"  {letter} {clock(mark.at)} ", width, unicode, mark.what)


def _fit(first: str, width: int, unicode: bool, rest: str = "") -> str:
    """One line, cut to the width: what stands first keeps its blanks."""
    said = (
        first + " ".join(printable(rest[:_LONGEST]).split())
        if rest
        else " ".join(printable(first[:_LONGEST]).split())
    )
    if unicode or len(said) <= width:
        return short(said, width)
    return said[: width - 3] + "..."
