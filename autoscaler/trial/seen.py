"""Everything that a look at a fleet found, as one value: what the report, the manifest and the JSON are made of. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from autoscaler.answer import Answer, NoData, Reason
from autoscaler.trial.decide import Decision
from autoscaler.trial.limits import ModelLimits
from autoscaler.trial.points import NOTHING, Part, Point
from telemetry.target import Workload

SCALED_ON: Final = "triton_inference_concurrency"
MOST_REPLICAS_FACTOR: Final = 2


@dataclass(frozen=True, slots=True)
class Shown:
    """A signal's answer, with the seconds that it is over: the row's own once they are covered, fewer before."""

    answer: Answer
    window: float


def is_absent(shown: Shown) -> bool:
    """The signal is made of what these servers do not show, such as another backend's metrics."""
    return isinstance(shown.answer, NoData) and shown.answer.reason in (
        Reason.FAMILY_ABSENT,
        Reason.NO_SUMMARIES,
    )


@dataclass(frozen=True, slots=True)
class Fleet:
    """Whom the look was at. `pods`: those that run or start, without finished and terminating ones; `asked`: those whose page is
    asked for, fewer in a large fleet; `failures`: why pods do not answer, by pod."""

    namespace: str
    workload: Workload
    pods: int
    asked: int
    answered: int
    failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """What one round showed; `at` in seconds since the beginning."""

    at: float
    fleet: Fleet
    signals: Mapping[str, Shown]
    pods: Mapping[str, float | None]
    """Requests at once by pod; None where nothing is known."""


@dataclass(frozen=True, slots=True)
class Seen:
    fleet: Fleet
    triton: str
    """Version of one pod's Triton; empty where it was not told."""
    seconds: float
    ended_early: bool
    units: Mapping[str, str]
    signals: Mapping[str, Shown]
    limits: Mapping[str, ModelLimits]
    points: Sequence[Point]
    most_total: float | None
    """The largest total of `SCALED_ON` over all pods of the fleet."""
    decision: Decision | None
    why_none: str
    """Why there is no target; empty where there is one."""
    other_scalers: Sequence[str] = ()
    """HPAs that scale the workload already."""

    @property
    def decoupled(self) -> Sequence[str]:
        return sorted(model for model, limits in self.limits.items() if limits.decoupled)

    @property
    def together(self) -> Part:
        """All points in one, with times and requests as sums."""
        return sum((point.total for point in self.points), NOTHING)

    def loads(self) -> tuple[float, float, float] | None:
        """Least, median and most requests at once in a pod, over its points; None without a point."""
        each = [point.total.concurrency for point in self.points]
        return (min(each), median(each), max(each)) if each else None

    @property
    def replicas(self) -> tuple[int, int]:
        """minReplicas and maxReplicas from what runs now: half of it, two at least where there are more than one, so that a quiet
        minute takes no more, and twice of it."""
        now = max(1, self.fleet.pods)
        least = 1 if now == 1 else max(2, math.ceil(now / 2))
        return least, max(2, now * MOST_REPLICAS_FACTOR)

    def wanted(self) -> int | None:
        """Replicas that an HPA with the target asks for at the most load that was seen, before its bounds."""
        if self.decision is None or self.most_total is None:
            return None
        return max(1, math.ceil(self.most_total / self.decision.target - 1e-9))
