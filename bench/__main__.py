"""`python -m bench`: how fast the two hot paths are, against what people would have without them.

Exit 1 when the parser is not at least 20 times as fast as prometheus_client on known series."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
import structlog

from bench.api import ApiResult, measure_api
from bench.fleet import Fleet
from bench.machine import describe_machine
from bench.parser import LEAST_RATIO, MODELS, ParserResult, measure_parser


@click.command()
@click.option("--smoke", is_flag=True, help="few rounds, small fleets: only shows that it runs")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="write the results here too"
)
def main(smoke: bool, json_file: Path | None) -> None:
    """Measures the parser and the external metrics API. Each number: median (least to most) of its rounds."""
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
    if json_file is not None:
        found = {"machine": machine, "smoke": smoke, "parser": asdict(parser), "api": [*map(asdict, api)]}
        json_file.write_text(json.dumps(found, indent=2) + "\n")
    if not smoke and not parser.fast_enough:  # a few rounds beside other work are no measurement
        click.echo(f"the parser is less than {LEAST_RATIO:g} times as fast as prometheus_client", err=True)
        sys.exit(1)


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


if __name__ == "__main__":
    main()
