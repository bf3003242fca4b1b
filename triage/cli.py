"""`triton-triage`: results on stdout, talk on stderr; exit 0 nothing found, 1 findings, 2 usage, 3 could not look or cannot tell.
A signal ends it at once, as that signal does by default.

Commands import what they need themselves: `--help` must answer at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from triage.oncall.report_command import report
from triage.oncall.serve_command import serve
from triage.print_report import USAGE, fail, flush, print_report
from triage.record_command import record

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from triage.evidence import Snapshot
    from triage.latency.rules import LatencyRules
    from triage.repository.backends import Backends
    from triage.rules import Rules
    from triage.seal import Seal

_Found = TypeVar("_Found")
_rules = click.option(
    "--rules",
    "rules_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of rules to use instead of the one that ships with the program.",
)
_save_to = click.option(
    "--save",
    "save_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep all evidence in this file.",
)


def _pods(command: "Callable[..., None]") -> "Callable[..., None]":
    """The pods that a command is about, in kubectl's words."""
    for option in (
        click.option("--context", metavar="NAME", help="Context of the kubeconfig."),
        click.option("--kubeconfig", metavar="FILE", help="Kubeconfig file, as for kubectl."),
        click.option("-l", "--selector", default="", help="Label selector of the pods, instead of TARGET."),
        click.option(
            "-n",
            "--namespace",
            default="",
            help="The pods' namespace; the kubeconfig context's own if not given.",
        ),
        click.argument("target", default=""),
    ):
        command = option(command)
    return command


_output = click.option(
    "-o", "--output", type=click.Choice(["text", "json", "html"]), default="text", show_default=True
)


