"""`python -m tests.groundtruth`: every signal against the truth, beside NVIDIA's rules, on real Tritons and a real Prometheus.

A run of all scenarios writes docs/accuracy.md. Exit 1 when an answer was further from the truth than tolerated, when there was none
for another reason than the scenario's own, or when the load was not the scenario's."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import structlog

from tests.groundtruth.compare import AllCompared, compare_all, silences
from tests.groundtruth.fleet import LoadWasLate, Run, play
from tests.groundtruth.page import tables, write_page
from tests.groundtruth.report import report
from tests.groundtruth.scenario import ROUNDS, SIGNALS, Scenario
from tests.groundtruth.versus import Side, SignalError, sides, signal_errors
from tests.prometheus.build_tools import ensure_prometheus
from tests.tritons.install import ensure_triton

NAMES = [scenario.name for together in ROUNDS for scenario in together]


@click.command()
@click.option("--scenario", "names", multiple=True, type=click.Choice(NAMES), help="only these")
def main(names: tuple[str, ...]) -> None:
    """Plays the scenarios, several at a time."""
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    began = time.monotonic()
    found_sides: list[Side] = []
    found_errors: list[SignalError] = []
    wrong: list[str] = []
    for together in ROUNDS:
        chosen = [scenario for scenario in together if not names or scenario.name in names]
        for run in asyncio.run(_play(chosen)):
            if isinstance(run, LoadWasLate):
                wrong.append(str(run))
                continue
            compared = compare_all(run)
            found_sides += sides(run) if run.scenario.signals == SIGNALS else []
            found_errors += signal_errors(run.scenario, compared)
            wrong += [f"{run.scenario.name}: {miss}" for miss in _misses(run, compared)]
        click.echo(f"{time.monotonic() - began:6.0f} s")
    click.echo(f"\n{tables(found_sides, found_errors)}\n")
    for line in wrong:
        click.echo(line)
    if len({error.scenario for error in found_errors}) == len(NAMES):
        write_page(found_sides, found_errors)
    sys.exit(int(bool(wrong)))


async def _play(scenarios: Sequence[Scenario]) -> list[Run | LoadWasLate]:
    """All at once; one that was late for it, once more alone."""
    found = {scenario.name: one for scenario, one in zip(scenarios, await _together(scenarios), strict=True)}
    for scenario in scenarios:
        if isinstance(late := found[scenario.name], LoadWasLate):
            click.echo(f"{late}; once more, alone")
            [found[scenario.name]] = await _together([scenario])
    return list(found.values())


async def _together(scenarios: Sequence[Scenario]) -> list[Run | LoadWasLate]:
    install, prometheus = ensure_triton(), ensure_prometheus()

    async def one(scenario: Scenario, folder: Path) -> Run | LoadWasLate:
        try:
            return await play(scenario, install, folder, prometheus)
        except LoadWasLate as late:
            return late

    with tempfile.TemporaryDirectory(prefix="triton-ops-groundtruth-") as name:
        folders = [Path(name) / str(number) for number in range(len(scenarios))]
        return await asyncio.gather(*map(one, scenarios, folders))


def _misses(run: Run, compared: AllCompared) -> list[str]:
    unexpected = {
        f"{signal}: {reason}": count
        for (signal, reason), count in silences(run).items()
        if reason not in run.scenario.silences
    }
    return [
        *report(run, compared),
        *(f"{count} answers without a value: {reason}" for reason, count in unexpected.items()),
    ]


if __name__ == "__main__":
    main()
