"""`triton-triage load-failure -A`: the view on stdout, how far it is on stderr of a terminal. Exit 0 nothing fails that was seen,
1 findings, 3 could not look."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import NoReturn

import click

from telemetry.kube_client import KubernetesClient
from telemetry.kubernetes_api import KubernetesError
from triage.cluster_access import ClusterAccess
from triage.failing.look import Where, look_at_all
from triage.failing.render import render_failing_json, render_failing_text
from triage.failing.view import FailingModels
from triage.print_report import CANNOT_TELL, FOUND, fail, style_of_stdout, write
from triage.rules import Rules
from triage.seal import Seal

CONNECT_SECONDS = 15.0
"""For credentials: plug-ins take seconds, and one that asks a person never ends."""


async def look_at_cluster(
    namespace: str | None,
    selector: str,
    model: str,
    kubeconfig: str | None,
    context: str | None,
    rules: Rules,
    make_seal: Callable[[], Seal],
) -> FailingModels:
    """Of this namespace, or of all where it is None. Raises KubernetesError where nothing may be listed."""
    # Logs are read in threads, which take turns on one core; four of them take half as long again as one after the other.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    said = _Said()
    try:
        async with AsyncExitStack() as resources:
            access = ClusterAccess(namespace or "", kubeconfig, context, resources)
            said("connecting ...")
            client = await _connect(access)
            where = Where(
                namespaces=() if namespace is None else (access.namespace,),
                selector=selector,
                model=model,
                kubectl=access.kubectl,
                kubeconfig=kubeconfig or "",
                context=context or "",
            )
            return await look_at_all(client, where, rules, make_seal, said)
    finally:
        said.done()


async def _connect(access: ClusterAccess) -> KubernetesClient:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await access.connect()
    except TimeoutError as late:
        said = f"no credentials within {CONNECT_SECONDS:g} s: does `{access.kubectl} get pods` answer?"
        raise KubernetesError(f"{said} the credential plug-in is slow", reason="Timeout") from late


class _Said:
    """One line of a terminal, written over and over; nothing where stderr is none. It hides no cursor: a signal may end us here."""

    def __init__(self) -> None:
        self._terminal = sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        if self._terminal:
            width = shutil.get_terminal_size((80, 24)).columns
            click.echo(f"\r\x1b[K{text[: width - 1]}", err=True, nl=False)

    def done(self) -> None:
        if self._terminal:
            click.echo("\r\x1b[K", err=True, nl=False)


def show(view: FailingModels, output: str) -> NoReturn:
    if output == "json":
        write(render_failing_json(view))
    else:
        write(render_failing_text(view, _width(), style_of_stdout()))
    sys.exit(FOUND if view.lines else 0 if view.could_look else CANNOT_TELL)


def could_not_look(error: KubernetesError) -> NoReturn:
    fail(f"cannot look: {error}", CANNOT_TELL)


def _width() -> int | None:
    """Of the terminal, or what `watch` says that it has; None where a program reads."""
    if sys.stdout is not None and sys.stdout.isatty():
        return max(40, shutil.get_terminal_size((100, 24)).columns)
    given = os.environ.get("COLUMNS", "")
    return max(40, int(given)) if given.isascii() and given.isdigit() and int(given[:6]) else None
