"""What is compared: the signals, each with the target at which a pod is as busy as with every other, and two behaviours of the HPA.

All times of a real cluster are divided by PACE, so that five minutes pass in one: the HPA's sync, its policies' periods and its
stabilization, windows, scrapes, and the loading of a model. The service time too is a fifth of that of the model for which a run
stands, so that as many requests fall into a window as there; nothing but the machine's own delays is out of proportion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.controlplane.kube_client import Object
from tests.e2e.fleet import example_hpa
from tests.stability.loads import AIM, SERVICE_SECONDS, WAIT

PACE: Final = 5
SYNC_SECONDS: Final = 15 / PACE
WINDOW_SECONDS: Final = 30 / PACE
SCRAPE_SECONDS: Final = 5 / PACE
SUMMARY_SECONDS: Final = 60 / PACE
LOADING_SECONDS: Final = 60 / PACE
STABILIZATION_SECONDS: Final = 300 // PACE
POLICY_SECONDS: Final = 15 // PACE
MAX_REPLICAS: Final = 20
GUARD_MS: Final = 400
"""For the p99: what it is at AIM is three quarters of it."""


@dataclass(frozen=True)
class System:
    name: str
    says: str
    metrics: tuple[Mapping[str, Any], ...]
    of_chart: bool = False
    """NVIDIA's: a metric of pods, which another server answers."""


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


CONCURRENCY: Final = external(
    "triton_inference_concurrency", "AverageValue", AIM * (1 + WAIT / SERVICE_SECONDS)
)
SHARE: Final = external("triton_queue_share", "Value", WAIT / (WAIT + SERVICE_SECONDS))
DURATION: Final = external("triton_queue_duration_ms", "Value", WAIT * 1000)
GUARD: Final = external("triton_request_duration_p99_ms", "Value", GUARD_MS)
CHART: Final = {
    "type": "Pods",
    "pods": {
        "metric": {"name": "avg_time_queue_us"},
        "target": {"type": "AverageValue", "averageValue": f"{WAIT * 1e6:.0f}"},
    },
}

SYSTEMS: Final = (
    System("concurrency", "`triton_inference_concurrency`, AverageValue", (CONCURRENCY,)),
    System("guarded", "the same, and `triton_request_duration_p99_ms`, Value", (CONCURRENCY, GUARD)),
    System("share", "`triton_queue_share`, Value", (SHARE,)),
    System("duration", "`triton_queue_duration_ms`, Value", (DURATION,)),
    System("chart", "NVIDIA's chart: its `avg_time_queue_us`, Pods", (CHART,), of_chart=True),
)
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
