"""`triton-autoscaler`: results on stdout, talk on stderr; exit 0 done, 2 usage, 3 could not look or cannot tell.

Commands import what they need themselves: `--help` must answer at once, and the Kubernetes client alone takes 0.7 s to import.
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscaler.signal import Signal
    from telemetry.gateways.kind import GatewayKind
    from telemetry.gpu_exporters.exporter import GpuExporter

CANNOT_TELL = 3

_rules = click.option(
    "--rules",
    "rules_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of rules to use instead of the one that ships with the program.",
)
_output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
_kubeconfig = click.option("--kubeconfig", metavar="FILE", help="Kubeconfig file, as for kubectl.")
_context = click.option("--context", metavar="NAME", help="Context of the kubeconfig.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="triton-ops", prog_name="triton-autoscaler")
def main() -> None:
    """Serve what NVIDIA Triton fleets should be scaled on to a plain HPA, as external metrics."""


@main.command()
@click.option("-c", "--config", "config_file", required=True, type=click.Path(path_type=Path, dir_okay=False))
@_rules
@_kubeconfig
@_context
def serve(config_file: Path, rules_folder: Path | None, kubeconfig: str | None, context: str | None) -> None:
    """Run the daemon."""
    from autoscaler.reload import Files
    from autoscaler.serve import serve as run
    from telemetry.kubernetes_api import KubernetesError
    from telemetry.located_yaml import InvalidFileError
    from telemetry.logs import configure_logs
    from telemetry.rules_dir import rules_dir

    files = Files(config_file, (rules_folder or rules_dir()) / "signals")
    try:
        loaded = files.read()
    except InvalidFileError as error:
        _fail(str(error), 2)
    configure_logs()
    try:
        asyncio.run(run(loaded, files, kubeconfig=kubeconfig, context=context))
    except* KubernetesError as group:
        _fail(f"Kubernetes: {group.exceptions[0]}", CANNOT_TELL)
    except* OSError as group:
        server = loaded.config.server
        _fail(
            f"cannot serve on {server.address}:{server.port} and :{server.plain_port}: {group.exceptions[0]}",
            1,
        )


@main.command()
@_rules
@_output
def signals(rules_folder: Path | None, output: str) -> None:
    """List the signals: what each means, its unit, and which HPA target suits it."""
    from autoscaler.signal import describe
    from autoscaler.signals_view import render_signals

    rows = _load_rows(rules_folder)
    if output == "json":
        _print_json({"schema": "triton-ops/signals/v1", "signals": [describe(row) for row in rows.values()]})
    else:
        click.echo(render_signals(rows.values()))


@main.command()
@click.argument("signal")
@click.option(
    "-l", "--selector", default="", help="Label selector, as an HPA's metric has it: model=..., workload=..."
)
@click.option("-n", "--namespace", default="default", show_default=True)
@_kubeconfig
@_context
@_output
def value(
    signal: str, selector: str, namespace: str, kubeconfig: str | None, context: str | None, output: str
) -> None:
    """Show the number that an HPA gets for SIGNAL now, with the pods, counters and ages behind it."""
    from autoscaler.value_view import fetch_trace, render_trace
    from telemetry.kubernetes_api import KubernetesError

    try:
        trace = asyncio.run(fetch_trace(namespace, signal, selector, kubeconfig=kubeconfig, context=context))
    except KubernetesError as error:
        _fail(f"{signal}: {error}", CANNOT_TELL)
    if output == "json":
        _print_json(trace)
    else:
        click.echo(render_trace(trace))
    if trace.get("state") == "no_data":
        sys.exit(CANNOT_TELL)


@main.command("try")
@click.argument("workload")
@click.option(
    "-n", "--namespace", default="", help="Its namespace; the kubeconfig context's own if not given."
)
@click.option(
    "--seconds", type=click.IntRange(10, 3600), default=60, show_default=True, help="How long to look."
)
@_kubeconfig
@_context
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "yaml", "json"]),
    default="text",
    show_default=True,
    help="yaml: the HPA alone; json: the evidence.",
)
@_rules
def try_(
    workload: str,
    namespace: str,
    seconds: int,
    kubeconfig: str | None,
    context: str | None,
    output: str,
    rules_folder: Path | None,
) -> None:
    """Look at WORKLOAD (NAME, deployment/NAME, statefulset/NAME) for a minute, and end with an HPA made for it.

    Nothing has to be installed and nothing is changed: pods' pages are read through the API server, with your rights (list pods,
    get pods/proxy), 20 requests a second at most."""
    from autoscaler.trial.find import parse_asked
    from autoscaler.trial.manifest import manifest
    from autoscaler.trial.problem import TrialError
    from autoscaler.trial.report import as_document, as_text
    from autoscaler.trial.run import look
    from telemetry.kubernetes_api import KubernetesError
    from telemetry.logs import silence_logs

    rows = _load_rows(rules_folder)
    silence_logs()
    try:
        asked = parse_asked(workload)
        seen = asyncio.run(
            look(asked, rows, namespace=namespace, seconds=seconds, kubeconfig=kubeconfig, context=context)
        )
    except TrialError as error:
        _fail(str(error), 2 if error.usage else CANNOT_TELL)
    except KubernetesError as error:
        _fail(str(error), CANNOT_TELL)
    except KeyboardInterrupt:
        _fail("ended", 130)
    if output == "json":
        _print_json(as_document(seen))
    elif output == "text":
        click.echo(as_text(seen))
    elif seen.decision is not None:
        click.echo(manifest(seen), nl=False)
    if seen.decision is None:
        _fail(seen.why_none, CANNOT_TELL)


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@_rules
def check(files: tuple[Path, ...], rules_folder: Path | None) -> None:
    """Check configuration FILES and the rules, offline; every mistake is shown with its line."""
    from autoscaler.config import read_config
    from telemetry.gpu_exporters.exporter import load_gpu_exporters
    from telemetry.located_yaml import InvalidFileError
    from telemetry.rules_dir import part_of

    rows, gateways = _load_rows(rules_folder), _load_gateways(rules_folder)
    problems: list[str] = []
    exporters: Sequence[GpuExporter] = ()
    try:
        exporters = load_gpu_exporters(part_of(rules_folder, "gpu_exporters"))
    except InvalidFileError as error:
        problems.append(str(error))
    for file in files:
        try:
            read_config(file, gateways)
        except InvalidFileError as error:
            problems.append(str(error))
    if problems:
        _fail("\n".join(problems), 2)
    click.echo(f"ok: {len(rows)} signals, {len(exporters)} GPU exporters, {len(files)} configuration files")


@main.command("recording-rules")
@click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration of the daemon whose label names, matchers and intervals the rules get.",
)
@_rules
@click.option("--operator", is_flag=True, help="As a PrometheusRule, for the Prometheus operator.")
def recording_rules(config_file: Path | None, rules_folder: Path | None, operator: bool) -> None:
    """Print recording rules for a Prometheus that has too many Triton series to read them each tick."""
    from autoscaler.config import read_config
    from autoscaler.recording_rules import render_recording_rules
    from telemetry.located_yaml import InvalidFileError

    rows = _load_rows(rules_folder)
    section = None
    if config_file is not None:
        try:
            section = read_config(config_file).prometheus
        except InvalidFileError as error:
            _fail(str(error), 2)
        if section is None:
            _fail(f"{config_file}: there is no section prometheus whose label names and intervals to take", 2)
    click.echo(render_recording_rules(rows, section, operator=operator), nl=False)


def _load_rows(folder: Path | None) -> "Mapping[str, Signal]":
    """The signals of the folder; exits with every mistake in them."""
    from autoscaler.signal import load_signals
    from telemetry.located_yaml import InvalidFileError
    from telemetry.rules_dir import rules_dir

    try:
        return load_signals((folder or rules_dir()) / "signals")
    except (InvalidFileError, FileNotFoundError) as error:
        _fail(str(error), 2)


def _load_gateways(folder: Path | None) -> "Mapping[str, GatewayKind]":
    """The kinds of gateways of the folder; exits with every mistake in them."""
    from telemetry.gateways.kind import load_gateways
    from telemetry.located_yaml import InvalidFileError
    from telemetry.rules_dir import part_of

    try:
        return load_gateways(part_of(folder, "gateways"))
    except InvalidFileError as error:
        _fail(str(error), 2)


def _print_json(document: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
