"""An HPA's spec as the API server stores it, its defaults filled in: what the controller works from."""

from fractions import Fraction
from typing import Final

from telemetry.hpa_spec import (
    DEFAULT_TOLERANCE,
    Behavior,
    ExternalMetric,
    HpaSpec,
    PolicyType,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)
from tests.controlplane.kube_client import Object

_SUFFIXES: Final = {"m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def read_spec(hpa: Object, *, scale_to_zero: bool, downscale_stabilization_seconds: float) -> HpaSpec:
    """The two that the object does not say are the controller's feature gate and its flag."""
    spec, own = hpa["spec"], downscale_stabilization_seconds
    behavior = None
    if given := spec.get("behavior"):
        behavior = Behavior(_rules(given["scaleUp"], own), _rules(given["scaleDown"], own))
    metrics = tuple(_metric(metric["external"]) for metric in spec["metrics"])
    return HpaSpec(metrics, spec["maxReplicas"], spec["minReplicas"], behavior, scale_to_zero, own)


def _metric(external: Object) -> ExternalMetric:
    target = external["target"]
    value, average = target.get("value"), target.get("averageValue")
    return ExternalMetric(external["metric"]["name"], value and milli(value), average and milli(average))


def _rules(given: Object, own_window: float) -> ScalingRules:
    """Only a scale-down's window may be missing: it is the controller's own."""
    policies = tuple(
        ScalingPolicy(PolicyType(each["type"]), each["value"], each["periodSeconds"])
        for each in given["policies"]
    )
    window = given.get("stabilizationWindowSeconds", own_window)
    # As the controller: the digits times a power of ten, in floating point.
    tolerance = milli(given["tolerance"]) * 10**-3 if "tolerance" in given else DEFAULT_TOLERANCE
    return ScalingRules(policies, window, SelectPolicy(given["selectPolicy"]), tolerance)


def milli(quantity: str) -> int:
    """Of a quantity in Kubernetes' canonical form, in milli-units; `ValueError` where it has a finer part."""
    power = _SUFFIXES.get(quantity[-1], 0)
    number = Fraction(quantity[:-1] if power else quantity) * Fraction(10) ** (power + 3)
    if number.denominator != 1:
        raise ValueError(f"{quantity} is no whole number of milli-units")
    return int(number)
