"""The two rules that NVIDIA publishes for scaling Triton, word for word, asked of a real Prometheus.

Both are metrics of pods (`type: Pods` in the HPA), so the HPA averages over the pods that it has. What follows each selector
(`<<.LabelMatchers>>`, `<<.GroupBy>>`) is what prometheus-adapter fills in for pods."""

import time
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.groundtruth.observed import Observed
from tests.prometheus.server import PrometheusServer


@dataclass(frozen=True)
class Rule:
    """`signal`: ours of the same name, whose truth is the rule's too. `window`: the rule's own, in seconds."""

    name: str
    signal: str
    window: float
    query: str
    source: str

    @property
    def ours(self) -> str:
        """Our signal over the rule's window, as it is asked for."""
        return f"{self.signal} over {self.window:g} s"


TUTORIAL: Final = Rule(
    "the tutorial's rule",
    "triton:queue_compute:ratio",
    60.0,
    "sum by (pod) (rate(nv_inference_queue_duration_us[1m])"
    " / clamp_min(rate(nv_inference_compute_infer_duration_us[1m]), 1))",
    "triton-inference-server/tutorials: Deployment/Kubernetes/TensorRT-LLM_Autoscaling_and_Load_Balancing",
)
CHART: Final = Rule(
    "the chart's rule",
    "avg_time_queue_us",
    30.0,
    "avg by (pod) (delta(nv_inference_queue_duration_us[30s])"
    " / (1 + delta(nv_inference_request_success[30s])))",
    "triton-inference-server/server: deploy/k8s-onprem",
)
RULES: Final = (TUTORIAL, CHART)


class Told(NamedTuple):
    """What a rule says of each pod at a monotonic second; a pod of which it says nothing is missing."""

    at: float
    pods: dict[str, float]


async def ask_rule(server: PrometheusServer, rule: Rule, observed: Observed) -> list[Told]:
    """At the moments at which ours was asked, once they are over: a Prometheus answers for any moment of its past."""
    ahead = time.time() - time.monotonic()
    told = []
    for reading in observed.readings:
        if reading.signal == rule.ours:
            found = await server.ask("query", query=rule.query, time=f"{reading.asked_at + ahead:.3f}")
            pods = {series["metric"]["pod"]: float(series["value"][1]) for series in found["result"]}
            told.append(Told(reading.asked_at, pods))
    return told
