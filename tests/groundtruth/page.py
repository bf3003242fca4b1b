"""The tables of docs/accuracy.md, out of what the scenarios found."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.groundtruth.nvidia import CHART, TUTORIAL, Rule
from tests.groundtruth.versus import OURS, Side, SignalError

PAGE: Final = Path(__file__).parents[2] / "docs" / "accuracy.md"
MARKS: Final = ("<!-- accuracy: made by `make groundtruth` -->", "<!-- accuracy end -->")


def write_page(sides: Sequence[Side], errors: Sequence[SignalError]) -> None:
    begin, end = MARKS
    before, _, rest = PAGE.read_text().partition(begin)
    after = rest.partition(end)[2]
    PAGE.write_text(f"{before}{begin}\n{tables(sides, errors)}\n{end}{after}")


def tables(sides: Sequence[Side], errors: Sequence[SignalError]) -> str:
    return "\n\n".join(
        [
            "## Queue to compute: `triton:queue_compute:ratio` beside the tutorial's rule",
            _beside(sides, TUTORIAL, "{:.3g}"),
            "## Time in the queue: `avg_time_queue_us` beside the chart's rule",
            _beside(sides, CHART, "{:,.0f}"),
            "## Every signal",
            _every_signal(errors),
        ]
    )


def _beside(sides: Sequence[Side], rule: Rule, number: str) -> str:
    of = [side for side in sides if side.signal == rule.signal]
    lines = [
        f"| scenario | truth, {rule.window:.0f} s | ours | error | {rule.name} | error |",
        "|---|---|---|---|---|---|",
    ]
    for scenario in dict.fromkeys(side.scenario for side in of):
        ours, theirs = (
            next(side for side in of if (side.scenario, side.by) == (scenario, by))
            for by in (OURS, rule.name)
        )
        cells = [scenario, number.format(ours.truth), *_cells(ours, number), *_cells(theirs, number)]
        lines.append(f"| {' | '.join(cells)} |")
    worst = {by: max((side.error for side in of if side.by == by), default=0.0) for by in (OURS, rule.name)}
    lines.append(
        f"| **largest mean error** | | | **{_share(worst[OURS])}** | | **{_share(worst[rule.name])}** |"
    )
    return "\n".join(lines)


def _cells(side: Side, number: str) -> tuple[str, str]:
    if math.isnan(side.value):
        return "says nothing", ""
    silent = f", silent {side.silent} of {side.moments}" if side.silent else ""
    return (
        number.format(side.value),
        f"{_share(side.error)}, worst {_share(side.worst)}{silent}",
    )


def _every_signal(errors: Sequence[SignalError]) -> str:
    scenarios = list(dict.fromkeys(error.scenario for error in errors))
    found = {(error.scenario, error.signal): error for error in errors}
    lines = [
        f"| signal | {' | '.join(scenarios)} | answers | outside |",
        "|---" * (len(scenarios) + 3) + "|",
    ]
    for signal in dict.fromkeys(error.signal for error in errors):
        row = [found.get((scenario, signal)) for scenario in scenarios]
        cells = ["" if error is None else _share(error.error) for error in row]
        counts = [sum(getattr(e, name) for e in row if e is not None) for name in ("answers", "outside")]
        lines.append(f"| `{signal}` | {' | '.join(cells)} | {counts[0]} | {counts[1]} |")
    return "\n".join(lines)


def _share(error: float) -> str:
    percent = error * 100
    return "0" if percent < 0.005 else f"{percent:.2g} %" if percent < 10 else f"{percent:,.0f} %"
