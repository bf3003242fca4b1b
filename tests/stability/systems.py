"""What is compared: the signals, each with the target at which a pod is as busy as with every other, and two behaviours of the HPA.

All times of a real cluster are divided by PACE, so that five minutes pass in one: the HPA's sync, its policies' periods and its
stabilization, windows, scrapes, and the loading of a model. The service time too is a fifth of that of the model for which a run
stands, so that as many requests fall into a window as there; nothing but the machine's own delays is out of proportion."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.controlplane.kube_client import Object
from tests.e2e.fleet import example_hpa
from tests.stability.loads import AIM, POD_RATE, SERVICE_SECONDS, wait_at

PACE: Final = 5
SYNC_SECONDS: Final = 15 / PACE
WINDOW_SECONDS: Final = 30 / PACE
SCRAPE_SECONDS: Final = 5 / PACE
SUMMARY_SECONDS: Final = 60 / PACE
LOADING_SECONDS: Final = 60 / PACE
STABILIZATION_SECONDS: Final = 300 // PACE
POLICY_SECONDS: Final = 15 // PACE
MAX_REPLICAS: Final = 20
HIGH_AIM: Final = 0.65
"""How busy a pod is where the higher targets are: a queue share of one half."""
MANY: Final = 4
"""Instances in the pods of some; each is as much slower, so that a pod can do as much."""
GUARD_MS: Final = 280
"""For the p99: at AIM it is seven tenths of that, as measured on the queue."""


@dataclass(frozen=True)
class System:
    name: str
    says: str
    metrics: tuple[Mapping[str, Any], ...]
    of_chart: bool = False
    """NVIDIA's: a metric of pods, which another server answers."""
    instances: int = 1
    """Of the model in each pod."""
    aside: bool = False
    """It shows where a target does not hold: under the step alone, and without stabilization, which would hide that."""


@dataclass(frozen=True)
class Behaviour:
    name: str
    says: str
    stabilization_seconds: int


def external(signal: str, kind: str, target: float) -> Mapping[str, Any]:
    name = {"Value": "value", "AverageValue": "averageValue"}[kind]
    metric = {"name": signal, "selector": {"matchLabels": {"workload": "triton"}}}
    return {
        "type": "External",
        "external": {"metric": metric, "target": {"type": kind, name: f"{target * 1000:.0f}m"}},
    }


def concurrency(busy: float, instances: int = 1) -> float:
    """Requests in a pod that is so busy, by Little's law."""
    return busy * (instances + wait_at(busy, instances) / SERVICE_SECONDS)


def share(busy: float, instances: int = 1) -> float:
    waits = wait_at(busy, instances)
    return waits / (waits + SERVICE_SECONDS * instances)


def duration_ms(busy: float, instances: int = 1) -> float:
    return wait_at(busy, instances) * 1000


def _systems() -> Iterator[System]:
    total, inside = _concurrency(AIM)
    rate = external("triton_request_rate", "AverageValue", POD_RATE)
    guard = external("triton_request_duration_p99_ms", "Value", GUARD_MS)
    yield System("concurrency", inside, (total,))
    yield System(
        "guarded", f"{inside}, and `triton_request_duration_p99_ms`, Value {GUARD_MS}", (total, guard)
    )
    yield System("paired", f"{inside}, and `triton_request_rate`, AverageValue {POD_RATE:g}", (total, rate))
    yield System("rate", f"`triton_request_rate` alone, AverageValue {POD_RATE:g}", (rate,))
    for name, (metric, says) in {"share": _share(AIM), "duration": _duration(AIM)}.items():
        yield System(name, says, (metric,))
    microseconds = f"{duration_ms(AIM) * 1000:.0f}"
    target = {"type": "AverageValue", "averageValue": microseconds}
    pods = {"type": "Pods", "pods": {"metric": {"name": "avg_time_queue_us"}, "target": target}}
    says = f"NVIDIA's chart: its `avg_time_queue_us`, Pods AverageValue {microseconds}"
    yield System("chart", says, (pods,), of_chart=True)
    for suffix, instances in (("high", 1), ("many", MANY)):
        targets = (
            _concurrency(HIGH_AIM, instances),
            _share(HIGH_AIM, instances),
            _duration(HIGH_AIM, instances),
        )
        more = f", pods of {instances} instances" if instances > 1 else ""
        for name, (metric, says) in zip(("concurrency", "share", "duration"), targets, strict=True):
            yield System(f"{name}-{suffix}", f"{says}{more}", (metric,), instances=instances, aside=True)


Target = tuple[Mapping[str, Any], str]
"""A metric of an HPA, and what it is in words."""


def _concurrency(busy: float, instances: int = 1) -> Target:
    target = concurrency(busy, instances)
    metric = external("triton_inference_concurrency", "AverageValue", target)
    return metric, f"`triton_inference_concurrency`, AverageValue {target:.2f}"


def _share(busy: float, instances: int = 1) -> Target:
    target = share(busy, instances)
    return external("triton_queue_share", "Value", target), f"`triton_queue_share`, Value {target:.2f}"


def _duration(busy: float, instances: int = 1) -> Target:
    target = duration_ms(busy, instances)
    return external(
        "triton_queue_duration_ms", "Value", target
    ), f"`triton_queue_duration_ms`, Value {target:.0f}"


SYSTEMS: Final = tuple(_systems())
BEHAVIOURS: Final = (
    Behaviour("example", "the example's behaviour", STABILIZATION_SECONDS),
    Behaviour("unstabilized", "no stabilization", 0),
)


def hpa(namespace: str, system: System, behaviour: Behaviour) -> Object:
    """The example that users copy, at this pace; the policies are Kubernetes' defaults, told since they have times in them."""
    found = example_hpa(namespace, "1")
    found["spec"] |= {"minReplicas": 1, "maxReplicas": MAX_REPLICAS, "metrics": list(system.metrics)}
    percent = {"type": "Percent", "value": 100, "periodSeconds": POLICY_SECONDS}
    pods = {"type": "Pods", "value": 4, "periodSeconds": POLICY_SECONDS}
    down = {"stabilizationWindowSeconds": behaviour.stabilization_seconds, "policies": [percent]}
    found["spec"]["behavior"] = {"scaleUp": {"policies": [pods, percent]}, "scaleDown": down}
    return found
