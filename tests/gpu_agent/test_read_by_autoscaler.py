"""Pages of running agents, read with `rules/gpu_exporters` through a real Prometheus: numbers as worked out by hand."""

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoscaler.answer import Answer, NoData, Value
from telemetry.gpu_exporters.prometheus_reader import GpuReader, GpuSettings
from telemetry.gpu_exporters.snapshot import GpuSnapshot
from telemetry.prometheus import PrometheusSource
from telemetry.prometheus_pages import PodName
from tests.gpu_agent.agent import SECONDS, running_agent
from tests.gpu_agent.fake_kubelet import FakeContainer, FakeKubelet
from tests.gpu_agent.fake_nvml import GIB, FakeGpu, FakeMig, table
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.gpu_questions import EXPORTERS, SIGNAL_OF, ask, holder
from tests.prometheus.server import PrometheusServer, Target

HERE = [
    FakeGpu(0, used=30 * GIB, utilization=55),
    FakeGpu(1, used=5 * GIB, utilization=20),
    FakeGpu(2, migs=[FakeMig(1, "MIG-one", used=1 * GIB), FakeMig(2, "MIG-two", used=2 * GIB)]),
]


@dataclass(frozen=True)
class OtherGpu(FakeGpu):
    """Of another node."""

    @property
    def uuid(self) -> str:
        return f"GPU-0000000{self.number}-bbbb-bbbb-cccc-000000000000"


THERE = [OtherGpu(0, used=10 * GIB, utilization=90), OtherGpu(1, used=0, utilization=0)]
TARGETS: Mapping[str, Mapping[str, str]] = {
    "as the operator": {"namespace": "gpus", "pod": "agent-{node}", "container": "agent"},
    "as kubernetes-service-endpoints": {"namespace": "gpus", "service": "agent"},
}


@pytest.mark.parametrize("labels", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("honor_labels", [True, False])
async def test_each_pods_gpus_of_two_nodes_are_read_once(
    tmp_path: Path, prometheus_tools: PrometheusTools, honor_labels: bool, labels: Mapping[str, str]
) -> None:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(FakeKubelet(tmp_path / "here.sock"))
        there = await stack.enter_async_context(FakeKubelet(tmp_path / "there.sock"))
        here.containers = [
            FakeContainer("prod", "one", "triton", [HERE[0].uuid]),
            FakeContainer("prod", "two", "triton", [f"{HERE[1].uuid}::0"], "nvidia.com/gpu.shared"),
            FakeContainer("prod", "three", "triton", [f"{HERE[1].uuid}::1"], "nvidia.com/gpu.shared"),
            FakeContainer("prod", "slice", "triton", ["MIG-one"], "nvidia.com/mig-1g.10gb"),
        ]
        there.containers = [FakeContainer("prod", "far", "triton", [THERE[0].uuid])]
        targets = []
        for node, gpus, kubelet in (("here", HERE, here), ("there", THERE, there)):
            folder = tmp_path / node
            folder.mkdir()
            agent = await stack.enter_async_context(
                running_agent(folder, table(gpus), kubelet, "--node", node)
            )
            await agent.new_look()
            own = {name: value.format(node=node) for name, value in labels.items()}
            targets.append(Target(agent.address, own))
        snapshot = await snapshot_of(stack, prometheus_tools, tmp_path, targets, honor_labels=honor_labels)
    assert len(snapshot.devices) == 6, "of the GPU in instances these alone"
    assert {owner for device in snapshot.devices for owner in device.owners} == {
        PodName("prod", pod) for pod in ("one", "two", "three", "slice", "far")
    }
    assert value("memory", snapshot, "one") == pytest.approx(30 / 79)  # 80, less 1 reserved
    assert value("utilization", snapshot, "one") == pytest.approx(0.55)
    assert value("memory", snapshot, "two", "three") == pytest.approx(5 / 79)
    assert value("utilization", snapshot, "two") == pytest.approx(0.2)
    assert value("memory", snapshot, "slice") == pytest.approx(1 / 9.5)
    assert value("utilization", snapshot, "far") == pytest.approx(0.9)
    assert value("memory", snapshot, "one", "far") == pytest.approx(40 / 158)
    assert value("utilization", snapshot, "one", "two", "three", "far") == pytest.approx(
        (0.55 + 0.2 + 0.9) / 3
    )
    assert value("memory", snapshot, "one", "two", "three", "slice", "far") == pytest.approx(
        (30 + 5 + 1 + 10) / (79 + 79 + 9.5 + 79)
    )
    assert says("utilization", snapshot, "slice").startswith("pod slice: GPU GPU-00000002-aaaa")
    assert "on MIG NVML tells none" in says("utilization", snapshot, "slice")
    assert says("memory", snapshot, "nowhere").startswith("pod nowhere: no exporter names it")


@pytest.mark.parametrize("honor_labels", [True, False])
async def test_an_agent_that_asks_no_kubelet_gives_its_gpus_to_nobody_and_not_to_itself(
    tmp_path: Path, prometheus_tools: PrometheusTools, honor_labels: bool
) -> None:
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(running_agent(tmp_path, table(HERE)))
        target = Target(agent.address, {"namespace": "prod", "pod": "agent", "container": "agent"})
        snapshot = await snapshot_of(stack, prometheus_tools, tmp_path, [target], honor_labels=honor_labels)
    assert [device.owners for device in snapshot.devices] == [frozenset()] * 4
    for pod in ("one", "agent"):
        assert says("memory", snapshot, pod).startswith(f"pod {pod}: triton-gpu-agent names no pods")


async def snapshot_of(
    stack: AsyncExitStack,
    tools: PrometheusTools,
    folder: Path,
    targets: list[Target],
    *,
    honor_labels: bool,
) -> GpuSnapshot:
    """What a look gets out of a Prometheus that has scraped them."""
    server = PrometheusServer(tools, folder / "prometheus", targets, honor_labels=honor_labels)
    await stack.enter_async_context(server)
    await server.until_scraped(2)
    source = await stack.enter_async_context(PrometheusSource(server.url))
    settings = GpuSettings(interval=1.0, timeout=5.0, delay=0.1, max_age=30.0, window=60.0)
    reader = GpuReader(EXPORTERS, settings, source, time.monotonic)

    async def seen() -> bool:
        await reader.tick()
        return bool(reader.snapshot.devices)

    await eventually(seen, seconds=SECONDS)
    return reader.snapshot


def answer(short: str, snapshot: GpuSnapshot, *pods: str) -> Answer:
    return ask(SIGNAL_OF[short], [holder("prod", pod, "w", 1) for pod in pods], snapshot)


def value(short: str, snapshot: GpuSnapshot, *pods: str) -> float:
    found = answer(short, snapshot, *pods)
    assert isinstance(found, Value), found
    return found.value


def says(short: str, snapshot: GpuSnapshot, *pods: str) -> str:
    found = answer(short, snapshot, *pods)
    assert isinstance(found, NoData), found
    return found.message
