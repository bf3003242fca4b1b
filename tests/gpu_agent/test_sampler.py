"""What the sampler keeps of one look for the next, where the driver does not let go."""

from collections.abc import Mapping
from typing import Any

import pytest

from telemetry.gpu_agent import sampler as module
from telemetry.gpu_agent.nvml import GpuReading, NvmlRefusedError
from telemetry.gpu_agent.problems import Problem
from telemetry.gpu_agent.sampler import Sampler
from telemetry.gpu_agent.snapshot import Snapshot, Xid

LOOKS = 40


class LostGpu:
    """NVML with one GPU, which is lost."""

    closed = 0

    def count(self) -> int:
        return 1

    def read(self, index: int) -> GpuReading:
        raise NvmlRefusedError(Problem("gpu_lost", str(index)))

    def close(self) -> None:
        self.closed += 1


class HangingWatch:
    """A wait inside the driver that never returns, so that its thread never ends."""

    begun = 0
    ended = False

    def __init__(self, gpus: int) -> None:
        type(self).begun += 1

    def take(self) -> tuple[Mapping[Xid, int], frozenset[int]]:
        return {}, frozenset()

    def stop(self) -> bool:
        return False


async def test_a_watch_that_hangs_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one more would be a thread that never ends, one a minute for as long as the GPU is lost."""
    monkeypatch.setattr(module, "XidWatch", HangingWatch)
    lost: Any = LostGpu()
    sampler, snapshot = Sampler(lost, None), Snapshot()
    for _ in range(LOOKS):
        snapshot = await sampler.look(snapshot)
    assert HangingWatch.begun == 1
    assert lost.closed == 0, "NVML is not closed under a call that hangs in it"
