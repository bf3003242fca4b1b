"""What triton-gpu-agent costs a node: its process between a fake driver that answers at once and a kubelet's socket, as large as
nodes get, scraped as the chart's PodMonitor does. What a real driver takes for its calls is not in these numbers."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.daemon_cost import WrongAnswerError
from bench.process import cpu_seconds, resident_mb
from bench.spread import Spread, spread
from tests.gpu_agent.agent import RunningAgent, running_agent
from tests.gpu_agent.fake_kubelet import FakeContainer, FakeKubelet
from tests.gpu_agent.fake_nvml import FakeGpu, FakeMig, table

MOST_CORES: Final = 0.005
_GPUS: Final = 8
_INSTANCES: Final = 7
_SCRAPE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class AgentCost:
    gpus: int
    instances: int
    interval: float
    series: int
    cores: Spread
    """CPU seconds a second of the whole process, of each round."""
    resident_mb: float

    @property
    def ratio(self) -> float:
        """Of what it may take: at most 1."""
        return self.cores.median / MOST_CORES

    @property
    def missed(self) -> list[str]:
        over = self.ratio > 1
        return [f"triton-gpu-agent takes more than {MOST_CORES:g} of a core"] if over else []


async def measure_gpu_agent(rounds: int, *, seconds: float, interval: float = 5.0) -> AgentCost:
    """Over rounds of so many seconds, once it has looked a few times. Raises WrongAnswerError."""
    uuid = "MIG-{}-{}-aaaa-bbbb-000000000000".format
    gpus = [
        FakeGpu(gpu, migs=[FakeMig(at, uuid(gpu, at)) for at in range(1, _INSTANCES + 1)])
        for gpu in range(_GPUS)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with FakeKubelet(folder / "kubelet.sock") as kubelet:
            devices = [mig.uuid for gpu in gpus for mig in gpu.migs]
            kubelet.offered = devices
            kubelet.containers = [
                FakeContainer("inference", f"triton-{at}", "triton", [device], "nvidia.com/mig-1g.10gb")
                for at, device in enumerate(devices)
            ]
            async with running_agent(folder, table(gpus), kubelet, interval=interval) as agent:
                await agent.new_look()
                cores = [await _one_round(agent, seconds) for _ in range(rounds)]
                series = await agent.series()
                owned = sum(name == "triton_gpu_owner" for name, _ in series)
                if owned != len(devices):
                    raise WrongAnswerError(
                        "the agent does not tell whose the GPUs are, so what it costs means nothing"
                    )
                return AgentCost(
                    _GPUS, _INSTANCES, interval, len(series), spread(cores), resident_mb(agent.process.pid)
                )


async def _one_round(agent: RunningAgent, seconds: float) -> float:
    before = cpu_seconds(agent.process.pid)
    left = seconds
    while left > 0:
        await asyncio.sleep(min(left, _SCRAPE_SECONDS))
        await agent.get("/metrics")
        left -= _SCRAPE_SECONDS
    return (cpu_seconds(agent.process.pid) - before) / seconds
