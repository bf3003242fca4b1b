"""A target: one Triton metrics endpoint, and the pod behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class PodKey(NamedTuple):
    """Identity of a pod across its containers' restarts; made anew under an old name, it has another uid."""

    namespace: str
    pod: str
    uid: str


class Workload(NamedTuple):
    """The object at the top of the pod's owner references: the one that a person scales."""

    kind: str
    name: str


class Phase(StrEnum):
    """What Kubernetes knows of the pod's Triton container, as far as a scrape is concerned."""

    STARTING = "starting"  # the container has not run yet: nothing can answer, and nothing is in flight
    RUNNING = "running"
    STOPPED = "stopped"  # waiting to be restarted (CrashLoopBackOff) or finished: nothing is in flight
    TERMINATING = "terminating"  # deletion has begun: leaves totals and their denominators together


@dataclass(frozen=True, slots=True)
class Target:
    """Where one pod's metrics are, and what Kubernetes says of that pod."""

    key: PodKey
    metrics_url: str | None
    """`http://IP:PORT/metrics`; None while the pod has no address."""
    http_url: str | None
    """Base of Triton's HTTP API, `http://IP:PORT`; None when unknown."""
    phase: Phase
    ready: bool
    """The pod's Ready condition. A Triton that loads any model is not ready while its queue may be full."""
    born_in_sight: bool = False
    """Seen before its container ran, so its counters began at zero while we were looking."""
    node: str = ""
    workload: Workload | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    workload_guessed: bool = False
    """The workload's name was worked out from the pod alone: its owner is not looked up yet, or cannot be."""
    restarts: int = 0
    """How often its Triton container began anew: another number is another process."""
    finished: bool = False
    """The pod will never run again: evicted, preempted, or all of it done. Kubernetes keeps such pods beside the ones in their
    place."""
    counters_off: bool = False
    """Its arguments say `--metrics-config counter_latencies=false`."""
    gpus: int | None = None
    """GPUs, MIG instances and parts of shared ones that its containers' limits give it; None where nobody says."""
    problem: str = ""
    """What is wrong with the pod's own settings, in words for its owner; empty when nothing is."""


class Targets:
    """The current targets by pod, one value that is replaced whole; `complete` once the source was listed."""

    def __init__(self) -> None:
        self.complete = False
        self.by_key: Mapping[PodKey, Target] = {}

    def replace(self, targets: Mapping[PodKey, Target]) -> None:
        self.by_key = targets
        self.complete = True
