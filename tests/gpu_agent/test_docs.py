"""docs/operations.md names each problem and metric of the agent, and none that it does not have."""

import re
from typing import get_args

from telemetry.gpu_agent.devices import THROTTLE_REASONS, Gpu, GpuInstance, Memory
from telemetry.gpu_agent.families import device_families, problem_family
from telemetry.gpu_agent.problems import MEANING, ProblemKind
from telemetry.gpu_agent.snapshot import FromKubelet, FromNvml, Snapshot, take_snapshot
from tests.deploy.helm import CHECKOUT

TOLD = (CHECKOUT / "docs" / "operations.md").read_text().split("\n## triton-gpu-agent\n")[1]


def test_every_problem_is_told_with_what_to_do() -> None:
    problems = TOLD.split("### When the agent does not see")[1]
    assert set(re.findall(r"(?m)^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", problems)) == set(get_args(ProblemKind))
    assert set(MEANING) == set(get_args(ProblemKind))


def test_every_metric_is_told() -> None:
    rows = re.findall(r"(?m)^\| (`triton_gpu_[^|]+) \|", TOLD)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    memory = Memory(1, 1, 1, 3)
    whole = Gpu(0, "GPU-0", None, False, memory, 0.5, 1e9, 2e9, dict.fromkeys(THROTTLE_REASONS, False))
    sliced = Gpu(1, "GPU-1", mig=True, instances=(GpuInstance(1, "1g.10gb", ("MIG-1",), memory),))
    snapshot = take_snapshot(Snapshot(), FromNvml([whole, sliced]), FromKubelet())
    families = [*device_families("n", snapshot), problem_family("n", snapshot)]
    served = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert told == served | {"triton_gpu_agent_snapshot_age_seconds", "triton_gpu_agent_snapshots_total"}
