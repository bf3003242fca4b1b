"""The pace at which a Prometheus is asked, whatever for: steadily, and less and less often where it does not answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from telemetry.prometheus import PrometheusSource


async def keep_ticking(
    source: PrometheusSource,
    tick: Callable[[], Awaitable[None]],
    wait: Callable[[float], float],
    clock: Callable[[], float],
) -> None:
    """Ticks until cancelled. `wait`: the seconds from the beginning of one tick to the next, of a draw in [0, 1)."""
    async with source:
        while True:
            begun = clock()
            await tick()
            seconds = wait(random.random())  # noqa: S311 -- not a secret
            await asyncio.sleep(max(0.0, begun + seconds - clock()))
