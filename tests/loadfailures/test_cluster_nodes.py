"""What a pod's node and its GPUs show beside a failure, on a real API server. There is no GPU here: metrics pages are written after
triton-inference-server/core: src/metrics.cc, and pods hold GPUs by their limits alone."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kube_client import Object
from tests.controlplane.kubelet import HELD, running
from tests.latency.triage_process import triage
from tests.loadfailures.cluster_failures import IMAGE
from tests.loadfailures.cluster_pods import ask, reader
from tests.loadfailures.failure import Failure
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Outcomes
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.gpu_pages import GIB, always
from tests.prometheus.samples import Samples
from tests.prometheus.server import PrometheusServer
from triage.report import Report

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "cluster-nodes"
TOO_SMALL = [failure for failure in FAILURES if failure.id == "shared-memory-too-small"]
GPU: Object = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
PAGE = """# HELP nv_gpu_memory_total_bytes GPU total memory, in bytes
# TYPE nv_gpu_memory_total_bytes gauge
nv_gpu_memory_total_bytes{gpu_uuid="GPU-1"} 85899345920.000000
# HELP nv_gpu_memory_used_bytes GPU used memory, in bytes
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 84825604096.000000
"""
FULL = """I1130 12:00:00.000000 1 model_lifecycle.cc:472] loading: ranker:1
E1130 12:00:09.000000 1 model_lifecycle.cc:641] failed to load 'ranker' version 1: Internal: unable to create TensorRT context: \
ICudaEngine::createExecutionContext: Error Code 2: OutOfMemory (Requested size was 2147483648 bytes.)
"""
LISTS_PODS = f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {NAMESPACE}-all-pods}}
rules:
  - {{apiGroups: [""], resources: [pods], verbs: [list]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {NAMESPACE}-all-pods}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {NAMESPACE}-all-pods}}
subjects: [{{kind: ServiceAccount, name: admin, namespace: {NAMESPACE}}}]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(control_plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(reader(NAMESPACE))
    await control_plane.api.apply(reader(NAMESPACE, name="admin"))
    await control_plane.api.apply(LISTS_PODS)
    yield control_plane
    await control_plane.delete_namespace(NAMESPACE)


@pytest.mark.parametrize(
    ("mounts", "volumes", "told"),
    [
        (
            [],
            [],
            "No volume is mounted at /dev/shm in container triton, so the container runtime's 64 MiB hold.",
        ),
        (
            [{"name": "shm", "mountPath": "/dev/shm"}],
            [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}],
            "/dev/shm of container triton is a memory volume of at most 1Gi.",
        ),
    ],
    ids=["none", "memory"],
)
@pytest.mark.parametrize("failure", TOO_SMALL, ids=str)
async def test_what_is_mounted_at_dev_shm_is_told_where_shared_memory_failed(
    failure: Failure,
    outcomes: Outcomes,
    plane: ControlPlane,
    mounts: list[Object],
    volumes: list[Object],
    told: str,
) -> None:
    """By a real Triton's own log."""
    name = f"shm-{len(mounts)}"
    await run_pod(plane, name, {"volumeMounts": mounts}, (await outcomes[failure.id]).log, volumes=volumes)
    report = await asked(plane, name)
    assert report.verdict.category == "host_resources"
    assert told in [fact.text for fact in report.why]


async def test_a_node_that_is_lost_is_the_cause_and_its_silent_logs_are_told(plane: ControlPlane) -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "lost"},
        "spec": {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]},
    }
    await plane.api.apply([node])
    unknown = {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
    }
    status = {"status": {"conditions": [unknown], "allocatable": {"nvidia.com/gpu": "8"}}}
    await plane.api.patch("v1", "Node", "lost", status, subresource="status")
    await plane.api.apply(pod("on-lost", {}, node="lost", tolerations=[{"operator": "Exists"}]))
    await plane.kubelet.report(NAMESPACE, "on-lost", running("triton", ready=False))
    await plane.kubelet.event(NAMESPACE, "on-lost", "NodeNotReady", "Node is not ready")
    report = await asked(plane, "on-lost")
    assert (report.verdict.category, report.verdict.confidence) == ("not_a_load_failure", "likely")
    assert "Look at the node" in report.verdict.action
    assert any(fact.text.startswith("Node lost is not ready") for fact in report.why)
    assert "log of on-lost/triton" in {one.what for one in report.unseen}
    await plane.api.delete("v1", "Node", "lost")


async def test_a_full_gpu_is_told_with_who_else_has_gpus_there(plane: ControlPlane) -> None:
    address = await run_pod(plane, "full", GPU, FULL)
    await plane.api.apply(pod("neighbour", GPU))
    app = web.Application()
    app.router.add_get("/metrics", _page)
    runner = web.AppRunner(app)
    async with plane.pod_addresses[address]:
        await runner.setup()
        await web.TCPSite(runner, address, 8002).start()
        report, blind = await asked(plane, "full", "admin"), await asked(plane, "full")
        await runner.cleanup()
    for told in (report, blind):
        assert told.verdict.category == "gpu_memory"
    memory = "79.0 of 80.0 GiB of GPU-1 are used"
    assert f"{memory}; on node node-0 GPUs were given to {NAMESPACE}/neighbour too." in [
        fact.text for fact in report.why
    ]
    assert f"{memory}." in [fact.text for fact in blind.why]
    [unseen] = [one for one in blind.unseen if one.what == "pods with GPUs on node node-0"]
    assert (unseen.reason, "add to the ClusterRole" in unseen.remedy) == ("forbidden", True)


