"""Every time is the real one's, divided by the pace; and NVIDIA's rule is NVIDIA's."""

import yaml

from autoscaler.config import ScrapeSection
from autoscaler.signal import load_signals
from telemetry.hpa_spec import DEFAULT_SCALE_UP
from telemetry.rules_dir import rules_dir
from tests.e2e.daemon import CHECKOUT
from tests.fleetsim.counters import SUMMARY_SECONDS as TRITONS_SUMMARY_SECONDS
from tests.stability import systems
from tests.stability.chart import query


def test_times_are_those_of_a_real_cluster_at_the_pace() -> None:
    example = yaml.safe_load((CHECKOUT / "deploy/examples/hpa.yaml").read_text())
    stabilization = example["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"]
    assert stabilization == systems.PACE * systems.STABILIZATION_SECONDS
    windows = {row.window for row in load_signals(rules_dir() / "signals").values()}
    assert windows == {systems.PACE * systems.WINDOW_SECONDS}
    assert ScrapeSection().interval == systems.PACE * systems.SCRAPE_SECONDS
    assert {policy.period_seconds for policy in DEFAULT_SCALE_UP.policies} == {
        systems.PACE * systems.POLICY_SECONDS
    }
    assert systems.PACE * systems.SUMMARY_SECONDS == TRITONS_SUMMARY_SECONDS


def test_an_hpa_is_the_example_but_for_its_metrics_and_times() -> None:
    spec = systems.hpa("here", systems.SYSTEMS[0], systems.BEHAVIOURS[0])["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "triton"}
    assert [metric["external"]["target"] for metric in spec["metrics"]] == [
        {"type": "AverageValue", "averageValue": "772m"}
    ]
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 60


def test_the_charts_query_is_its_own() -> None:
    """values.yaml of deploy/k8s-onprem, with what prometheus-adapter puts for its two marks, and 30 s at the pace."""
    matchers = '{namespace="here",pod=~"a|b"}'
    assert query("here", ["b", "a"]) == (
        f"avg(delta(nv_inference_queue_duration_us{matchers}[6s])"
        f"/(1+delta(nv_inference_request_success{matchers}[6s]))) by (pod)"
    )
