"""A start-up without end, on a real API server: what a real Triton's log does not show is told by time, ports and use of CPU,
and a kubelet that gives up is told as such."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kube_client import Object
from tests.controlplane.kubelet import ContainerReport, crash_loop
from tests.loadfailures.cluster_failures import IMAGE
from tests.loadfailures.cluster_pods import ask, reader
from tests.loadfailures.failure import End, Failure
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Outcomes
from tests.loadfailures.test_triage_is_right import assert_right

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "cluster-hangs"
HUNG = [failure for failure in FAILURES if failure.end is End.HUNG]
SILENT = [failure for failure in HUNG if not failure.log_shows]
USE_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "pods.metrics.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
    },
    "spec": {
        "group": "metrics.k8s.io",
        "names": {"kind": "PodMetrics", "plural": "pods", "singular": "pod"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}
"""The API of metrics-server, kept by the API server itself: the same path, rights and objects."""
PROBES: Object = {
    "startupProbe": {"httpGet": {"port": 8000, "path": "/v2/health/ready"}, "failureThreshold": 6},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kubeconfig(control_plane: ControlPlane) -> AsyncIterator[Path]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply([USE_CRD])
    await control_plane.until_served(USE_CRD["metadata"]["name"])
    await control_plane.api.apply(reader(NAMESPACE))
    yield await control_plane.service_account_kubeconfig(NAMESPACE, "on-call")
    await control_plane.delete_namespace(NAMESPACE)
    await control_plane.api.delete(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", USE_CRD["metadata"]["name"]
    )


@pytest.mark.parametrize("failure", HUNG, ids=str)
async def test_a_hang_is_told_by_time_port_and_cpu(
    failure: Failure, outcomes: Outcomes, control_plane: ControlPlane, kubeconfig: Path
) -> None:
    """Where its log names the cause, that is the verdict; where it does not, there is none, and the facts are told."""
    log = (await outcomes[failure.id]).log
    await be_hanging(control_plane, failure.id, log, minutes=30)
    report = await ask(kubeconfig, NAMESPACE, f"pod/{failure.id}")
    assert_right(report.verdict, failure, shown=failure.log_shows)
    if failure.log_shows:
        return
    told = " ".join(fact.text for fact in report.why)
    assert report.verdict.leaf == "hangs"
    assert "Container triton has run for 30 min without a restart; its last line came 28 min ago;" in told
    assert f"nobody listens on port 8000 of pod {failure.id}" in told
    assert "container triton used 0.00 cores (30 s until " in told.lower()
    assert "it waits for something" in told
    assert "Look what the process waits for" in report.actions[0].do
    assert report.actions[0].command is not None


async def test_a_load_that_computes_is_told_from_one_that_waits(
    outcomes: Outcomes, control_plane: ControlPlane, kubeconfig: Path
) -> None:
    """By CPU alone: the log is the same."""
    log = "I1130 12:00:00.000000 1 model_lifecycle.cc:472] loading: ranker:1\n"
    await be_hanging(control_plane, "computes", log, minutes=5, cores="998m")
    report = await ask(kubeconfig, NAMESPACE, "pod/computes")
    assert report.verdict.leaf == "hangs"
    assert any("used 1.00 cores" in fact.text and "it computes" in fact.text for fact in report.why)


async def test_a_server_that_says_nothing_at_all_hangs_too(
    control_plane: ControlPlane, kubeconfig: Path
) -> None:
    """No line names a model: that it runs, and has its ports closed, is all there is."""
    await be_hanging(control_plane, "mute", "", minutes=10)
    report = await ask(kubeconfig, NAMESPACE, "pod/mute")
    assert report.verdict.leaf == "hangs"
    told = " ".join(fact.text for fact in report.why)
    assert "Container triton has run for 10 min without a restart; its log is empty;" in told


async def test_a_probe_that_only_fails_so_far_is_a_hint_with_the_facts_of_the_hang(
    control_plane: ControlPlane, kubeconfig: Path
) -> None:
    log = "I1130 12:00:00.000000 1 model_lifecycle.cc:472] loading: ranker:1\n"
    await be_hanging(control_plane, "probed", log, minutes=3, probes=PROBES)
    message = 'Startup probe failed: Get "http://10.0.0.5:8000/v2/health/ready": connect: connection refused'
    await control_plane.kubelet.event(NAMESPACE, "probed", "Unhealthy", message, count=12)
    report = await ask(kubeconfig, NAMESPACE, "pod/probed")
    assert (report.verdict.category, report.verdict.confidence) == ("host_resources", "possible")
    told = " ".join(fact.text for fact in report.why)
    assert "Container triton has run for 3 min" in told or "Container triton has run for 180 s" in told
    assert "it waits for something" in told


@pytest.mark.parametrize("probe", ["startup", "liveness"])
@pytest.mark.parametrize("failure", SILENT[:1], ids=str)
async def test_a_probe_that_ends_a_slow_load_is_the_cause(
    failure: Failure, probe: str, outcomes: Outcomes, control_plane: ControlPlane, kubeconfig: Path
) -> None:
    """The kubelet's event names it; the log of the life that ended is a real Triton's in the middle of a load."""
    name, log = f"{probe}-kill", (await outcomes[failure.id]).log
    probes = {f"{probe}Probe": PROBES["startupProbe"] | {"initialDelaySeconds": 5, "periodSeconds": 10}}
    await be_hanging(
        control_plane, name, log, minutes=1, probes=probes, report=crash_loop("triton", exit_code=137)
    )
    message = f"Container triton failed {probe} probe, will be restarted"
    await control_plane.kubelet.event(NAMESPACE, name, "Killing", message, type="Normal")
    report = await ask(kubeconfig, NAMESPACE, f"pod/{name}")
    assert (report.verdict.category, report.verdict.confidence) == ("host_resources", "likely")
    assert "Give the startup probe more time" in report.verdict.action
    [told] = [fact.text for fact in report.why if fact.text.startswith(f"The {probe} probe of container")]
    assert "(GET :8000/v2/health/ready) gives up 65 s after the start (5 s + 6 x 10 s)" in told


async def be_hanging(
    plane: ControlPlane,
    name: str,
    log: str,
    *,
    minutes: int,
    cores: str = "2m",
    probes: Object | None = None,
    report: ContainerReport | None = None,
) -> None:
    """A pod whose Triton began so long ago, wrote its log after two minutes, and has no port open."""
    began = datetime.now(UTC) - timedelta(minutes=minutes)
    await plane.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "nodeName": "node-0",
                "containers": [{"name": "triton", "image": IMAGE} | (probes or {})],
            },
        }
    )
    file = await plane.kubelet.log_file(NAMESPACE, name, "triton", previous=report is not None)
    await asyncio.to_thread(file.write_bytes, cri_lines(log, began + timedelta(minutes=2)))
    state = {"running": {"startedAt": began.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    await plane.kubelet.report(
        NAMESPACE, name, report or ContainerReport("triton", state, ready=False, started=False)
    )
    if report is None:
        await plane.pod_proxy.join(NAMESPACE, name)
    use = {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "window": "30s",
        "containers": [{"name": "triton", "usage": {"cpu": cores, "memory": "300Mi"}}],
    }
    await plane.api.apply([use])
