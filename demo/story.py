"""What the demo plays: phases of load on one Triton, and the HPA that watches, as data."""

from collections.abc import Sequence
from dataclasses import dataclass

from telemetry.hpa_spec import (
    Behavior,
    ExternalMetric,
    HpaSpec,
    PolicyType,
    ScalingPolicy,
    ScalingRules,
)

SCALED_ON = "triton_inference_concurrency"


@dataclass(frozen=True)
class Phase:
    name: str
    seconds: float
    clients: int
    """Each sends its next request as soon as the last is answered."""
    headline: str
    """What happens; at most 78 characters."""
    look: str
    """What to look at; at most 78 characters."""
    frozen: bool = False
    """Triton is stopped (SIGSTOP) meanwhile: its ports stay open and nothing answers."""


@dataclass(frozen=True)
class Story:
    """Times in seconds. The windows are shorter than those of a fleet, so that a minute and a half shows all of it."""

    phases: tuple[Phase, ...]
    window: float
    """Of every signal; 30 in rules/signals."""
    look_every: float
    """How often the HPA looks; a real one looks every 15."""
    scale_down_after: float
    """The HPA's scaleDown.stabilizationWindowSeconds; 300 by default."""
    instances: int = 2
    service_ms: int = 100
    target: int = 4
    """averageValue of triton_inference_concurrency: requests in Triton a replica."""
    max_replicas: int = 6

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    def at(self, seconds: float) -> Phase:
        """The phase at that second of the story; the last one afterwards."""
        for phase in self.phases[:-1]:
            if seconds < phase.seconds:
                return phase
            seconds -= phase.seconds
        return self.phases[-1]

    def hpa(self) -> HpaSpec:
        target = ExternalMetric(SCALED_ON, average_value_milli=self.target * 1000)
        at_once = ScalingRules(
            (ScalingPolicy(PolicyType.PERCENT, 100, 15), ScalingPolicy(PolicyType.PODS, 4, 15))
        )
        slowly = ScalingRules(
            (ScalingPolicy(PolicyType.PERCENT, 100, 15),), stabilization_window_seconds=self.scale_down_after
        )
        return HpaSpec((target,), self.max_replicas, behavior=Behavior(at_once, slowly))


def _phases(seconds: Sequence[float]) -> tuple[Phase, ...]:
    calm, rush, idle, busy, frozen, resumed = seconds
    return (
        Phase(
            "calm",
            calm,
            2,
            "CALM: 2 clients. This Triton computes 2 requests at once, so nothing waits.",
            "The autoscaler reads Triton's counters; CLIENTS is what the clients saw.",
        ),
        Phase(
            "rush",
            rush,
            14,
            "RUSH: 14 clients. 2 requests are computed at once, and 12 really wait.",
            "Concurrency follows the queue; the request rate does not: Triton is full.",
        ),
        Phase(
            "idle",
            idle,
            0,
            "IDLE: nobody sends. Triton answers, and its counters stand still.",
            "Zero is served only because Triton answered and nothing waits.",
        ),
        Phase(
            "busy",
            busy,
            7,
            "BUSY AGAIN: 7 clients.",
            "Enough for two replicas. Next, this Triton is going to freeze.",
        ),
        Phase(
            "frozen",
            frozen,
            7,
            "FROZEN: Triton is stopped (SIGSTOP) while 7 clients wait for it.",
            "No data is an error, and the HPA holds. A 0 here would scale a full fleet down.",
            frozen=True,
        ),
        Phase(
            "resumed",
            resumed,
            7,
            "RESUMED: Triton runs on, and the 7 clients get their answers.",
            "Values are back at the first scrape, and the replicas never moved.",
        ),
    )


FULL = Story(_phases((12, 20, 22, 12, 13, 13)), window=10, look_every=5, scale_down_after=10)
"""Of 92 s, for people who watch."""
SHORT = Story(_phases((5, 8, 10, 6, 8, 5)), window=5, look_every=2, scale_down_after=4)
"""Of 42 s, for logs and CI."""
