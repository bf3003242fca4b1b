"""A decision in the words of the HPA's condition ScalingLimited."""

from telemetry.hpa import Decision
from telemetry.hpa_behavior import Step, StepKind


def limited(decision: Decision) -> str:
    """Of the first limit that a look met: what comes after it is no condition."""
    limits = (step for step in decision.steps if step.kind in (StepKind.LIMITED, StepKind.CLAMPED))
    return limited_by(next(limits, None))


def limited_by(step: Step | None) -> str:
    if step is None:
        return "DesiredWithinRange"
    if step.kind is StepKind.LIMITED:
        return "ScaleDownLimit" if "scaleDown" in step.why else "ScaleUpLimit"
    return "TooManyReplicas" if step.why == "maxReplicas" else "TooFewReplicas"
