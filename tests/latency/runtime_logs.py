"""What a container runtime does with the output of the pods' Tritons: each line into the pod's log file, with the time at which it
came; from there the API server serves it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kube_client import ApiRefused
from tests.tritons.pods import PodTritons

_LOOK_SECONDS = 0.05


@asynccontextmanager
async def runtime_logs(
    control_plane: ControlPlane, tritons: PodTritons, container: str
) -> AsyncIterator[None]:
    """Follows every Triton for as long as its pod is there."""
    following = asyncio.create_task(_follow_all(control_plane, tritons, container))
    try:
        yield
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def _follow_all(control_plane: ControlPlane, tritons: PodTritons, container: str) -> None:
    async with asyncio.TaskGroup() as group:
        known: set[str] = set()
        while True:
            for pod, server in list(tritons.servers.items()):
                if pod not in known:
                    known.add(pod)
                    group.create_task(_follow(control_plane, tritons, pod, server.log, container))
            await asyncio.sleep(_LOOK_SECONDS)


async def _follow(
    control_plane: ControlPlane, tritons: PodTritons, pod: str, output: Path, container: str
) -> None:
    try:
        file = await control_plane.kubelet.log_file(tritons.namespace, pod, container)
    except (ApiRefused, TimeoutError):
        if pod in tritons.servers:
            raise
        return  # the pod has gone meanwhile
    at = 0
    while pod in tritons.servers:
        at += _pass_on(output, at, file)
        await asyncio.sleep(_LOOK_SECONDS)


def _pass_on(output: Path, at: int, file: Path) -> int:
    """How many bytes of whole lines came since."""
    with output.open("rb") as source:
        source.seek(at)
        written = source.read()
    whole = written[: written.rfind(b"\n") + 1]
    if whole:
        with file.open("ab") as log:
            log.write(cri_lines(whole, datetime.now(UTC), apart_seconds=0.0))
    return len(whole)
