"""What a Prometheus is asked of a pod's GPUs: all of it where any exporter of GPUs is there, else that none is."""

import pytest

from telemetry.prometheus import PrometheusSource
from telemetry.rules_dir import rules_dir
from tests.triage.snapshots import container
from tests.triage.test_pod_triton import Plain
from triage.evidence import Missing, PodView
from triage.latency.measures import read_measures
from triage.probes.pod_gpus import MEASURES, PodGpus
from triage.seal import Seal

POD = PodView(
    "prod", "web-1", "Running", False, node="n1", containers=(container(limits={"nvidia.com/gpu": "1"}),)
)


@pytest.mark.parametrize(
    ("families", "asked"),
    [
        ({"triton_gpu_agent_snapshots_total", "triton_gpu_agent_problem"}, True),
        ({"triton_gpu_agent_snapshots_total", "triton_gpu_memory_used_bytes"}, True),
        ({"DCGM_FI_DEV_XID_ERRORS"}, True),
        ({"triton_gpu_memory_used_ratio", "nv_gpu_utilization"}, False),  # a signal and Triton's own
    ],
    ids=["no driver", "no owners", "errors alone", "no exporter"],
)
async def test_an_agent_that_sees_nothing_is_asked_why(
    families: set[str], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def names(*_: object, **__: object) -> frozenset[str]:
        return frozenset(families)

    source = PrometheusSource("http://127.0.0.1:9")
    monkeypatch.setattr(source, "metric_names", names)
    (first,) = PodGpus(source, read_measures(rules_dir() / "measures")["platform"]).questions(POD, 1.8e9)
    found = await first.ask(Seal(Plain()))
    assert {one.id for one in found.then} == ({f"gpu/{name}:web-1" for name in MEASURES} if asked else set())
    assert isinstance(found.facts, Missing)
    assert ("no series of triton-gpu-agent" in found.facts.detail) != asked
