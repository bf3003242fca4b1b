"""The fleet on the night of the incident: who its pods and nodes are, and how each pod fares at each scrape.

At ONSET the room's cooling fails: the GPUs are slowed by their heat, and every model computes longer in every pod."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from bench.fleet import NAMESPACE

SCRAPE: Final = 30
"""Seconds, as kube-prometheus has it."""
END: Final = 1_768_474_800
"""2026-01-15 11:00 UTC: the whole window is in one of Prometheus' blocks of six hours, so that promtool reads it once."""
START: Final = END - 7200
ONSET: Final = END - 2400
TIMES: Final = range(START - 300, END + 1, SCRAPE)
"""Of the scrapes: rates look back."""
WORKLOAD: Final = "triton"
CAUSE: Final = "a GPU that runs slower"
"""As the report has to call it."""
SLOWED: Final = 1.6
"""Times as long as before."""
PODS_A_NODE: Final = 4
_SAFE: Final = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of the names that Kubernetes makes (apimachinery, util/rand)."""

Values = Sequence[float]


@dataclass(frozen=True, slots=True)
class Pod:
    number: int

    @property
    def name(self) -> str:
        letters = [_SAFE[(self.number // 27**place) % 27] for place in range(5)]
        return f"{WORKLOAD}-6d4cf56db6-{''.join(letters)}"

    @property
    def node(self) -> str:
        return f"node-{self.number // PODS_A_NODE}"

    @property
    def address(self) -> str:
        return f"10.1.{self.number // 250}.{self.number % 250}"

    @property
    def gpu(self) -> str:
        return f"GPU-8a6f0c5e-1f0b-4b6e-9d3a-{self.number:012x}"

    @property
    def noise(self) -> Random:
        """Its own, and the same in every run."""
        return Random(self.number)  # noqa: S311 -- repeatable, and guards nothing

    @property
    def labels(self) -> dict[str, str]:
        """That a PodMonitor of kube-prometheus gives."""
        named = {"namespace": NAMESPACE, "pod": self.name, "container": "triton", "endpoint": "metrics"}
        return {**named, "instance": f"{self.address}:8002", "job": f"{NAMESPACE}/triton"}


def noisy(around: Values, share: float, noise: Random) -> Values:
    """Each with that share of itself as standard deviation."""
    return [value * (1 + share * noise.gauss(0, 1)) for value in around]


def slowed() -> Values:
    """How many times as long as usual a GPU takes, at each scrape."""
    return [SLOWED if at > ONSET else 1.0 for at in TIMES]