class _Program(click.Group):
    """The commands, and what belongs to the process alone: it is called once, by the console script."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        import gc
        import os
        import signal

        gc.disable()  # a command ends in seconds; millions of numbers would be searched for cycles that they cannot make
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell had it ignored
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has to be put away
        code: object = 0
        try:
            self.main(*args, **kwargs)
        except SystemExit as ended:
            code = ended.code
        flush()
        # A thread may wait for a file or a name server that never answers; the interpreter would wait for the thread.
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="triton-ops", prog_name="triton-triage")
def main() -> None:
    """Find out why NVIDIA Triton is slow or not loading a model, and what to do about it. Nothing is changed anywhere."""


for _command in (record, serve, report):
    main.add_command(_command)


@main.command("load-failure")
@_pods
@click.option(
    "-A",
    "--all-namespaces",
    "everywhere",
    is_flag=True,
    help="List every failing model of the cluster, one line each, worst first; -n NS alone lists those of one namespace.",
)
@click.option("--model", default="", help="Speak of this model, where several fail.")
@click.option(
    "--triton", "triton_url", metavar="URL", help="Triton's HTTP port, such as http://localhost:8000."
)
@click.option("--log", "log_file", metavar="FILE", help="The server's log; - reads standard input.")
@click.option(
    "--repository",
    metavar="DIR",
    help="The model repository, where it can be read: what in it would not load.",
)
@click.option(
    "--run-as", metavar="UID[:GID,...]", help="Whom the server runs as: may that user read the --repository?"
)
@_save_to
@_output
@_rules
def load_failure(
    target: str,
    namespace: str,
    selector: str,
    kubeconfig: str | None,
    context: str | None,
    model: str,
    triton_url: str | None,
    log_file: str | None,
    repository: str | None,
    run_as: str | None,
    save_file: Path | None,
    output: str,
    rules_folder: Path | None,
    everywhere: bool,
) -> None:
    """Why a model does not load. TARGET is deploy/NAME, pod/NAME and the like; a log, a server's address or a repository works
    alone."""
    from telemetry.pod_lookup import PodTargetError, check_target
    from triage.look import Sources, look
    from triage.probes.triton_url import check_url
    from triage.repository.access import parse_run_as

    one = triton_url or log_file or target or repository
    if everywhere or (namespace and not (one or selector)):
        if namespace and everywhere:
            fail(f"-A and -n {namespace} are two answers to one question: give one of them", USAGE)
        if one or save_file:
            fail(
                "-A lists failing models of many pods: TARGET, --log, --triton, --repository and --save are of one report",
                USAGE,
            )
        if output == "html":
            fail("-o html is of one report: this list is text or json", USAGE)
        _list_failing(
            None if everywhere else namespace, selector, model, kubeconfig, context, output, rules_folder
        )
    if not (one or selector):
        fail(
            "nothing to look at: give deploy/NAME, pod/NAME or -l SELECTOR, --log FILE (or -), --triton URL,"
            " or --repository DIR;"
            " -A lists every failing model of the cluster, and -n NAMESPACE alone those of a namespace",
            USAGE,
        )
    _refuse_both(target, selector)
    if run_as and not repository:
        fail("--run-as is about a repository's files: give --repository DIR too", USAGE)
    try:
        triton_url = check_url(triton_url) if triton_url else None
        server_user = parse_run_as(run_as) if run_as else None
        if target:
            check_target(target)
    except (ValueError, PodTargetError) as error:
        fail(str(error), USAGE)
    rules, make_seal = _load_rules(rules_folder, "load-failure")
    backends = _load_backends(rules_folder) if repository else None
    if sys.stderr.isatty():
        click.echo(f"looking, for at most {rules.tree.budget:g} s ...", err=True)
    sources = Sources(
        log_file,
        triton_url,
        target or selector,
        bool(selector),
        namespace,
        kubeconfig,
        context,
        repository,
        backends,
        server_user,
    )
    snapshot = _run(look(sources, model, rules, make_seal))
    _save(save_file, snapshot, rules)
    _show(snapshot, rules, output)


def _list_failing(
    namespace: str | None,
    selector: str,
    model: str,
    kubeconfig: str | None,
    context: str | None,
    output: str,
    rules_folder: Path | None,
) -> NoReturn:
    from telemetry.kubernetes_api import KubernetesError
    from triage.failing.command import could_not_look, look_at_cluster, show

    rules, make_seal = _load_rules(rules_folder, "load-failure")
    try:
        view = _run(look_at_cluster(namespace, selector, model, kubeconfig, context, rules, make_seal))
    except KubernetesError as error:
        could_not_look(error)
    show(view, output)


@main.command()
@_pods
@click.option("--model", default="", help="Speak of this model; else of the one whose requests wait longest.")
@click.option("--at", "at", metavar="TIME", help="When it was slow, such as 14:02 (UTC) or now-20m.")
@click.option("--window", metavar="A..B", help="Look at this window; two hours that end now if not given.")
@click.option(
    "--prometheus", metavar="URL", help="Prometheus, Thanos, Mimir or VictoriaMetrics: it has the history."
)
@click.option("--prometheus-token-file", metavar="FILE", help="Bearer token for it.")
@click.option("--prometheus-ca", metavar="FILE", help="Certificates to trust for it.")
@click.option(
    "--prometheus-header",
    multiple=True,
    metavar="HEADER",
    help="Such as 'X-Scope-OrgID: team'; may be repeated.",
)
@click.option(
    "--gateway-service",
    "services",
    multiple=True,
    metavar="NAME",
    help="What gateways call the workload (a Service, an Envoy cluster), where that is not its name; may be repeated.",
)
@click.option(
    "--triton", "tritons", multiple=True, metavar="URL", help="Triton's HTTP port; may be repeated."
)
@click.option(
    "--metrics",
    multiple=True,
    metavar="URL",
    help="Its metrics page, where that is not on port 8002; in the same order.",
)
@click.option(
    "--capture", metavar="30s", help="How long to scrape live Tritons: 30s, or 5s beside a Prometheus."
)
@click.option("--log", "log_file", metavar="FILE", help="The server's log; - reads standard input.")
@click.option(
    "--record", "record_file", metavar="FILE", help="What `record` keeps: changes of the model repository."
)
@_save_to
@_output
@_rules
def p99(
    target: str,
    namespace: str,
    selector: str,
    kubeconfig: str | None,
    context: str | None,
    model: str,
    at: str | None,
    window: str | None,
    prometheus: str | None,
    prometheus_token_file: str | None,
    prometheus_ca: str | None,
    prometheus_header: tuple[str, ...],
    services: tuple[str, ...],
    tritons: tuple[str, ...],
    metrics: tuple[str, ...],
    capture: str | None,
    log_file: str | None,
    record_file: str | None,
    save_file: Path | None,
    output: str,
    rules_folder: Path | None,
) -> None:
    """Why requests are slow, and what to do. TARGET is deploy/NAME and the like; a Prometheus or a server's address works alone."""
    import time

    from telemetry.durations import parse_duration
    from telemetry.pod_lookup import PodTargetError, check_target
    from telemetry.prometheus import check_prometheus_url
    from triage.latency.look import LatencySources, access_from, look_at_latency
    from triage.latency.times import parse_time, parse_window, window_around
    from triage.probes.capture import check_metrics_url
    from triage.probes.triton_url import check_url

    if not (prometheus or tritons):
        fail("nothing to measure with: give --prometheus URL, or --triton URL of a live server", USAGE)
    _refuse_both(target, selector)
    if at and window:
        fail("--at and --window are two answers to one question: give one of them", USAGE)
    if metrics and len(metrics) != len(tritons):
        fail(
            f"--metrics was given {len(metrics)} times and --triton {len(tritons)} times: give a page for each, in order",
            USAGE,
        )
    now = time.time()
    try:
        start, end = (
            parse_window(window, now) if window else window_around(parse_time(at, now) if at else None, now)
        )
        if target:
            check_target(target)
        sources = LatencySources(
            start=start,
            end=end,
            prometheus=check_prometheus_url(prometheus) if prometheus else "",
            access=access_from(prometheus_token_file, prometheus_ca, prometheus_header),
            tritons=[check_url(url) for url in tritons],
            metrics=[check_metrics_url(url) for url in metrics],
            capture_seconds=parse_duration(capture) if capture else (5.0 if prometheus else 30.0),
            target=target or selector,
            selector=bool(selector),
            namespace=namespace,
            kubeconfig=kubeconfig,
            context=context,
            record=record_file or "",
            log=log_file or "",
            services=services,
        )
    except (ValueError, PodTargetError) as error:
        fail(str(error), USAGE)
    rules, make_seal = _load_latency_rules(rules_folder)
    if sys.stderr.isatty():
        most = max(rules.tree.budget, sources.capture_seconds + 8 if tritons else 0)
        click.echo(f"looking, for at most {most:g} s ...", err=True)
    snapshot = _run(look_at_latency(sources, model, rules, make_seal))
    _save(save_file, snapshot, rules)
    _show(snapshot, rules, output)


