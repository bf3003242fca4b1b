"""`triton-triage report NAME`: what the on-call service keeps of an incident, as a report."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from triage.oncall.incident import Incident

_USAGE, _COULD_NOT = 2, 3


@click.command()
@click.argument("name")
@click.option(
    "-n", "--namespace", default="", help="Of the TriageReport; the kubeconfig context's own if not given."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The service's folder of incidents, where they are no TriageReports.",
)
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig file, as for kubectl.")
@click.option("--context", metavar="NAME", help="Context of the kubeconfig.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "html"]), default="text", show_default=True
)
def report(
    name: str, namespace: str, folder: Path | None, kubeconfig: str | None, context: str | None, output: str
) -> None:
    """Show the report of the incident NAME, as Slack and `kubectl get triagereports` name it. Exits as the triage would have."""
    import asyncio

    from triage.oncall.record import RecordError
    from triage.print_report import print_report

    try:
        incident = asyncio.run(_read(name, namespace, folder, kubeconfig, context))
    except RecordError as error:
        _fail(str(error), _COULD_NOT)
    for line in _about(incident):
        click.echo(line, err=True)
    if incident.report is None:
        _fail(_why_not(incident), _COULD_NOT)
    print_report(incident.report, output)


async def _read(
    name: str, namespace: str, folder: Path | None, kubeconfig: str | None, context: str | None
) -> "Incident":
    """Raises RecordError."""
    from triage.oncall.folder_record import FolderRecord
    from triage.oncall.record import RecordError

    if folder is not None:
        return await FolderRecord(folder).read(name)
    from telemetry.kube_client import KubernetesClient, default_namespace
    from telemetry.kubernetes_api import KubernetesError
    from triage.oncall.cluster_record import ClusterRecord

    try:
        where = namespace or await default_namespace(kubeconfig, context)
        async with KubernetesClient(kubeconfig=kubeconfig, context=context) as api:
            return await ClusterRecord(api, where).read(name)
    except KubernetesError as error:
        raise RecordError(str(error)) from error


def _about(incident: "Incident") -> list[str]:
    """What the report itself does not say."""
    from triage.oncall.summary import state_of

    alerts = ", ".join(dict.fromkeys(alert.name for alert in incident.alerts))
    lines = [
        f"{incident.name}: {state_of(incident)}, {incident.namespace}/{incident.workload}, {incident.tree}, by {alerts}"
    ]
    if incident.preliminary:
        lines.append("the sources had not all answered when this was written")
    if incident.failure:
        lines.append(f"a later triage failed: {incident.failure}")
    if incident.outcome is not None:
        lines.append(f"did it work? {incident.outcome.worked}: {incident.outcome.said}")
    if incident.bundle:
        lines.append(
            f"shortened; the whole of it: triton-triage replay {incident.bundle} (in the service's pod)"
        )
    return lines


def _why_not(incident: "Incident") -> str:
    if incident.refused:
        return f"nothing was looked at: {incident.refused}"
    if incident.failure:
        return f"there is no report: {incident.failure}"
    return "there is no report yet: it is being looked at"


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
