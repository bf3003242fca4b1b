"""The harness itself: the real HPA controller asks a server on loopback through the real aggregator, and
moves a real Deployment."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.controlplane.certificates import client_tls
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.hpa_watch import HpaWatch
from tests.controlplane.kube_client import ApiRefused, KubeClient
from tests.controlplane.metrics_server import metrics_server
from tests.local_process import LocalProcess, ProcessFailed, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

MISSING = "missing"
WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: triton, namespace: NAMESPACE}
spec:
  replicas: 1
  selector: {matchLabels: {app: triton}}
  template:
    metadata: {labels: {app: triton}}
    spec: {nodeName: node-0, containers: [{name: triton, image: triton}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: triton, namespace: NAMESPACE}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: triton}
  minReplicas: 1
  maxReplicas: 3
  metrics:
    - type: External
      external: {metric: {name: fixed}, target: {type: AverageValue, averageValue: "10"}}
"""


async def test_the_real_hpa_scales_by_an_external_metric_and_holds_when_it_is_gone(
    control_plane: ControlPlane,
) -> None:
    namespace = await control_plane.create_namespace("hpa-loop")
    hpa_watch = HpaWatch(control_plane, namespace, "triton", "triton")
    async with fixed_metric(control_plane, "30") as asked, hpa_watch as seen:
        await control_plane.api.apply(WORKLOAD.replace("NAMESPACE", namespace))
        await seen.until_wanted(3, seconds=30)
        await seen.until(lambda watch: watch.replicas[-1].ready == 3, seconds=30)
        await seen.syncs(2, error="none")
        assert (seen.moves, seen.changes[-1].says("ScalingActive")) == ([(1, 3)], "True ValidMetricFound")
        assert set(asked) == {"system:serviceaccount:kube-system:horizontal-pod-autoscaler"}
        await control_plane.remove_external_metrics()
        lost = "False FailedGetExternalMetric"
        await seen.until(lambda watch: watch.changes[-1].says("ScalingActive") == lost, seconds=30)
        await seen.syncs(2)
        assert seen.scale_downs == []
    await control_plane.delete_namespace(namespace)


@pytest.mark.parametrize(
    ("value", "active"), [("20", "True ValidMetricFound"), ("5", "False FailedGetExternalMetric")]
)
async def test_of_two_metrics_the_one_without_data_is_missing_from_the_status_and_the_hpa_never_scales_down(
    control_plane: ControlPlane, value: str, active: str
) -> None:
    """So the alert TritonHPACannotScaleDown tells it by what the spec asks for and the status does not have. Whether the HPA says
    that it is active depends on what the other metric asks for: two replicas, of which there are two, or one."""
    namespace = await control_plane.create_namespace(f"hpa-half-blind-{value}")
    hpa_watch = HpaWatch(control_plane, namespace, "triton", "triton")
    missing = WORKLOAD.strip().splitlines()[-1].replace("fixed", MISSING)
    both = f"{WORKLOAD.replace('replicas: 1', 'replicas: 2')}    - type: External\n{missing}\n"
    async with fixed_metric(control_plane, value), hpa_watch as seen:
        await control_plane.api.apply(both.replace("NAMESPACE", namespace))
        await seen.until(
            lambda watch: any(change.says("ScalingActive") == active for change in watch.changes), seconds=30
        )
        await asyncio.sleep(5)  # in which it looks every second
        told = [each for each in seen.changes[-1].current_metrics if each["type"]]
        names = [each["external"]["metric"]["name"] for each in told]
        assert (names, seen.changes[-1].says("ScalingActive"), seen.scale_downs) == (["fixed"], active, [])
        assert seen.changes[-1].current_replicas == 2
    await control_plane.delete_namespace(namespace)


async def test_a_service_account_has_its_own_rights_and_no_more(control_plane: ControlPlane) -> None:
    namespace = await control_plane.create_namespace("rights")
    await control_plane.api.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": namespace}}
    )
    kubeconfig = json.loads((await control_plane.service_account_kubeconfig(namespace, "reader")).read_text())
    tls = client_tls(control_plane.certificates.cluster_ca)
    async with KubeClient(control_plane.server, tls, token=kubeconfig["users"][0]["user"]["token"]) as reader:
        await reader.call("GET", "/apis")
        with pytest.raises(ApiRefused, match="cannot list resource"):
            await reader.list("v1", "Pod", namespace)
    await control_plane.delete_namespace(namespace)


async def test_pods_have_loopback_addresses_of_their_own(control_plane: ControlPlane) -> None:
    namespace = await control_plane.create_namespace("addresses")
    deployment, _ = WORKLOAD.replace("NAMESPACE", namespace).split("---")
    await control_plane.api.apply(deployment.replace("replicas: 1", "replicas: 2"))
    addresses: set[str] = set()
    async with asyncio.timeout(20):
        async for _, pod in control_plane.api.watch("v1", "Pod", namespace):
            addresses |= {address} if (address := pod["status"].get("podIP")) else set()
            if len(addresses) == 2:
                break
    assert all(address.startswith(control_plane.pod_network + ".") for address in addresses)
    await control_plane.delete_namespace(namespace)


async def test_kubectl_reads_the_cluster(control_plane: ControlPlane) -> None:
    kubectl = await asyncio.create_subprocess_exec(
        control_plane.kubectl,
        f"--kubeconfig={control_plane.kubeconfig}",
        "get",
        "nodes",
        "-o",
        "name",
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await kubectl.communicate()
    assert (kubectl.returncode, output) == (0, b"node/node-0\n")


async def test_a_part_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo no disk; exit 3"]
    process = await LocalProcess.start("sulker", command, log=tmp_path / "log")

    async def never() -> bool:
        return False

    with pytest.raises(ProcessFailed, match=r"(?s)sulker ended with 3:.*no disk"):
        await process.wait_until(never, seconds=10)
    await process.stop(seconds=1)


async def test_a_part_dies_with_a_killed_run(tmp_path: Path) -> None:
    """The parent is killed by SIGKILL, which leaves it no time to clean up."""
    script = f"""
import asyncio, pathlib
from tests.local_process import LocalProcess
async def main():
    child = await LocalProcess.start("child", ["sleep", "60"], log=pathlib.Path({str(tmp_path / "log")!r}))
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout
    child = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()

    async def gone() -> bool:
        return not _runs(child)

    await eventually(gone, seconds=10)


@asynccontextmanager
async def fixed_metric(control_plane: ControlPlane, value: str) -> AsyncIterator[list[str]]:
    """An external metrics server that answers `value` to everything but MISSING; yields the users that asked. Front proxy
    only."""

    def answer(namespace: str, metric: str) -> str | None:
        return None if metric == MISSING else value

    async with metrics_server(control_plane, answer) as server:
        certificates = control_plane.certificates
        outsider = client_tls(certificates.cluster_ca, certificates.client("somebody"))
        outsider.load_verify_locations(cadata=server.authority.cert_pem.bytes().decode())
        outsider.check_hostname = False
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(f"https://127.0.0.1:{server.port}/", ssl=outsider)
        yield server.askers


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIG_DFL)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
