"""`python -m bench`: how fast the autoscaler's hot paths are, what its two sources cost and how soon they let the HPA see a change,
against what people would have without them, and how long somebody waits for `triton-triage` on a large fleet.

Exit 1 when the parser is not at least 20 times as fast as prometheus_client on known series, when a question takes more than three
times as long as it takes a bare handler (p99), when the daemon takes more than half a core or 250 MB beside a thousand pods, when
triton-gpu-agent takes more than half a percent of a core, when Prometheus is asked more often for more HPAs, or when triage is late
or does not name the cause that the evidence holds."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import structlog

from bench.api import measure_api
from bench.daemon_cost import measure_daemon
from bench.evaluation import measure_evaluation
from bench.fleet import Fleet
from bench.gets import measure_gets
from bench.gpu_agent import measure_gpu_agent
from bench.loadfailure.fleet import FailingFleet
from bench.loadfailure.measure import measure_load_failure
from bench.logs import measure_logs, say_logs, too_much_memory
from bench.machine import describe_machine
from bench.models import measure_models
from bench.parser import LEAST_RATIO, measure_parser
from bench.say import (
    SAID,
    say_api,
    say_daemon,
    say_delays,
    say_evaluation,
    say_gets,
    say_gpu_agent,
    say_load_failure,
    say_models,
    say_parser,
    say_queries,
    say_ticks,
    say_triage,
)
from bench.sources.delays import measure_delays
from bench.sources.pace import DEFAULTS, FAST
from bench.sources.queries import NAMES, System, is_flat, measure_queries
from bench.sources.ticks import FAST_TICKS, TickPace, measure_ticks
from bench.triage.measure import Sources, TriageResult, measure_triage
from tests.manypods.server import ManyPods


class Run:
    """What is measured in this run: small if `smoke`, which only shows that it runs."""

    def __init__(self, *, smoke: bool) -> None:
        self.smoke = smoke
        self._fleets = (Fleet(20, 10), Fleet(40, 25)) if smoke else (Fleet(20, 10), Fleet(200, 50))
        self.missed: list[str] = []
        """Goals."""
        self.broken: list[str] = []
        """What is wrong however small and busy the run."""

    def parser(self) -> Any:
        found = measure_parser(rounds=9 if self.smoke else 15)
        click.echo(say_parser(found))
        if not found.fast_enough:
            self.missed.append(f"the parser is less than {LEAST_RATIO:g} times as fast as prometheus_client")
        return asdict(found)

    def api(self) -> Any:
        rounds, seconds = (3, 0.4) if self.smoke else (7, 2.0)
        found = []
        for fleet in self._fleets:
            found.append(asyncio.run(measure_api(fleet, rounds=rounds, seconds=seconds)))
            click.echo(say_api(found[-1]))
        return [*map(asdict, found)]

    def gets(self) -> Any:
        per_second, rounds, seconds = (100.0, 2, 1.0) if self.smoke else (300.0, 9, 10.0)
        found = asyncio.run(measure_gets(self._fleets[-1], per_second, rounds=rounds, seconds=seconds))
        click.echo(say_gets(found))
        self.missed += found.missed
        return asdict(found)

    def daemon(self) -> Any:
        pods, rounds, interval = (
            (ManyPods(30, 3, 10), 2, 3.0) if self.smoke else (ManyPods(1000, 20), 8, 15.0)
        )
        found = asyncio.run(measure_daemon(pods, rounds, interval=interval))
        click.echo(say_daemon(found))
        self.missed += found.missed
        return asdict(found)

    def gpu_agent(self) -> Any:
        rounds, seconds = (1, 10.0) if self.smoke else (5, 60.0)
        found = asyncio.run(measure_gpu_agent(rounds, seconds=seconds))
        click.echo(say_gpu_agent(found))
        self.missed += found.missed
        return asdict(found)

    def evaluation(self) -> Any:
        pods, rounds = (ManyPods(30, 3, 10), 2) if self.smoke else (ManyPods(1000, 20), 7)
        found = asyncio.run(measure_evaluation(pods, rounds))
        click.echo(say_evaluation(found))
        return asdict(found)

    def models(self) -> Any:
        found = []
        for fleet in self._fleets:
            found.append(asyncio.run(measure_models(fleet, rounds=3 if self.smoke else 7)))
            click.echo(say_models(found[-1]))
        return [*map(asdict, found)]

    def queries(self) -> Any:
        if self.smoke:
            small: Mapping[System, Sequence[int]] = {"prometheus": (1, 5)}
            found = asyncio.run(measure_queries(Fleet(2, 3), small, 2.0, FAST))
        else:
            found = asyncio.run(measure_queries(Fleet(20, 50), _HPAS, 60.0, DEFAULTS))
        click.echo(say_queries(found))
        for system in ("scrape", "prometheus"):
            ours = [one for one in found if one.system == system]
            if ours and not is_flat(ours):
                self.missed.append(f"{NAMES[system]} asks Prometheus more often for more HPAs")
        return [*map(asdict, found)]

    def ticks(self) -> Any:
        fleet, rounds, pace = (Fleet(8, 5), 2, FAST_TICKS) if self.smoke else (Fleet(200, 50), 7, TickPace())
        found = asyncio.run(measure_ticks(fleet, rounds, pace))
        click.echo(say_ticks(found))
        return asdict(found)

    def delays(self) -> Any:
        pace = FAST if self.smoke else DEFAULTS
        fleets, steps = (2, 1) if self.smoke else (16, 4)
        found = asyncio.run(measure_delays(fleets=fleets, steps=steps, pace=pace, keda=not self.smoke))
        click.echo(say_delays(found, pace.hpa_sync))
        return [*map(asdict, found)]

    def loadfailure(self) -> Any:
        fleet, rounds = (FailingFleet(10), 1) if self.smoke else (FailingFleet(200), 5)
        found = asyncio.run(measure_load_failure(fleet, rounds))
        for one in found:
            click.echo(say_load_failure(one))
            if not one.in_time:
                self.missed.append(
                    f"triton-triage load-failure is later than its goal, asked for {one.asked}"
                )
            if one.told < one.report_s.runs:
                self.missed.append(f"triton-triage load-failure does not tell all, asked for {one.asked}")
        return [*map(asdict, found)]

    def logs(self) -> Any:
        found = list(measure_logs((10, 100) if self.smoke else (10, 1000)))
        click.echo(say_logs(found))
        self.broken += too_much_memory(found)
        return [*map(asdict, found)]

    def triage(self) -> Any:
        found = asyncio.run(_measure_triage(smoke=self.smoke))
        self.missed += _late_or_wrong(found)
        return [*map(asdict, found)]


_HPAS: Final[Mapping[System, Sequence[int]]] = {
    "scrape": (1, 100, 1000),
    "prometheus": (1, 100, 1000),
    "keda": (1, 100),
}
"""KEDA makes one or two of its HPAs a second at its default rate of requests to the API server: a thousand would take ten
minutes."""
_PARTS: Final[Mapping[str, Callable[[Run], Any]]] = {
    "parser": Run.parser,
    "api": Run.api,
    "gets": Run.gets,
    "daemon": Run.daemon,
    "gpuagent": Run.gpu_agent,
    "evaluation": Run.evaluation,
    "models": Run.models,
    "queries": Run.queries,
    "ticks": Run.ticks,
    "delays": Run.delays,
    "loadfailure": Run.loadfailure,
    "logs": Run.logs,
    "triage": Run.triage,
}


def _chosen(context: click.Context, parameter: click.Parameter, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in _PARTS]:
        raise click.BadParameter(f"there is no {unknown[0]!r}; there are {', '.join(_PARTS)}")
    return [name for name in _PARTS if name in names]


@click.command()
@click.option("--smoke", is_flag=True, help="few rounds, small fleets, without KEDA: only shows that it runs")
@click.option(
    "--only",
    "parts",
    default=",".join(_PARTS),
    callback=_chosen,
    metavar="PART,...",
    help=f"of {', '.join(_PARTS)}; all by default",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="write the results here too"
)
def main(smoke: bool, parts: list[str], json_file: Path | None) -> None:
    """Measures the parser, the external metrics API, the daemon, the sources and triage. Each number: median (least to most) of its
    rounds."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    machine = describe_machine()
    click.echo("  ".join(f"{name}: {text}" for name, text in machine.items()))
    run = Run(smoke=smoke)
    found = {"machine": machine, "smoke": smoke} | {part: _PARTS[part](run) for part in parts}
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n")
    missed = (
        run.broken if smoke else run.broken + run.missed
    )  # a few rounds beside other work are no measurement
    for goal in missed:
        click.echo(goal, err=True)
    sys.exit(int(bool(missed)))


async def _measure_triage(*, smoke: bool) -> list[TriageResult]:
    fleet = Fleet(8, 2) if smoke else Fleet(200, 5)
    rounds: dict[Sources, int] = (
        {"healthy": 1, "late": 1, "hanging": 1} if smoke else {"healthy": 7, "late": 3, "hanging": 3}
    )
    found = []
    async for one in measure_triage(fleet, rounds):
        click.echo(say_triage(one))
        found.append(one)
    return found


def _late_or_wrong(triage: Sequence[TriageResult]) -> Iterator[str]:
    for one in triage:
        if not one.in_time:
            yield f"triton-triage p99 is later than its goal with {SAID[one.sources]}"
        if one.told < one.report_s.runs:
            yield f"triton-triage p99 does not name the cause with {SAID[one.sources]}"


if __name__ == "__main__":
    main()
