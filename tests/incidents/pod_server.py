"""A pod as an incident wants it, and the server that is its container; what the kernel tells of its processes."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.incidents.cgroup import ControlGroup
from tests.incidents.client import now
from tests.incidents.models import Model
from tests.local_process import LocalProcess
from tests.tritons.server import TritonServer


@dataclass(frozen=True)
class Pod:
    """One pod as an incident wants it."""

    node: str = "node-a"
    core: int | None = None
    """The one processor that it may run on; None: any."""
    environment: Mapping[str, str] = field(default_factory=dict)
    models: tuple[Model, ...] = ()
    """Instead of the incident's."""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """How a container's run ended, as a kubelet tells it. Times in seconds since 1970."""

    started_at: float
    at: float
    exit_code: int
    reason: str


class PodServer(TritonServer):
    """A server as its pod's container."""

    stop_seconds = 3.0
    name: str
    plan: Pod
    group: ControlGroup | None
    repository: Path
    started_at = 0.0
    restarts = -1
    last_end: End | None = None
    process: LocalProcess

    async def launch(self) -> LocalProcess:
        self.started_at = now()
        self.restarts += 1
        self.process = await super().launch()
        return self.process


def children(parent: int) -> list[int]:
    """All processes below it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = int(file.parent.name), file.read_text().rsplit(")", 1)[1].split()
            if int(rest[1]) == parent:
                found += [pid, *children(pid)]
    return found


def command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "comm").read_text()
    except OSError:
        return ""


def resident_bytes(pid: int) -> int:
    try:
        return int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
