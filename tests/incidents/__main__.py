"""Runs real incidents: `python -m tests.incidents NAME... --out FOLDER`, or `--all`. Prints a line for each."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from tests.controlplane.build_tools import ensure_tools
from tests.incidents.catalogue import INCIDENTS
from tests.incidents.observer import record_pages
from tests.incidents.run_incident import CannotRunIncident, run_incident
from tests.incidents.triaged import triaged_by
from tests.prometheus.build_tools import ensure_prometheus
from tests.tritons.install import CannotRunTriton, ensure_triton


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.incidents", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*map(str, INCIDENTS), []], help="which")
    parser.add_argument("--all", action="store_true", help="every incident there is")
    parser.add_argument("--out", type=Path, required=True, help="gets a folder for each")
    parser.add_argument("--baseline", type=float, default=90.0, help="seconds of calm")
    parser.add_argument("--incident", type=float, help="seconds of incident, instead of what each needs")
    parser.add_argument("--jobs", type=int, default=2, help="at the same time, in a process each")
    parser.add_argument(
        "--triage",
        action="store_true",
        help="in a cluster, watched by a Prometheus, and ask triton-triage at the end",
    )
    parser.add_argument(
        "--earlier", type=Path, help="folder of a run that was the same hour a day and a week ago"
    )
    arguments = parser.parse_args()
    names = [str(each) for each in INCIDENTS] if arguments.all else arguments.names
    if not names:
        parser.error("name an incident, or give --all")
    try:
        ensure_triton()
    except CannotRunTriton as problem:
        print(problem, file=sys.stderr)
        return 2
    if len(names) == 1:
        return asyncio.run(_run(names[0], arguments))
    return asyncio.run(_run_all(names, arguments))


async def _run_all(names: list[str], arguments: argparse.Namespace) -> int:
    """A process each, so that one incident's client never waits for another's."""
    free = asyncio.Semaphore(arguments.jobs)

    async def one(name: str) -> int:
        async with free:
            options = ["--out", str(arguments.out), "--baseline", str(arguments.baseline)]
            options += ["--incident", str(arguments.incident)] if arguments.incident else []
            options += ["--triage"] if arguments.triage else []
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.incidents", name, *options
            )
            return await process.wait()

    return max(await asyncio.gather(*map(one, names)))


async def _run(name: str, arguments: argparse.Namespace) -> int:
    incident = next(each for each in INCIDENTS if each.id == name)
    try:
        _, result = await run_incident(
            incident,
            ensure_triton(),
            arguments.out.resolve() / name,
            baseline_seconds=arguments.baseline,
            incident_seconds=arguments.incident,
            observer=triaged_by(ensure_prometheus(), arguments.earlier, incident.page_names)
            if arguments.triage
            else record_pages,
            control_plane=ensure_tools() if arguments.triage else None,
        )
    except CannotRunIncident as problem:
        print(problem, file=sys.stderr)
        return 2
    except FileExistsError:
        print(f"{arguments.out / name} is there already: remove it, or name another --out", file=sys.stderr)
        return 2
    before, during = result["baseline"], result["incident"]
    words = "proven" if result["proven"] else "NOT PROVEN"
    print(
        f"{name:24} {words:10} p99 {before['p99_ms']} -> {during['p99_ms']} ms, p50 {before['p50_ms']} -> {during['p50_ms']}"
    )
    for check in result["checks"]:
        print(
            f"    {'yes' if check['holds'] else 'NO '} {check['says']}: {json.dumps(check['measured'])}",
            flush=True,
        )
    return 0 if result["proven"] else 1


if __name__ == "__main__":
    sys.exit(main())
