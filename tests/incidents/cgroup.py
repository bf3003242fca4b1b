"""A pod's control group: its processor limit, and what the kernel counts for it, as a kubelet would have it.

Version 1 of control groups, where this user may make one; elsewhere a pod has none, and what needs a limit cannot run."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.local_process import eventually

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "memory")
PERIOD_SECONDS = 0.1
REMOVE_SECONDS = 3.0


@dataclass(frozen=True)
class Usage:
    """Counted since the group was made. Bytes are as of now."""

    cpu_seconds: float
    periods: int
    throttled_periods: int
    throttled_seconds: float
    memory_bytes: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class ControlGroup:
    """Of one pod; `remove` it after its processes ended."""

    def __init__(self, name: str) -> None:
        self._folders = {each: ROOT / each / f"incident-{os.getpid()}-{name}" for each in CONTROLLERS}
        for folder in self._folders.values():
            folder.mkdir()

    def limit_cpu(self, cores: float | None) -> None:
        """None: as much as there is."""
        quota = -1 if cores is None else int(cores * PERIOD_SECONDS * 1e6)
        (self._folders["cpu"] / "cpu.cfs_quota_us").write_text(str(quota))

    def joiner(self) -> Callable[[], None]:
        """Called in a child process: puts it into the group."""
        files = [str(folder / "cgroup.procs") for folder in self._folders.values()]

        def join() -> None:
            for file in files:
                with open(file, "w") as processes:
                    processes.write("0")

        return join

    def usage(self) -> Usage:
        memory = self._folders["memory"]
        kept = dict(line.split() for line in (memory / "memory.stat").read_text().splitlines())
        stat = dict(line.split() for line in (self._folders["cpu"] / "cpu.stat").read_text().splitlines())
        return Usage(
            cpu_seconds=int((self._folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9,
            periods=int(stat["nr_periods"]),
            throttled_periods=int(stat["nr_throttled"]),
            throttled_seconds=int(stat["throttled_time"]) / 1e9,
            # As cAdvisor's working set: without what the kernel can take back at once.
            memory_bytes=int((memory / "memory.usage_in_bytes").read_text())
            - int(kept["total_inactive_file"]),
        )

    async def remove(self) -> None:
        """Once its last process has ended; a group that is still held after a while stays until the next boot."""
        with contextlib.suppress(TimeoutError):
            await eventually(self._removed, seconds=REMOVE_SECONDS)

    async def _removed(self) -> bool:
        for folder in self._folders.values():
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self._folders.values())


def control_groups_permitted() -> bool:
    """Whether this user may make control groups of version 1."""
    return all(
        os.access(ROOT / each, os.W_OK) and (ROOT / each / "cgroup.procs").exists() for each in CONTROLLERS
    )
