"""What a real Prometheus has of the agent, with the labels that it gives its targets in Kubernetes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.gpu_agent.agent import SECONDS, running_agent
from tests.gpu_agent.fake_kubelet import FakeContainer, FakeKubelet
from tests.gpu_agent.fake_nvml import GIB, FakeGpu, table
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer, Target

WHOLE = [FakeGpu(0), FakeGpu(1, used=5 * GIB)]
OF_EACH_POD = (
    "triton_gpu_memory_used_bytes * on (node, uuid, gpu_instance) group_right () "
    "max by (node, uuid, gpu_instance, {namespace}, {pod}) (triton_gpu_owner)"
)
"""As docs/operations.md has it."""


@pytest.mark.parametrize(
    ("honor_labels", "names"),
    [
        (True, {"namespace": "namespace", "pod": "pod"}),
        (False, {"namespace": "exported_namespace", "pod": "exported_pod"}),
    ],
)
async def test_a_sum_counts_a_shared_gpu_once_and_the_join_names_its_owners(
    tmp_path: Path, prometheus_tools: PrometheusTools, honor_labels: bool, names: Mapping[str, str]
) -> None:
    async with FakeKubelet(tmp_path / "kubelet.sock") as kubelet:
        kubelet.containers = [
            FakeContainer("a", "one", "triton", [f"{WHOLE[0].uuid}::0"], "nvidia.com/gpu.shared"),
            FakeContainer("b", "two", "triton", [f"{WHOLE[0].uuid}::1"], "nvidia.com/gpu.shared"),
            FakeContainer("b", "three", "triton", [WHOLE[1].uuid]),
        ]
        async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
            target = Target(agent.address, {"namespace": "gpus", "pod": "agent-x", "container": "agent"})
            server = PrometheusServer(
                prometheus_tools, tmp_path / "prometheus", [target], honor_labels=honor_labels
            )
            async with server:

                async def query(text: str) -> list[tuple[Mapping[str, str], float]]:
                    found = await server.ask("query", query=text)
                    return [(row["metric"], float(row["value"][1])) for row in found["result"]]

                async def has_all() -> bool:
                    return len(await query("triton_gpu_owner")) == 3

                await eventually(has_all, seconds=SECONDS)
                assert [value for _, value in await query("sum(triton_gpu_memory_used_bytes)")] == [35 * GIB]
                used = await query("triton_gpu_memory_used_bytes")
                assert {labels.get(names["pod"]): value for labels, value in used} == {
                    None: 30 * GIB,
                    "three": 5 * GIB,
                }
                told = await query(OF_EACH_POD.format_map(names))
                assert {labels[names["pod"]]: value for labels, value in told} == {
                    "one": 30 * GIB,
                    "two": 30 * GIB,
                    "three": 5 * GIB,
                }
