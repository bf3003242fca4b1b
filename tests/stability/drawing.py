"""A load's runs as one SVG: what the load asks for, the replicas that the HPA wanted and those that were ready, and the seconds
over the objective. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Final

from tests.stability.fleet_queue import MEAN_OBJECTIVE
from tests.stability.loads import Load
from tests.stability.outcome import Outcome
from tests.stability.systems import MAX_REPLICAS
from tests.stability.table import said_of, says

COLUMNS: Final = 2
WIDTH: Final = 440
HEIGHT: Final = 120
LEFT: Final = 34
TOP: Final = 50
GAP: Final = 40
STRIP: Final = 6
"""Height of the line of seconds over the objective, under the replicas."""
COLOURS: Final = {
    "asked": "#d5d9de",
    "wanted": "#0b5fb4",
    "ready": "#2c9a5b",
    "over": "#c8102e",
    "text": "#24292f",
}
LEGEND: Final = (
    ("asked", "pods that the load keeps half busy"),
    ("wanted", "replicas that the HPA wants"),
    ("ready", "pods ready"),
    ("over", "seconds over the objective"),
)


def draw(load: Load, outcomes: Sequence[Outcome]) -> str:
    """Two panels a row, in the order of the outcomes."""
    found = [one for one in outcomes if one.load == load.name and one.behaviour]
    height = TOP + math.ceil(len(found) / COLUMNS) * (HEIGHT + GAP)
    width = COLUMNS * (WIDTH + LEFT) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="10">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<defs><path id="asked" d="{_asked(load)}" fill="{COLOURS["asked"]}"/></defs>',
        *_legend(),
    ]
    for place, outcome in enumerate(found):
        row, column = divmod(place, COLUMNS)
        lines.append(
            f'<g transform="translate({LEFT + column * (WIDTH + LEFT)},{TOP + row * (HEIGHT + GAP)})">'
        )
        title = f"{_short(says(outcome.system))}; {said_of(outcome.behaviour)}"
        lines.append(f'<text x="0" y="-5" fill="{COLOURS["text"]}">{escape(title)}</text>')
        lines += [*_panel(load, outcome), "</g>"]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(load: Load, outcome: Outcome) -> Iterable[str]:
    def x(at: float) -> float:
        return at / load.seconds * WIDTH

    def y(replicas: float) -> float:
        return HEIGHT * (1 - replicas / MAX_REPLICAS)

    for count in range(0, MAX_REPLICAS + 1, 5):
        yield f'<path d="M0 {y(count):.0f}H{WIDTH}" stroke="#eeeeee"/>'
        yield f'<text x="-4" y="{y(count) + 4:.0f}" text-anchor="end" fill="{COLOURS["text"]}">{count}</text>'
    yield '<use href="#asked"/>'
    for kind, read in _LINES:
        steps = [(x(step.at), y(read(step.wanted, step.ready))) for step in outcome.steps]
        path = f"M{steps[0][0]:.1f} {steps[0][1]:.1f}" + "".join(f"H{a:.1f}V{b:.1f}" for a, b in steps[1:])
        yield f'<path d="{path}H{WIDTH}" fill="none" stroke="{COLOURS[kind]}" stroke-width="1.5"/>'
    for since, until in _over(outcome.waits_ms):
        place = f'x="{x(since):.1f}" y="{HEIGHT + 2}" width="{x(until - since):.1f}" height="{STRIP}"'
        yield f'<rect {place} fill="{COLOURS["over"]}"/>'
    for at in range(0, round(load.seconds) + 1, 60):
        yield (
            f'<text x="{x(at):.0f}" y="{HEIGHT + STRIP + 13}" text-anchor="middle" fill="{COLOURS["text"]}">{at} s</text>'
        )


_LINES: Final[tuple[tuple[str, Callable[[int, int], int]], ...]] = (
    ("ready", lambda wanted, ready: ready),
    ("wanted", lambda wanted, ready: wanted),
)


def _over(waits_ms: Sequence[int | None]) -> Iterable[tuple[int, int]]:
    """From which second until which it was over the objective."""
    over = [wait is None or wait > MEAN_OBJECTIVE * 1000 for wait in waits_ms]
    for bad, seconds in groupby(range(len(over)), key=over.__getitem__):
        together = list(seconds)
        if bad:
            yield together[0], together[-1] + 1


def _asked(load: Load) -> str:
    """The area under the pods that the load asks for, the same in each panel."""
    heights = [HEIGHT * (1 - load.pods(at) / MAX_REPLICAS) for at in range(round(load.seconds) + 1)]
    points = [f"L{at / load.seconds * WIDTH:.1f} {y:.1f}" for at, y in enumerate(heights)]
    return f"M0 {HEIGHT}{''.join(points)}V{HEIGHT}Z"


def _short(said: str) -> str:
    """Without what every title has."""
    for word in ("`", "triton_", "AverageValue ", "Value "):
        said = said.replace(word, "")
    return said


def _legend() -> Iterable[str]:
    for place, (kind, said) in enumerate(LEGEND):
        x = LEFT + place * 210
        yield f'<rect x="{x}" y="10" width="14" height="8" fill="{COLOURS[kind]}"/>'
        yield f'<text x="{x + 19}" y="18" fill="{COLOURS["text"]}">{escape(said)}</text>'
