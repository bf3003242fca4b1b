"""`python -m tests.hpa`: telemetry/hpa.py beside the real HPA controller, sync by sync, in random scenarios.

Exit 1 where the two disagree, or where too few syncs could be compared."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import click

from telemetry.hpa import decide
from tests.controlplane.build_tools import ensure_tools
from tests.hpa.directed import directed
from tests.hpa.proof import prove, report
from tests.hpa.scenario import generate, told
from tests.hpa.stage import open_stage


@click.command()
@click.option(
    "--scenarios", "count", default=300, show_default=True, help="random ones; those by hand come with them"
)
@click.option("--seed", default=1, show_default=True, help="the same seed gives the same scenarios")
@click.option("--at-once", default=77, show_default=True, help="HPAs in the control plane at one time")
def main(count: int, seed: int, at_once: int) -> None:
    """Plays the scenarios and compares."""
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.0f} s  {text}")

    async def run() -> bool:
        scenarios = [*directed(), *(generate(seed, number) for number in range(count))]
        say(f"seed {seed}: {told(scenarios)}")
        with tempfile.TemporaryDirectory(prefix="triton-ops-hpa-") as folder:
            async with open_stage(ensure_tools(), Path(folder)) as stage:
                proof = await prove(stage, scenarios, at_once=at_once, say=say)
        verdicts = proof.verdicts(decide)
        failures = proof.failures(verdicts)
        say(report(proof, verdicts))
        for failure in failures:
            say(failure)
        return not failures

    sys.exit(0 if asyncio.run(run()) else 1)


if __name__ == "__main__":
    main()
