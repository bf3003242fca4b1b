"""`triton-triage serve`: takes alerts until a signal ends it."""

import sys
from pathlib import Path
from typing import NoReturn

import click


@click.command()
@click.option("-c", "--config", "config_file", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--check", "only_check", is_flag=True, help="Check the configuration and the rules, and end.")
@click.option(
    "--rules",
    "rules_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of rules to use instead of the one that ships with the program.",
)
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig file, as for kubectl.")
@click.option("--context", metavar="NAME", help="Context of the kubeconfig.")
def serve(
    config_file: Path,
    only_check: bool,
    rules_folder: Path | None,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Take Alertmanager's alerts: one incident, one verdict and one Slack thread for each workload, and a record of all."""
    import gc

    from telemetry.located_yaml import InvalidFileError
    from telemetry.rules_dir import rules_dir
    from triage.latency.rules import latency_rules_from_folder
    from triage.oncall.config import read_oncall_config
    from triage.rules import rules_from_folder, seals_from_folder

    gc.enable()  # it stays for weeks
    try:
        config = read_oncall_config(config_file)
        folder = rules_folder or rules_dir()
        latency_rules_from_folder(folder)
        rules_from_folder(folder, "load-failure", decided=rules_folder is None)
        make_seal = seals_from_folder(folder)
    except (InvalidFileError, FileNotFoundError) as error:
        _fail(str(error), 2)
    if only_check:
        click.echo(f"ok: {config_file}, and the rules in {folder}")
        return

    import asyncio

    from telemetry.kubernetes_api import KubernetesError
    from telemetry.logs import configure_logs
    from triage.oncall.record import RecordError
    from triage.oncall.sealed_log import sealed
    from triage.oncall.service import serve as run

    configure_logs(sealed(make_seal))
    # `asyncio.run` would wait for a thread that a volume holds which does not answer.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(run(config, rules_folder, kubeconfig=kubeconfig, context=context))
    except* KubernetesError as group:
        _fail(f"Kubernetes: {group.exceptions[0]}", 3)
    except* RecordError as group:
        _fail(f"the record: {group.exceptions[0]}", 3)
    except* OSError as group:
        _fail(f"cannot serve: {group.exceptions[0]}", 1)
    finally:
        loop.close()


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