@main.command()
@_rules
def leaves(rules_folder: Path | None) -> None:
    """List what a verdict's category may be, by tree, and what each means."""
    import textwrap

    latency, _ = _load_latency_rules(rules_folder)
    loads, _ = _load_rules(rules_folder, "load-failure")
    for tree in (latency.tree, loads.tree):
        click.echo(f"{tree.tree}: {tree.about}")
        for leaf in tree.leaves:
            if leaf.category == "cannot_tell" and leaf.id != "nothing_named":
                continue
            told = f"{leaf.title}: {leaf.means}" if leaf.category != "cannot_tell" else leaf.means
            click.echo(
                textwrap.fill(told, 110, initial_indent=f"  {leaf.category:30} ", subsequent_indent=" " * 33)
            )


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False))
@_output
@click.option(
    "--rules",
    "rules_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Judge the saved evidence by these rules instead of those in the bundle.",
)
def replay(bundle: Path, output: str, rules_folder: Path | None) -> None:
    """Show the report of a saved BUNDLE again, offline: the same bytes."""
    from triage.bundle import BundleError, load_bundle, load_snapshot
    from triage.latency.rules import TREE

    try:
        if rules_folder is None:
            _show(*load_bundle(bundle), output)
        snapshot = load_snapshot(bundle)
    except BundleError as error:
        fail(str(error), USAGE)
    tree = snapshot.asked.tree
    if not tree.replace("-", "").isalnum():
        fail(f"{bundle} names a tree {tree!r}, which is no name of one", USAGE)
    rules = _load_latency_rules(rules_folder)[0] if tree == TREE else _load_rules(rules_folder, tree)[0]
    _show(snapshot, rules, output)


