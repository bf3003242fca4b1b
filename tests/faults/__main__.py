"""`python -m tests.faults`: what the real HPA does while something fails, with each system that gives it values.

A run of all rows with all systems writes docs/faults.json, docs/faults.md and the README's table. Exit 1 when the project's own
autoscaler let the HPA scale down wrongly, or did not let it when it had to; when pods fell silent and nobody felt it; and when a
row could not be played."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.components import Options
from tests.controlplane.control_plane import ControlPlane
from tests.e2e.fleet import WINDOW
from tests.faults.adapters import Adapter, OurAdapter
from tests.faults.keda import Keda
from tests.faults.keda_build import ensure_keda
from tests.faults.outcome import Outcome
from tests.faults.page import write_pages
from tests.faults.rows import ROWS, Row, shortened
from tests.faults.run import play_all, told_of
from tests.faults.table import long, short, to_json
from tests.prometheus.build_tools import ensure_prometheus

SYSTEMS = ("scrape", "prometheus", "auto", "keda")
SMOKE = {"idle": 20.0, "mute": 12.0, "freeze": 12.0}
"""Seconds of the rows that show in a minute and a half that all of this runs."""
SYNC_SECONDS = 2.0
CONDITIONS = {"hpa_sync_seconds": SYNC_SECONDS, "window_seconds": WINDOW, "scrape_interval_seconds": 1.0}


@click.command()
@click.option(
    "--system", "systems", multiple=True, type=click.Choice(SYSTEMS), help="only these; all by default"
)
@click.option(
    "--row", "rows", multiple=True, type=click.Choice([row.name for row in ROWS]), help="only these"
)
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="write the outcomes here too"
)
@click.option("--smoke", is_flag=True, help="three short rows with our scrapes: shows that it runs")
def main(systems: tuple[str, ...], rows: tuple[str, ...], file: Path | None, smoke: bool) -> None:
    """Plays the outage table."""
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.0f} s  {text}")

    if smoke:
        systems, rows = systems or ("scrape",), rows or tuple(SMOKE)
    chosen = [row for row in ROWS if not rows or row.name in rows]
    if smoke:
        chosen = [shortened(row, SMOKE.get(row.name, row.seconds)) for row in chosen]
    outcomes: list[Outcome] = []
    missing = 0
    for system in systems or SYSTEMS:
        adapter = _adapter(system)
        found = asyncio.run(_play(adapter, chosen, say))
        click.echo(f"\n{long(found)}\n")
        outcomes += found
        missing += len(told_of(adapter, chosen)) - len(found)
    click.echo(short(outcomes))
    told = to_json(outcomes, CONDITIONS)
    if file is not None:
        file.write_text(json.dumps(told, indent=1) + "\n")
    if not systems and not rows and not missing:
        write_pages(told)
    sys.exit(int(bool(missing) or any(map(_is_defect, outcomes))))


async def _play(adapter: Adapter, rows: Sequence[Row], say: Callable[[str], None]) -> list[Outcome]:
    """On a control plane of its own: each system needs the one place for external metrics."""
    with tempfile.TemporaryDirectory(prefix="triton-ops-faults-") as name:
        folder = Path(name)
        options = Options(hpa_sync_seconds=SYNC_SECONDS)
        async with ControlPlane(ensure_tools(), folder / "control-plane", options) as control_plane:
            return await play_all(adapter, rows, control_plane, ensure_prometheus(), folder, say)


def _adapter(system: str) -> Adapter:
    return Keda(ensure_keda()) if system == "keda" else OurAdapter(system)


def _is_defect(outcome: Outcome) -> bool:
    """Of the project's own autoscaler."""
    if not outcome.system.startswith("triton-autoscaler"):
        return False
    idle_held = outcome.row == "idle" and outcome.did.replicas[-1][1] != 1
    wrong = outcome.did.wrong_downs or outcome.did.wrong_before
    unfelt = outcome.row in ("mute", "freeze") and not outcome.did.held_seconds
    return bool(wrong) or idle_held or outcome.did.right_after is None or unfelt


if __name__ == "__main__":
    main()
