"""A daemon's life: until a signal ends it."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog

log = structlog.get_logger(__name__)


async def until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Runs the daemon until it ends by itself, or SIGINT or SIGTERM cancels it, which ends a start that hangs too. Raises what it
    raises."""
    running = asyncio.create_task(work)

    def stop() -> None:
        if not running.cancelling():
            log.info("stopping")
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await running
