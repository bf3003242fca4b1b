"""`triton-autoscaler try`: finds the fleet, looks at it, shows what it sees meanwhile, and ends with all of it as one value."""

import asyncio
import signal as os_signal
from collections.abc import Mapping
from contextlib import suppress

from rich.console import Console
from rich.live import Live
from rich.text import Text

from autoscaler.signal import Signal
from autoscaler.trial.find import Asked, FleetFinder
from autoscaler.trial.seen import Seen
from autoscaler.trial.view import one_line, screen
from autoscaler.trial.watch import Api, Watch
from telemetry.kube_client import KubernetesClient, default_namespace

_LINE_SECONDS = 10.0
_DRAW_SECONDS = 0.5


async def look(
    asked: Asked,
    rows: Mapping[str, Signal],
    *,
    namespace: str,
    seconds: float,
    kubeconfig: str | None,
    context: str | None,
) -> Seen:
    """What the fleet did for so many seconds, or until SIGINT. Raises `TrialError` and `KubernetesError`."""
    stop = asyncio.Event()
    namespace = namespace or await default_namespace(kubeconfig, context)
    async with KubernetesClient(kubeconfig=kubeconfig, context=context) as api:
        return await look_with(api, asked, rows, namespace=namespace, seconds=seconds, stop=stop)


async def look_with(
    api: Api, asked: Asked, rows: Mapping[str, Signal], *, namespace: str, seconds: float, stop: asyncio.Event
) -> Seen:
    """The same with the way to the API server given; `stop` ends it early."""
    finder = FleetFinder(api, namespace, asked)
    watch = Watch(api, finder, namespace, rows, await finder.find())
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):
        loop.add_signal_handler(os_signal.SIGINT, stop.set)
    running = asyncio.create_task(watch.run())
    showing = asyncio.create_task(_show(watch, {name: row.unit for name, row in rows.items()}, seconds))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(os_signal.SIGINT)  # a second one ends everything at once
        for task in (running, showing, stopping):
            task.cancel()
        await asyncio.gather(running, showing, stopping, return_exceptions=True)
    return await watch.seen(ended_early=stop.is_set())


async def _show(watch: Watch, units: dict[str, str], seconds: float) -> None:
    """Until cancelled: a screen on a terminal, a line every ten seconds elsewhere, on stderr."""
    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(_draw(watch, units, seconds, console), refresh=True)
                await asyncio.sleep(_DRAW_SECONDS)
    told = 0.0
    while True:
        await asyncio.sleep(_DRAW_SECONDS)
        if watch.looks and watch.elapsed - told >= _LINE_SECONDS:
            told = watch.elapsed
            console.print(Text(one_line(watch.looks[-1], units, seconds)), soft_wrap=True)


def _draw(watch: Watch, units: dict[str, str], seconds: float, console: Console) -> Text:
    width, height = console.size
    return screen(watch.looks, units, seconds, watch.elapsed, width - 1, height - 1)
