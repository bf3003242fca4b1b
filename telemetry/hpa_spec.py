"""The part of a HorizontalPodAutoscaler's spec that decides about external metrics, as values in milli-units
and seconds."""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_TOLERANCE = 0.1  # --horizontal-pod-autoscaler-tolerance
DOWNSCALE_STABILIZATION_SECONDS = 300.0  # --horizontal-pod-autoscaler-downscale-stabilization


@dataclass(frozen=True, slots=True)
class ExternalMetric:
    """One entry of `spec.metrics`; exactly one of the targets is set, and positive."""

    name: str
    value_milli: int | None = None
    average_value_milli: int | None = None


class PolicyType(StrEnum):
    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    MAX = "Max"  # the policy that allows most change
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    type: PolicyType
    value: int
    period_seconds: int


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """`spec.behavior.scaleUp` or `.scaleDown`, with the API server's defaults filled in."""

    policies: tuple[ScalingPolicy, ...]
    stabilization_window_seconds: float = 0.0
    select_policy: SelectPolicy = SelectPolicy.MAX
    tolerance: float = DEFAULT_TOLERANCE


DEFAULT_SCALE_UP = ScalingRules(
    (ScalingPolicy(PolicyType.PODS, 4, 15), ScalingPolicy(PolicyType.PERCENT, 100, 15))
)
DEFAULT_SCALE_DOWN = ScalingRules(
    (ScalingPolicy(PolicyType.PERCENT, 100, 15),),
    stabilization_window_seconds=DOWNSCALE_STABILIZATION_SECONDS,
)


@dataclass(frozen=True, slots=True)
class Behavior:
    scale_up: ScalingRules = DEFAULT_SCALE_UP
    scale_down: ScalingRules = DEFAULT_SCALE_DOWN


@dataclass(frozen=True, slots=True)
class HpaSpec:
    metrics: tuple[ExternalMetric, ...]
    max_replicas: int
    min_replicas: int = 1
    behavior: Behavior | None = None
    scale_to_zero: bool = False
    """The feature gate HPAScaleToZero: off by default in 1.36, on in 1.37."""
    downscale_stabilization_seconds: float = DOWNSCALE_STABILIZATION_SECONDS
    """The controller's own window, where there is no `behavior`."""
