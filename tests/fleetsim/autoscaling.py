"""The HPA's loop: each 15 s it compares a measure of the fleet with its target, and changes the number of pods."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triage.cluster_views import HpaCondition, HpaView

if TYPE_CHECKING:
    from tests.fleetsim.fleet import Fleet

SYNC_SECONDS = 15.0
TOLERANCE = 0.1


@dataclass(frozen=True)
class AutoscalerSettings:
    least: int
    most: int
    target: float
    """Requests waiting or running, a pod."""
    down_seconds: float = 300.0
    """The stabilisation window of scaling down."""
    sync_seconds: float = SYNC_SECONDS
    window_seconds: float = 60.0
    """Over which its measure is a mean."""
    tolerance: float = TOLERANCE
    watches_cpu: bool = False
    """It looks at the pods' CPU, and is content."""


class Autoscaler:
    def __init__(self, fleet: "Fleet", settings: AutoscalerSettings) -> None:
        self.fleet, self.settings = fleet, settings
        self.desired = fleet.setup.pods
        self.blind_since: float | None = None
        self.blind = False
        self.scaled_at: float | None = None
        self.measured = 0.0
        self._readings: list[tuple[float, float]] = []
        self._wishes: list[tuple[float, int]] = []
        fleet.loop.every(settings.sync_seconds, self._sync)

    def _sync(self) -> None:
        fleet, settings, now = self.fleet, self.settings, self.fleet.loop.now
        if settings.watches_cpu:
            return
        self._readings = [row for row in self._readings if row[0] > now - settings.window_seconds]
        self._readings.append((now, float(sum(len(pod.in_flight) for pod in fleet.pods))))
        if self.blind:
            if self.blind_since is None:
                self.blind_since = now
            fleet.event(
                f"horizontalpodautoscaler/{fleet.workload}",
                "FailedGetExternalMetric",
                "unable to get external metric inference/triton_inference_concurrency: no metrics returned",
            )
            return
        self.measured = sum(value for _, value in self._readings) / len(self._readings)
        present = fleet.wanted
        ratio = self.measured / (settings.target * max(present, 1))
        wish = present if abs(ratio - 1) <= settings.tolerance else math.ceil(self.measured / settings.target)
        self._wishes = [row for row in self._wishes if row[0] > now - settings.down_seconds]
        self._wishes.append((now, wish))
        # Down only as far as the highest wish of late; up by at most a doubling or four.
        wish = (
            min(wish, max(present * 2, present + 4))
            if wish > present
            else max(each for _, each in self._wishes)
        )
        self.desired = min(max(min(wish, settings.most), settings.least), settings.most)
        if self.desired != present:
            self.scaled_at = now
            fleet.event(
                f"horizontalpodautoscaler/{fleet.workload}",
                "SuccessfulRescale",
                f"New size: {self.desired}; reason: external metric triton_inference_concurrency "
                f"{'above' if self.desired > present else 'below'} target",
            )
            fleet.scale_to(self.desired)

    def view(self) -> HpaView:
        settings = self.settings
        limited = self.desired >= settings.most and self.measured > settings.target * settings.most
        active = HpaCondition("ScalingActive", "True", "ValidMetricFound")
        if self.blind_since is not None:
            active = HpaCondition(
                "ScalingActive",
                "False",
                "FailedGetExternalMetric",
                "the HPA was unable to compute the replica count: unable to get external metric",
                self.blind_since,
            )
        reason = "TooManyReplicas" if limited else "DesiredWithinRange"
        return HpaView(
            name=self.fleet.workload,
            min_replicas=settings.least,
            max_replicas=settings.most,
            current=len(self.fleet.pods),
            desired=self.desired,
            conditions=(
                HpaCondition("AbleToScale", "True", "ReadyForNewScale"),
                active,
                HpaCondition("ScalingLimited", "True" if limited else "False", reason),
            ),
            last_scaled_at=self.scaled_at,
            metrics=() if self.blind else (self._reading(),),
        )

    def _reading(self) -> str:
        if self.settings.watches_cpu:
            return f"resource cpu: 73% of {self.settings.target:g}%"
        each = self.measured / max(self.fleet.wanted, 1)
        return f"external triton_inference_concurrency: {each:.1f} of {self.settings.target:.1f} a pod"
