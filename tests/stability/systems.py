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
GUARD_MS: Final = 280
"""For the p99: at AIM it is seven tenths of that, as measured on the queue."""


@dataclass(frozen=True)
class System:
    name: str
    says: str
    metrics: tuple[Mapping[str, Any], ...]
    of_chart: bool = False
    """NVIDIA's: a metric of pods, which another server answers."""
    only: str = ""
    """The one load that it meets; empty: all."""


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


def concurrency(busy: float) -> float:
    """Requests in a pod that is so busy, by Little's law."""
    return busy * (1 + wait_at(busy) / SERVICE_SECONDS)


def share(busy: float) -> float:
    return wait_at(busy) / (wait_at(busy) + SERVICE_SECONDS)


def _systems() -> Iterator[System]:
    rate = external("triton_request_rate", "AverageValue", POD_RATE)
    guard = external("triton_request_duration_p99_ms", "Value", GUARD_MS)
    for busy, suffix, only in ((AIM, "", ""), (HIGH_AIM, "-high", "step")):
        inside, waiting, ms = concurrency(busy), share(busy), wait_at(busy) * 1000
        total = external("triton_inference_concurrency", "AverageValue", inside)
        says = f"`triton_inference_concurrency`, AverageValue {inside:.2f}"
        yield System(f"concurrency{suffix}", says, (total,), only=only)
        if not suffix:
            said = f"{says}, and `triton_request_duration_p99_ms`, Value {GUARD_MS}"
            yield System("guarded", said, (total, guard))
            said = f"{says}, and `triton_request_rate`, AverageValue {POD_RATE:g}"
            yield System("paired", said, (total, rate))
            yield System("rate", f"`triton_request_rate` alone, AverageValue {POD_RATE:g}", (rate,))
        metric = external("triton_queue_share", "Value", waiting)
        yield System(f"share{suffix}", f"`triton_queue_share`, Value {waiting:.2f}", (metric,), only=only)
        metric = external("triton_queue_duration_ms", "Value", ms)
        yield System(f"duration{suffix}", f"`triton_queue_duration_ms`, Value {ms:.0f}", (metric,), only=only)
    microseconds = f"{wait_at(AIM) * 1e6:.0f}"
    target = {"type": "AverageValue", "averageValue": microseconds}
    pods = {"type": "Pods", "pods": {"metric": {"name": "avg_time_queue_us"}, "target": target}}
    says = f"NVIDIA's chart: its `avg_time_queue_us`, Pods AverageValue {microseconds}"
    yield System("chart", says, (pods,), of_chart=True)


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
