"""What is around a model in a server: its machine, and what is broken in it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.fleetsim.cpu import CpuQuota

OK, FAILED, REFUSED = 200, 500, 503


@dataclass
class Host:
    """What the pod's surroundings do to its work; faults change it."""

    slowness: Callable[[str], float] = lambda model: 1.0
    """Factor on the model's own time."""
    copying: float = 1.0
    """Factor on the time of inputs and outputs."""
    overhead_ms: float = 0.1
    """Time of a request in Triton outside every phase."""
    quota: CpuQuota | None = None
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0


@dataclass
class Defects:
    """What is broken in one model of one server."""

    hung: bool = False
    fails: float = 0.0
    """Share of executions that raise."""
    fails_after_ms: float = 5.0
    error_responses: float = 0.0
    """Share of requests that the model answers with an error of its own; Triton counts them as success."""
