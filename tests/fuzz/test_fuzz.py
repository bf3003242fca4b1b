"""A few seconds of `make fuzz`."""

from pathlib import Path

from tests.fuzz.run import fuzz


async def test_the_daemon_outlives_hostile_tritons_clients_and_configurations(tmp_path: Path) -> None:
    outcome = await fuzz(tmp_path, seed=6, seconds=8)
    assert outcome.wrong == []
    assert min(outcome.requests, outcome.pages, outcome.looks) > 10, outcome
