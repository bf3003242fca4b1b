"""A daemon's life: until a signal ends it."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


async def until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Runs the daemon until it ends by itself, or SIGINT or SIGTERM cancels it, which ends a start that hangs too. Raises what it
    raises; a cancellation that no signal asked for is one of the caller, or a mistake, and is raised too."""
    running = asyncio.create_task(work)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            log.info("stopping")
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await running
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not stopping or (task is not None and task.cancelling()):
            raise
