"""`triton-gpu-agent`. Commands import what they need themselves: `--help` must answer at once."""

import asyncio
import socket
from math import isnan
from pathlib import Path

import click


def _number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if isnan(value):  # neither below a range nor above it
        raise click.BadParameter("nan is no number of seconds")
    return value


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="triton-ops", prog_name="triton-gpu-agent")
def main() -> None:
    """Tell Prometheus which pod uses which GPU of this node, and how much."""


@main.command()
@click.option(
    "--node",
    envvar="NODE_NAME",
    default=socket.gethostname,
    help="This node's name in Kubernetes, the label `node` of every series. [env: NODE_NAME; default: the host's name]",
)
@click.option("--address", help="Where to serve.  [default: every address, of IPv4 and IPv6]")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--interval",
    default=5.0,
    show_default=True,
    type=click.FloatRange(1, 300),
    callback=_number,
    metavar="SECONDS",
    help="Between two looks.",
)
@click.option(
    "--pod-resources",
    default=Path("/var/lib/kubelet/pod-resources/kubelet.sock"),
    show_default=True,
    type=click.Path(path_type=Path, readable=False),  # one that is not is told, and may be later
    help="The kubelet's socket, which tells who holds which device.",
)
@click.option(
    "--no-owners", is_flag=True, help="Ask no kubelet: series have no namespace, pod and container."
)
def serve(
    node: str, address: str | None, port: int, interval: float, pod_resources: Path, no_owners: bool
) -> None:
    """Serve /metrics, /livez and /readyz until a signal comes."""
    try:
        from telemetry.gpu_agent.agent import Settings
        from telemetry.gpu_agent.agent import serve as run
        from telemetry.late_import import import_late
        from telemetry.logs import configure_logs

        import_late("pynvml")
        if not no_owners:
            import_late("grpc")
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"{error.name} is not installed: pip install '.[gpu]' in the checkout brings it"
        ) from None
    configure_logs()
    settings = Settings(node, address, port, interval, None if no_owners else pod_resources)
    try:
        asyncio.run(run(settings))
    except OSError as error:
        where = f"port {port}" if address is None else f"{address}:{port}"
        raise click.ClickException(f"cannot serve on {where}: {error.strerror or error}") from None
