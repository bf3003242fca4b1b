"""What a workload's GPU signals say where exporters alone tell: pods whose own pages nobody read."""

import time
from collections.abc import Sequence

from autoscaler.answer import Answer
from autoscaler.evaluate import evaluate
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import load_signals
from telemetry.gpu_exporters.exporter import load_gpu_exporters
from telemetry.gpu_exporters.snapshot import GpuSnapshot
from telemetry.pod_state import PodState
from telemetry.rules_dir import rules_dir
from telemetry.target import Phase, PodKey, Target, Workload

SIGNALS = load_signals(rules_dir() / "signals")
EXPORTERS = load_gpu_exporters(rules_dir() / "gpu_exporters")
SIGNAL_OF = {"memory": "triton_gpu_memory_used_ratio", "utilization": "triton_gpu_utilization"}


def holder(namespace: str, pod: str, workload: str, gpus: int | None) -> PodState:
    """A pod that was there long before the exporter's samples, whose own page nobody read."""
    key = PodKey(namespace, pod, f"uid-{pod}")
    owner = Workload("Deployment", workload)
    target = Target(key, None, None, Phase.RUNNING, ready=True, workload=owner, gpus=gpus)
    return PodState(target, time.monotonic() - 1000.0, failure="not scraped here")


def ask(signal: str, pods: Sequence[PodState], snapshot: GpuSnapshot | None) -> Answer:
    return evaluate(SIGNALS[signal], pods, parse_selector(""), Settings(), time.monotonic(), gpus=snapshot)
