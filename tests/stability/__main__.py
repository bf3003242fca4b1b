"""`python -m tests.stability`: step, ramp and bursts on the real HPA, with each signal as its target.

A run of all loads with all systems writes docs/stability.json, docs/stability.md and its drawings. Exit 1 when a run could not be
played, when a fleet did not follow its load, and when what `signals` recommends took pods from one that needed them, with
the example's behaviour."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.components import Options
from tests.controlplane.control_plane import ControlPlane
from tests.prometheus.build_tools import ensure_prometheus
from tests.stability.loads import LOADS, SMOKE, Load
from tests.stability.outcome import Outcome, downs_into_overload
from tests.stability.page import write_pages
from tests.stability.play import play
from tests.stability.reference import references
from tests.stability.systems import BEHAVIOURS, SYNC_SECONDS, SYSTEMS, Behaviour, System
from tests.stability.table import table, to_json

RECOMMENDED = ("concurrency", "guarded", "paired")
SMOKE_SYSTEMS = ("concurrency", "share", "chart")


@click.command()
@click.option(
    "--load", "loads", multiple=True, type=click.Choice([one.name for one in LOADS]), help="only these"
)
@click.option(
    "--system", "systems", multiple=True, type=click.Choice([s.name for s in SYSTEMS]), help="only these"
)
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="write the outcomes here"
)
@click.option("--smoke", is_flag=True, help="a short step on three fleets: shows that it runs")
def main(loads: tuple[str, ...], systems: tuple[str, ...], file: Path | None, smoke: bool) -> None:
    """Plays the loads."""
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.0f} s  {text}")

    chosen = [SMOKE] if smoke else [load for load in LOADS if not loads or load.name in loads]
    wanted = systems or (SMOKE_SYSTEMS if smoke else ())
    behaviours = BEHAVIOURS[:1] if smoke else BEHAVIOURS
    runs = [(s, behaviour) for s in SYSTEMS if not wanted or s.name in wanted for behaviour in behaviours]
    outcomes = asyncio.run(_play(chosen, runs, say))
    if file is not None:
        file.write_text(to_json(outcomes))
    if not (smoke or loads or systems):
        write_pages(to_json(outcomes))
    sys.exit(int(any(_is_defect(outcome) for outcome in outcomes if outcome.behaviour)))


async def _play(
    loads: Sequence[Load], runs: Sequence[tuple[System, Behaviour]], say: Callable[[str], None]
) -> list[Outcome]:
    """One load after the other, each told when it is over."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="triton-ops-stability-") as name:
        folder = Path(name)
        places = {load.name: folder / load.name for load in loads}
        for place in places.values():
            place.mkdir()
        options = Options(hpa_sync_seconds=SYNC_SECONDS)
        async with ControlPlane(ensure_tools(), folder / "control-plane", options) as control_plane:
            prometheus = ensure_prometheus()
            for load in loads:
                outcomes += references(load)
                meeting = _meeting(load, runs)
                outcomes += await play(load, meeting, control_plane, prometheus, places[load.name], say)
                click.echo(f"\n{load.name}: {load.says}\n\n{table(load, outcomes)}\n")
    return outcomes


def _meeting(load: Load, runs: Sequence[tuple[System, Behaviour]]) -> list[tuple[System, Behaviour]]:
    return [
        (system, behaviour)
        for system, behaviour in runs
        if not system.aside or (load.name == "step" and not behaviour.stabilization_seconds)
    ]


def _is_defect(outcome: Outcome) -> bool:
    """Nothing followed the load; or what is recommended, as it is recommended, made too small what the load needs."""
    load = next(load for load in (*LOADS, SMOKE) if load.name == outcome.load)
    recommended = outcome.system in RECOMMENDED and outcome.behaviour == "example"
    return not outcome.added or (recommended and downs_into_overload(outcome, load) > 0)


if __name__ == "__main__":
    main()
