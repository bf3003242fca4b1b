"""Control planes that run side by side and start one after the other: several at once outlast their deadlines on two cores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.components import Options
from tests.controlplane.control_plane import ControlPlane


@asynccontextmanager
async def control_plane_in_turn(
    turn: asyncio.Lock, folder: Path, hpa_sync_seconds: float
) -> AsyncIterator[ControlPlane]:
    """Ready inside, gone after. `turn` is held while it starts."""
    options = Options(hpa_sync_seconds=hpa_sync_seconds)
    async with AsyncExitStack() as stack:
        async with turn:
            control_plane = ControlPlane(ensure_tools(), folder / "control-plane", options)
            await stack.enter_async_context(control_plane)
        yield control_plane
