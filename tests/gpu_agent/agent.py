"""A running triton-gpu-agent between a fake NVML and a fake kubelet."""

import ctypes
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.gpu_agent.fake_kubelet import FakeKubelet
from tests.gpu_agent.fake_nvml import fake_nvml_folder
from tests.local_process import LocalProcess, eventually, free_ports

INTERVAL = 1.0
SECONDS = 30.0
_PR_CAPBSET_DROP = 24
_libc = ctypes.CDLL(None)
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class RunningAgent:
    def __init__(self, process: LocalProcess, port: int, nvml: Path) -> None:
        self.process = process
        self.address = f"127.0.0.1:{port}"
        self._nvml = nvml

    def nvml(self, text: str) -> None:
        """What NVML answers from now on."""
        write_table(self._nvml, text)

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as http, http.get(f"http://{self.address}{path}") as answer:
            return answer.status, await answer.text()

    async def series(self) -> Series:
        """Every series of the agent's, by name and labels."""
        _, page = await self.get("/metrics")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name.startswith("triton_gpu_")
        }

    async def values(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """One family by the values of these labels."""
        return {
            tuple(dict(of)[label] for label in labels): value
            for (found, of), value in (await self.series()).items()
            if found == name
        }

    async def problems(self) -> set[tuple[str, str]]:
        return {(kind, gpu) for kind, gpu in await self.values("triton_gpu_agent_problem", "problem", "gpu")}

    async def new_look(self) -> None:
        """Returns when a look that began after this call has ended."""
        before = (await self.values("triton_gpu_agent_snapshots_total")).get((), 0.0)

        async def looked() -> bool:
            assert self.process.running, self.process.log_tail()
            return (await self.values("triton_gpu_agent_snapshots_total"))[()] >= before + 2

        await eventually(looked, seconds=SECONDS)


def _drop_capabilities() -> None:
    """Of root; another user has none (capabilities(7): what is not in the bounding set is not got by an exec)."""
    for capability in range(64):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def write_table(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.rename(path)


@asynccontextmanager
async def running_agent(
    folder: Path,
    nvml: str | None,
    kubelet: FakeKubelet | None = None,
    *options: str,
    interval: float = INTERVAL,
    libraries: Sequence[Path] | None = None,
    capabilities: bool = True,
) -> AsyncIterator[RunningAgent]:
    """Started, and with a first look. `nvml` None: there is no libnvidia-ml.so.1. `libraries`: other folders to find one in.
    `capabilities` False: none, as the chart has it."""
    [port] = free_ports(1)
    answers = folder / "nvml.table"
    write_table(answers, nvml or "")
    environment = {**os.environ, "NODE_NAME": "node-a", "FAKE_NVML": str(answers)}
    if libraries is None:
        libraries = [] if nvml is None else [fake_nvml_folder()]
    environment["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
    command = [
        sys.executable,
        "-m",
        "telemetry.gpu_agent",
        "serve",
        "--address",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += ["--interval", str(interval), *options]
    command += ["--no-owners"] if kubelet is None else ["--pod-resources", str(kubelet.socket)]
    process = await LocalProcess.start(
        "triton-gpu-agent",
        command,
        log=folder / "log",
        environment=environment,
        limit=None if capabilities else _drop_capabilities,
    )
    agent = RunningAgent(process, port, answers)

    async def looked() -> bool:
        try:
            return (await agent.get("/readyz"))[0] == 200
        except aiohttp.ClientError:
            return False

    try:
        await process.wait_until(looked, seconds=SECONDS)
        yield agent
    finally:
        running = process.running
        await process.stop(seconds=10)
        assert running, process.log_tail()


def becomes(told: Callable[[], Awaitable[object]], wanted: object) -> Callable[[], Awaitable[bool]]:
    """A condition for `eventually`."""

    async def reached() -> bool:
        return await told() == wanted

    return reached
