"""HPAs as an external metrics server meets them: each asks through the API server once in a sync period, at a moment of its own."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.controlplane.kube_client import KubeClient


@dataclass
class Asked:
    answers: int = 0


@asynccontextmanager
async def asking(api: KubeClient, paths: Sequence[str], period: float) -> AsyncIterator[Asked]:
    """One HPA for each path asks inside, from a random moment of the first period on. It ends with the first answer that is an
    error: HPAs that hold would ask no less, but a measurement with answers is what is wanted."""
    asked = Asked()

    async def ask(path: str) -> None:
        due = time.monotonic() + random.uniform(0.0, period)  # noqa: S311 -- guards nothing
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await api.call("GET", path)
            asked.answers += 1
            due += period

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(path)) for path in paths]
        try:
            yield asked
        finally:
            for task in tasks:
                task.cancel()
