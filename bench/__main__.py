"""`python -m bench`: how fast the autoscaler's two hot paths are, against what people would have without them, and how long
somebody waits for `triton-triage p99` on a large fleet.

Exit 1 when the parser is not at least 20 times as fast as prometheus_client on known series, or when triage is late or does not
name the cause that the evidence holds."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import structlog

from bench.api import ApiResult, measure_api
from bench.fleet import Fleet
from bench.machine import describe_machine
from bench.models import ModelsResult, measure_models
from bench.parser import LEAST_RATIO, MODELS, ParserResult, measure_parser
from bench.triage.measure import GOALS, Sources, TriageResult, measure_triage

_SAID = {
    "healthy": "sources healthy",
    "late": "every answer 2 to 5 s late",
    "hanging": "one in ten of Prometheus' ranges never answered",
}


@click.command()
@click.option("--smoke", is_flag=True, help="few rounds, small fleets: only shows that it runs")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="write the results here too"
)
def main(smoke: bool, json_file: Path | None) -> None:
    """Measures the parser, the external metrics API and triage. Each number: median (least to most) of its rounds."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    machine = describe_machine()
    click.echo("  ".join(f"{name}: {text}" for name, text in machine.items()))
    parser = measure_parser(rounds=9 if smoke else 15)
    click.echo(_say_parser(parser))
    fleets = (Fleet(20, 10), Fleet(40, 25)) if smoke else (Fleet(20, 10), Fleet(200, 50))
    rounds, seconds = (3, 0.4) if smoke else (7, 2.0)
    api = []
    for fleet in fleets:
        api.append(asyncio.run(measure_api(fleet, rounds=rounds, seconds=seconds)))
        click.echo(_say_api(api[-1]))
    models = []
    for fleet in fleets:
        models.append(asyncio.run(measure_models(fleet, rounds=rounds)))
        click.echo(_say_models(models[-1]))
    triage = asyncio.run(_measure_triage(smoke=smoke))
    if json_file is not None:
        found = {"machine": machine, "smoke": smoke, "parser": asdict(parser)}
        found |= {
            "api": [*map(asdict, api)],
            "models": [*map(asdict, models)],
            "triage": [*map(asdict, triage)],
        }
        json_file.write_text(json.dumps(found, indent=2) + "\n")
    missed = [] if smoke else [*_missed(parser, triage)]  # a few rounds beside other work are no measurement
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
        click.echo(_say_triage(one))
        found.append(one)
    return found


def _missed(parser: ParserResult, triage: Sequence[TriageResult]) -> Iterator[str]:
    if not parser.fast_enough:
        yield f"the parser is less than {LEAST_RATIO:g} times as fast as prometheus_client"
    for one in triage:
        if not one.in_time:
            yield f"triton-triage p99 is later than its goal with {_SAID[one.sources]}"
        if one.told < one.report_s.runs:
            yield f"triton-triage p99 does not name the cause with {_SAID[one.sources]}"


def _say_parser(found: ParserResult) -> str:
    return f"""
parser, {MODELS} models: {found.lines} lines, {found.samples} samples, {found.page_bytes / 1e6:.1f} MB; identical samples
  prometheus_client   {found.reference_ms:8.2f} ms
  first scrape        {found.cold_ms:8.2f} ms   {found.cold_ratio:.1f} times as fast
  later scrapes       {found.warm_ms:8.2f} ms   {found.warm_ratio:.1f} times as fast"""


def _say_api(found: ApiResult) -> str:
    return f"""
GET over TLS, {found.fleet}, {found.connections} connections, {found.body_bytes} bytes; the signal alone {found.answer_us:.0f} µs
                      ours                          bare handler                  ours / bare
  requests a second   {found.per_second!s:28}  {found.bare_per_second!s:28}  {found.per_second_ratio:.2f}
  p50 ms              {found.p50_ms!s:28}  {found.bare_p50_ms!s:28}  {found.p50_ratio:.2f}
  p99 ms              {found.p99_ms!s:28}  {found.bare_p99_ms!s:28}  {found.p99_ratio:.2f}"""


def _say_models(found: ModelsResult) -> str:
    return f"""
models' states, {found.fleet}: {found.series} series, {found.page_bytes / 1e6:.1f} MB
                      CPU ms                        longest that the event loop was late, ms
  one look at all     {found.look_cpu_ms!s:28}  {found.look_late_ms!s}
  one page            {found.page_cpu_ms!s:28}  {found.page_late_ms!s}"""


def _say_triage(found: TriageResult) -> str:
    first_goal, report_goal = GOALS[found.sources]
    return f"""
triton-triage p99, {found.fleet}, {_SAID[found.sources]}; the cause named in {found.told} of {found.report_s.runs} rounds
  first line s        {found.first_line_s!s:28}  {found.first_line_ratio:.2f} of the goal, {first_goal:g}
  report s            {found.report_s!s:28}  {found.report_ratio:.2f} of the goal, {report_goal:g}"""


if __name__ == "__main__":
    main()
