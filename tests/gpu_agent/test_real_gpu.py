"""The agent on a real GPU, beside nvidia-smi: `pytest -m real_gpu tests/gpu_agent`. `TRITON_OPS_NVML` names the folder of a
libnvidia-ml.so.1 that the loader does not find by itself."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.gpu_agent.agent import running_agent

pytestmark = pytest.mark.real_gpu
MIB = 2**20


def _nvidia_smi(columns: str) -> list[list[str]]:
    command = ["nvidia-smi", f"--query-gpu={columns}", "--format=csv,noheader,nounits"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return [[cell.strip() for cell in line.split(",")] for line in told.stdout.splitlines()]


async def test_it_tells_what_nvidia_smi_tells(tmp_path: Path) -> None:
    """Totals and clocks' limits to the letter; what is in use within 256 MiB, since it moves."""
    rows = _nvidia_smi("index,uuid,memory.total,memory.used,clocks.max.sm,mig.mode.current")
    assert rows
    libraries = [Path(named)] if (named := os.environ.get("TRITON_OPS_NVML")) else []
    async with running_agent(tmp_path, "", libraries=libraries) as agent:
        await agent.new_look()
        assert await agent.problems() == set()
        most = await agent.values("triton_gpu_sm_clock_max_hertz", "gpu", "uuid")
        assert most == {(index, uuid): float(clock) * 1e6 for index, uuid, _, _, clock, _ in rows}
        assert set((await agent.values("triton_gpu_xid_watched", "gpu")).values()) == {1.0}
        whole = {
            index: (float(total) * MIB, float(used) * MIB)
            for index, _, total, used, _, mig in rows
            if mig != "Enabled"
        }
        totals = await agent.values("triton_gpu_memory_total_bytes", "gpu", "gpu_instance")
        uses = await agent.values("triton_gpu_memory_used_bytes", "gpu", "gpu_instance")
        for index, (total, used) in whole.items():
            assert abs(totals[index, ""] - total) < MIB
            assert abs(uses[index, ""] - used) < 256 * MIB
        ratios = await agent.values("triton_gpu_utilization_ratio", "gpu")
        assert {index for (index,) in ratios} == set(whole)
        assert all(0 <= ratio <= 1 for ratio in ratios.values())
