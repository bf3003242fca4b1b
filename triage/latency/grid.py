"""The even grid on which evidence over time is asked for, and an answer's points laid on it. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from triage.latency.facts import Ranges, Series

STEPS = 240
MOST_STEPS = 360
MOST_CLOSE_STEPS = 1000
"""Four hours of scrapes every 15 s."""
MOST_SERIES = 2000
_BLANK = 9e18
"""Old exporters of GPUs print integers of this size where they know nothing."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was asked about, seconds since 1970."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Grid:
    start: float
    step: float
    steps: int
    window: float
    """Of rates and averages, seconds: at least four scrapes, and no gap between two steps."""
    ago: float = 0.0

    @property
    def end(self) -> float:
        return self.start + (self.steps - 1) * self.step

    @property
    def span(self) -> float:
        """Seconds that all values together cover."""
        return self.end - self.start + self.window

    def moved(self, ago: float) -> "Grid":
        """The same hours of an earlier day."""
        return replace(self, start=self.start - ago, ago=ago)


def make_grid(window: Window, scrape_interval: float, most_steps: int = MOST_STEPS) -> Grid:
    """Ends where the window does; the step is a whole multiple of the scrape interval."""
    fine = window.seconds / min(STEPS, most_steps)
    step = scrape_interval * max(1, math.ceil(round(fine / scrape_interval, 6)))
    steps = max(1, min(int(window.seconds / step) + 1, most_steps))
    return Grid(window.end - (steps - 1) * step, step, steps, max(4 * scrape_interval, step))


def close_grid(window: Window, scrape_interval: float) -> Grid | None:
    """A step for each scrape, and windows of two scrapes, since a rate needs as many; None: there would be too many steps."""
    steps = int(window.seconds / scrape_interval) + 1
    if steps > MOST_CLOSE_STEPS:
        return None
    return Grid(window.end - (steps - 1) * scrape_interval, scrape_interval, steps, 2 * scrape_interval)


def scrape_interval(times: Sequence[float]) -> float | None:
    """Seconds between the samples of one series, most of the time; None: too few to tell."""
    gaps = sorted(after - before for before, after in pairwise(times))
    if not gaps or gaps[len(gaps) // 2] <= 0:
        return None
    found = gaps[len(gaps) // 2]
    whole = max(1, round(found))
    return float(whole) if abs(found - whole) <= 0.05 * found else round(found, 3)


def on_grid(points: Iterable[tuple[float, float | None]], grid: Grid) -> tuple[float | None, ...]:
    """Six significant digits; None where there is no point, or none that says anything."""
    values: list[float | None] = [None] * grid.steps
    for at, value in points:
        place = round((at - grid.start) / grid.step)
        if 0 <= place < grid.steps and value is not None and abs(value) < _BLANK:
            values[place] = float(f"{value:.6g}")
    return tuple(values)


def make_ranges(
    measure: str,
    rows: Iterable[tuple[Mapping[str, str], Iterable[tuple[float, float | None]]]],
    grid: Grid,
    smear: float,
    warnings: Sequence[str],
) -> Ranges:
    """At most 2,000 series, the first by their labels, so that every measure keeps the same pods."""
    series = [Series(dict(labels), on_grid(points, grid)) for labels, points in rows]
    series.sort(key=lambda one: sorted(one.labels.items()))
    return Ranges(
        measure=measure,
        start=grid.start,
        step=grid.step,
        steps=grid.steps,
        smear=smear,
        series=tuple(series[:MOST_SERIES]),
        ago=grid.ago,
        cut=len(series) > MOST_SERIES,
        warnings=tuple(dict.fromkeys(warnings)),
    )