@main.command()
@_rules
def check(rules_folder: Path | None) -> None:
    """Check the rules, offline: trees, signatures against each other, and what is masked. Every mistake with its line."""
    from telemetry.rules_dir import rules_dir

    folder = rules_folder or rules_dir()
    rules, _ = _load_rules(folder, "load-failure")
    latency, _ = _load_latency_rules(folder)
    click.echo(f"ok: tree {rules.tree.tree}, {len(rules.signatures.all)} signatures")
    click.echo(f"ok: {len(_load_backends(folder).backends)} files of backends")
    click.echo(
        f"ok: tree {latency.tree.tree}, {len(latency.measures)} measures, {len(latency.quantities)} quantities"
    )


def _run(looking: "Coroutine[Any, Any, _Found]") -> "_Found":
    """`asyncio.run` would wait for threads too."""
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(looking)
    finally:
        loop.close()


def _refuse_both(target: str, selector: str) -> None:
    if target and selector:
        fail(f"TARGET {target} and -l {selector} are two answers to one question: give one of them", USAGE)


def _save(file: Path | None, snapshot: "Snapshot", rules: "Rules | LatencyRules") -> None:
    from triage.bundle import BundleError, save_bundle

    if file:
        try:
            save_bundle(file, snapshot, rules)
        except (BundleError, OSError) as error:
            click.echo(f"--save: {error}; the report follows all the same", err=True)


def _show(snapshot: "Snapshot", rules: "Rules | LatencyRules", output: str) -> NoReturn:
    from triage.report_of import report_of

    print_report(report_of(snapshot, rules), output)


def _load_rules(folder: Path | None, tree: str) -> "tuple[Rules, Callable[[], Seal]]":
    from telemetry.located_yaml import InvalidFileError
    from telemetry.rules_dir import rules_dir
    from triage.rules import rules_from_folder, seals_from_folder

    try:
        # The rules that ship were tried against each other before they shipped.
        used = folder or rules_dir()
        return rules_from_folder(used, tree, decided=folder is None), seals_from_folder(used)
    except (InvalidFileError, FileNotFoundError) as error:
        fail(str(error), USAGE)


def _load_backends(folder: Path | None) -> "Backends":
    from telemetry.located_yaml import InvalidFileError
    from telemetry.rules_dir import rules_dir
    from triage.repository.backends import load_backends

    try:
        return load_backends(folder or rules_dir())
    except (InvalidFileError, FileNotFoundError) as error:
        fail(str(error), USAGE)


def _load_latency_rules(folder: Path | None) -> "tuple[LatencyRules, Callable[[], Seal]]":
    from telemetry.located_yaml import InvalidFileError
    from telemetry.rules_dir import rules_dir
    from triage.latency.rules import latency_rules_from_folder
    from triage.rules import seals_from_folder

    try:
        used = folder or rules_dir()
        return latency_rules_from_folder(used), seals_from_folder(used)
    except (InvalidFileError, FileNotFoundError) as error:
        fail(str(error), USAGE)