async def test_that_a_pod_asks_for_no_gpu_is_told_where_its_gpu_failed(plane: ControlPlane) -> None:
    await run_pod(plane, "without-gpu", {}, FULL)
    report = await asked(plane, "without-gpu")
    assert report.verdict.category == "gpu_memory"
    assert [fact for fact in report.why if "of container triton name no GPU (nvidia.com/gpu)" in fact.text]
    assert not [line for line in report.evidence if line.id.startswith(("gpu_memory", "gpu_holders"))]


async def test_who_holds_a_full_gpu_is_told_by_a_prometheus_that_saw_it(
    plane: ControlPlane, prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    """The command as a person types it, and its bundle; what triton-gpu-agent would have said is written beforehand."""
    now = int(time.time())
    samples = Samples(now - 1800, now)
    device = {"node": "node-0", "gpu": "0", "uuid": "GPU-1", "gpu_instance": "", "mig_profile": ""}
    for pod_name, space in (("squeezed", NAMESPACE), ("notebook-0", "data")):
        held = {**device, "namespace": space, "pod": pod_name}
        samples.add("triton_gpu_owner", held, partial(always, 1))
    nobody = {**device, "namespace": "", "pod": ""}
    samples.add("triton_gpu_memory_used_bytes", nobody, partial(always, 11 * GIB))
    samples.add("triton_gpu_memory_free_bytes", nobody, partial(always, 5 * GIB))
    server = PrometheusServer(prometheus_tools, tmp_path / "prometheus")
    await server.backfill(str(samples))
    log = FULL.replace("1130 12:00:00", f"{datetime.fromtimestamp(now, UTC):%m%d %H:%M:%S}")
    await run_pod(plane, "squeezed", GPU, log)
    # It was given its GPU all that time ago, and its server began just now: else an earlier pod of its name held that memory.
    placed = {"status": {"startTime": f"{datetime.fromtimestamp(now - 1800, UTC):%Y-%m-%dT%H:%M:%SZ}"}}
    await plane.api.patch("v1", "Pod", "squeezed", placed, NAMESPACE, subresource="status")
    bundle = tmp_path / "bundle.json"
    async with server:
        words = [
            "load-failure",
            "pod/squeezed",
            "-n",
            NAMESPACE,
            "--prometheus",
            server.url,
            "--save",
            str(bundle),
        ]
        kubeconfig = await plane.service_account_kubeconfig(NAMESPACE, "on-call")
        ended = await triage(*words, "--kubeconfig", str(kubeconfig), "-o", "json")
    assert (ended.code, ended.talk) == (1, "")
    replayed = await triage("replay", str(bundle), "-o", "json")
    assert (replayed.code, replayed.output) == (1, ended.output)
    report = ended.report
    assert report.verdict.category == "gpu_memory"
    assert report.actions[0].do.startswith(
        "Let data/notebook-0 leave the GPU, or give ranker another: 11.0 of 16.0 GiB"
    )
    assert report.gpus is not None
    (row,) = report.gpus.rows
    assert (row.node, row.gpu, row.pods, row.others) == ("node-0", "0", ("squeezed",), ("data/notebook-0",))


def pod(name: str, triton: Object, *, node: str = "node-0", **spec: Any) -> Object:
    containers = [{"name": "triton", "image": IMAGE} | triton]
    metadata: Object = {"name": name, "namespace": NAMESPACE}
    if node != "node-0":
        metadata["annotations"] = {HELD: "held"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": node, "containers": containers, **spec},
    }


async def run_pod(plane: ControlPlane, name: str, triton: Object, log: str, **spec: Any) -> str:
    """A pod that runs, is not ready and has this log; its address on loopback."""
    await plane.api.apply(pod(name, triton, **spec))
    file = await plane.kubelet.log_file(NAMESPACE, name, "triton")
    await asyncio.to_thread(file.write_bytes, cri_lines(log))

    async def has_address() -> bool:
        found = await plane.api.get("v1", "Pod", name, NAMESPACE)
        return bool(found["status"].get("podIP"))

    await eventually(has_address, seconds=20)
    address = await plane.pod_proxy.join(NAMESPACE, name)
    await plane.kubelet.report(NAMESPACE, name, running("triton", ready=False))
    return address


async def asked(plane: ControlPlane, name: str, who: str = "on-call") -> Report:
    kubeconfig: Path = await plane.service_account_kubeconfig(NAMESPACE, who)
    return await ask(kubeconfig, NAMESPACE, f"pod/{name}")


async def _page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE)
