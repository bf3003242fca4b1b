"""Plays rows on a stage: those that keep to themselves side by side, then the others one by one."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.controlplane.control_plane import ControlPlane
from tests.faults.adapters import Adapter
from tests.faults.outcome import Outcome
from tests.faults.play import NotRightBefore, play
from tests.faults.rows import Row
from tests.faults.stage import Stage
from tests.faults.table import cell
from tests.prometheus.build_tools import PrometheusTools


async def play_all(
    adapter: Adapter,
    rows: Sequence[Row],
    control_plane: ControlPlane,
    prometheus: PrometheusTools,
    folder: Path,
    say: Callable[[str], None],
) -> list[Outcome]:
    """Outcomes in the order of `rows`: not of those that this adapter cannot be told of, and not of those whose fleet was not right
    before the fault, which is told."""
    told = told_of(adapter, rows)

    async def play_one(row: Row) -> Outcome | None:
        try:
            outcome = await play(stage, row, say, over)
        except NotRightBefore as error:
            say(f"NOT PLAYED: {error}")
            return None
        say(f"{row.name}: over; {cell(outcome)}")
        return outcome

    async with Stage(adapter, control_plane, prometheus, folder) as stage, asyncio.TaskGroup() as group:
        say(f"{adapter.name}: ready for {len(told)} rows")
        over = asyncio.Event()
        beside = [row for row in told if not row.touches_all(adapter)]
        tasks = {row.name: group.create_task(play_one(row)) for row in told}
        await asyncio.gather(*(tasks[row.name] for row in beside))
        over.set()
        played = [await tasks[row.name] for row in told]
    return [outcome for outcome in played if outcome is not None]


def told_of(adapter: Adapter, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if adapter.asks_prometheus or not row.at_prometheus]
