"""Three rows of the outage table on the real HPA; `make faults` plays all of them with all systems, `-m accuracy` these."""

from pathlib import Path

import pytest

from tests.controlplane.control_plane import ControlPlane
from tests.faults.adapters import OurAdapter
from tests.faults.rows import ROWS, shortened
from tests.faults.run import play_all
from tests.faults.table import long
from tests.prometheus.build_tools import PrometheusTools

SMOKE = {"idle": 20.0, "mute": 12.0, "freeze": 12.0}


@pytest.mark.accuracy
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(300)
async def test_nothing_that_fails_scales_down_and_idle_does(
    control_plane: ControlPlane, prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    rows = [shortened(row, SMOKE[row.name]) for row in ROWS if row.name in SMOKE]
    found = await play_all(OurAdapter("scrape"), rows, control_plane, prometheus_tools, tmp_path, print)
    table = long(found)
    assert len(found) == len(rows)
    idle, *failing = found
    assert all(not outcome.did.wrong_downs and not outcome.did.wrong_before for outcome in found), table
    assert idle.did.replicas[-1][1] == 1, table
    assert all(outcome.did.held_seconds > 0 for outcome in failing), f"a fault that nobody felt\n{table}"
    assert all(outcome.did.right_after is not None for outcome in found), table
