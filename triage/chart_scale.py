"""Axes of a chart: a few round ticks in a unit that people read, and times in UTC. For the terminal and the page alike."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from triage.report import Chart, Mark

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_LAST_TIME = 253_402_300_799.0  # the end of the year 9999, which is the last that a date can say
_LARGEST, _SMALLEST = 1e100, 1e-100  # what lies outside is no measurement, and its logarithm no tick
_MAX_POINTS = 20_000


@dataclass(frozen=True, slots=True)
class Unit:
    """What a value is shown in: its name, and by what a raw value is multiplied."""

    name: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    """In raw units."""
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    low: float
    high: float
    ticks: tuple[Tick, ...]

    def share(self, value: float) -> float:
        """Where the value lies between low, 0, and high, 1."""
        return (value - self.low) / (self.high - self.low)


def is_drawable(chart: Chart) -> bool:
    """Whether anything was measured, at times that a date can say."""
    steps = max((len(curve.values) for curve in chart.curves), default=0)
    end = chart.start + chart.step * steps
    return (
        chart.step > 0
        and steps <= _MAX_POINTS
        and 0 <= chart.start <= end <= _LAST_TIME
        and any(measured(value) for curve in chart.curves for value in curve.values)
    )


def measured(value: float | None) -> bool:
    return value is not None and abs(value) <= _LARGEST


def usual_of(chart: Chart) -> tuple[float, float] | None:
    """The usual range, lower end first; None where it is not known."""
    if chart.usual is None or not all(measured(end) for end in chart.usual):
        return None
    return min(chart.usual), max(chart.usual)


def end_of(chart: Chart) -> float:
    """The time of the last step."""
    return chart.start + chart.step * max(1, *(len(curve.values) - 1 for curve in chart.curves), 1)


def unit_of(chart: Chart) -> Unit:
    """The unit to show the chart's values in, by the largest of them."""
    values = [
        value for curve in chart.curves for value in curve.values if value is not None and measured(value)
    ]
    highest = max((abs(value) for value in values), default=0.0)
    if chart.unit == "share":
        return Unit("%", 100.0)
    if chart.unit == "ms" and highest >= 10_000:
        return Unit("s", 0.001)
    if chart.unit in ("bytes", "bytes/s"):
        power = min(4, int(math.log(highest, 1024))) if highest >= 1024 else 0
        name = ("bytes", "KiB", "MiB", "GiB", "TiB")[power]
        return Unit(chart.unit.replace("bytes", name), 1024.0**-power)
    return Unit(chart.unit)


def value_axis(chart: Chart, most: int) -> Axis:
    """From zero, or below where values are, to a round number above all values and the usual range; at most `most` + 1 ticks."""
    factor = unit_of(chart).factor
    values = [
        value for curve in chart.curves for value in curve.values if value is not None and measured(value)
    ]
    values += usual_of(chart) or ()
    low, high = min(0.0, *values, 0.0) * factor, max(0.0, *values, 0.0) * factor
    if high - low < _SMALLEST:
        high = low + 1
    step = _round_step((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(Tick(k * step / factor, _label(k * step, step)) for k in range(first, last + 1))
    return Axis(first * step / factor, last * step / factor, ticks)


def time_axis(start: float, end: float, most: int) -> Axis:
    """The times between, with at most `most` + 1 ticks on round times of the day."""
    span = end - start
    step = next((step for step in _STEPS if span / step <= most), 86400 * math.ceil(span / 86400 / most))
    first, last = math.ceil(start / step), math.floor(end / step)
    return Axis(
        start, end, tuple(Tick(k * step, _time_label(k * step, step)) for k in range(first, last + 1))
    )


def clock(at: float) -> str:
    """The time of day in UTC, such as `02:41:10`; `?` for what is no time."""
    when = _date(at)
    return when.strftime("%H:%M:%S") if when else "?"


def day(at: float) -> str:
    """The date in UTC, such as `2026-11-22`; `?` for what is no time."""
    when = _date(at)
    return when.strftime("%Y-%m-%d") if when else "?"


def amount(value: float, unit: Unit) -> str:
    """The value with its unit, in three figures: `412 ms`, `1.25 s`, `37 %`."""
    shown = value * unit.factor
    digits = 2 if 0.1 < abs(shown) < 10 else 1 if abs(shown) < 100 else 0
    plain = f"{shown:.2g}" if 0 < abs(shown) <= 0.1 or abs(shown) >= 1e7 else f"{shown:,.{digits}f}"
    if "." in plain and "e" not in plain:
        plain = plain.rstrip("0").rstrip(".")
    return f"{plain} {unit.name}".rstrip()


def summary(chart: Chart) -> str:
    """What the chart shows, in a sentence: `usual 38 to 61 ms, highest 412 ms, last 390 ms`."""
    if not is_drawable(chart):
        return "nothing was measured"
    unit = unit_of(chart)
    values = [value for value in chart.curves[0].values if value is not None and measured(value)]
    said = []
    if usual := usual_of(chart):
        said.append(
            f"usual {amount(usual[0], unit).removesuffix(' ' + unit.name)} to {amount(usual[1], unit)}"
        )
    if values:
        said.append(f"highest {amount(max(values), unit)}")
        said.append(f"last {amount(values[-1], unit)}")
    else:
        said.append(f"nothing was measured of {chart.curves[0].label}")
    return ", ".join(said)


def letters(charts: Iterable[Chart]) -> Mapping[Mark, str]:
    """A letter for each change of the charts, the earliest A; the same change has the same letter in each."""
    changes = {mark for chart in charts for mark in chart.marks if mark.kind == "change"}
    ordered = sorted(changes, key=lambda mark: (mark.at, mark.what))
    return {mark: _letter(number) for number, mark in enumerate(ordered)}


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else _letter(number // 26 - 1) + _letter(number % 26)


def _date(at: float) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if 0 <= at <= _LAST_TIME else None


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(times * power for times in (1.0, 2.0, 5.0, 10.0) if times * power >= least * (1 - 1e-9))


def _label(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(value) >= 1e7 or decimals > 4:
        return f"{value:.3g}"
    return f"{value:,.{decimals}f}"


def _time_label(at: float, step: int) -> str:
    when = datetime.fromtimestamp(at, UTC)
    if at % 86400 == 0:
        return f"{when.day} {when:%b}"
    return when.strftime("%H:%M:%S" if step < 60 else "%H:%M")
