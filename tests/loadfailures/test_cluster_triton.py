"""A real Triton asked through the API server's pod proxy: what its index adds to its log, and a missing right told as such."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kubelet import running
from tests.loadfailures.cluster_failures import IMAGE
from tests.loadfailures.cluster_pods import ALL, ask, reader
from tests.loadfailures.failure import Cause, Failure
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.layouts import initialize, model
from tests.loadfailures.run_failure import run_failure
from tests.loadfailures.servers import EXPLICIT
from tests.local_process import eventually
from tests.tritons.install import TritonInstall
from tests.tritons.server import TritonServer
from triage.report import Report

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "cluster-triton"
BY_ID = {failure.id: failure for failure in FAILURES}
RELOAD, RAISES = BY_ID["reload-of-broken-code"], BY_ID["initialize-raises"]


async def _ask_to_load(server: TritonServer, folder: Path) -> None:
    with pytest.raises(TimeoutError):
        await server.call("POST", "/v2/repository/models/ranker/load", {}, seconds=2.0)


LOADS_FOR_EVER = Failure(
    id="load-request-never-ends",
    broken="A client asks a serving Triton to load a model whose initialize() never returns.",
    cause=Cause("model_code", "ranker"),
    files=model("ranker", initialize("time.sleep(3600)")),
    arguments=EXPLICIT,
    client=_ask_to_load,
)
WITHOUT_CREATE = [rule.replace("verbs: [get, create]", "verbs: [get]") for rule in ALL]
WITHOUT_PROXY = [rule for rule in ALL if "pods/proxy" not in rule]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(control_plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(reader(NAMESPACE))
    await control_plane.api.apply(reader(NAMESPACE, WITHOUT_CREATE, name="without-create"))
    await control_plane.api.apply(reader(NAMESPACE, WITHOUT_PROXY, name="without-proxy"))
    yield control_plane
    await control_plane.delete_namespace(NAMESPACE)


async def test_log_and_index_through_the_proxy_confirm_a_failed_load(
    plane: ControlPlane, triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with triton_pod(plane, triton_install, RAISES, tmp_path / "it") as name:
        report = await asked(plane, name)
    verdict = report.verdict
    assert (verdict.category, verdict.confidence, verdict.model) == ("model_code", "confirmed", "ranker")
    [index] = [line for line in report.evidence if line.id == f"index:{name}"]
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:8000/proxy/v2/repository/index"
    kubectl = f"kubectl --kubeconfig {kubeconfig_of(plane)}"
    assert (index.got, index.command) == ("2 rows", f"echo '{{}}' | {kubectl} create --raw {path} -f -")


async def test_a_failed_reload_is_told_by_the_log_and_that_the_old_one_serves_by_the_index(
    plane: ControlPlane, triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with triton_pod(plane, triton_install, RELOAD, tmp_path / "it") as name:
        report = await asked(plane, name)
        blind = await asked(plane, name, "without-proxy")
    verdict = report.verdict
    assert (verdict.category, verdict.confidence, verdict.model) == ("model_code", "likely", "ranker")
    assert not report.against
    assert "ranker serves all the same, as it was loaded before: the index has it READY" in report.impact
    assert "ranker had loaded before: the earlier version may still serve" in blind.impact


async def test_a_load_that_hangs_while_triton_serves_is_told_by_its_index(
    plane: ControlPlane, triton_install: TritonInstall, tmp_path: Path
) -> None:
    """Its ports are open, so that only LOADING in the index, and time, show it."""
    async with triton_pod(plane, triton_install, LOADS_FOR_EVER, tmp_path / "it") as name:
        report = await asked(plane, name)
    assert report.verdict.leaf == "hangs"
    told = " ".join(fact.text for fact in report.why)
    assert "ranker is still loading" in told
    assert "the index has ranker LOADING" in told


async def test_without_the_right_to_post_the_index_is_forbidden_and_readiness_is_told(
    plane: ControlPlane, triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with triton_pod(plane, triton_install, RAISES, tmp_path / "it") as name:
        report = await asked(plane, name, "without-create")
        blind = await asked(plane, name, "without-proxy")
    unseen = {one.what: one for one in report.unseen}[f"port 8000 of pod {name}"]
    assert unseen.reason == "forbidden"
    assert 'add to the Role: apiGroups: [""], resources: [pods/proxy], verbs: [create]' in unseen.remedy
    assert "HTTP 400" in {line.got for line in report.evidence if line.id == f"readiness:{name}"}
    remedies = " ".join(one.remedy for one in blind.unseen)
    assert "verbs: [create]" in remedies
    assert "verbs: [get]" in remedies
    for told in (report, blind):
        assert (told.verdict.category, told.verdict.confidence) == ("model_code", "likely")


def kubeconfig_of(plane: ControlPlane, name: str = "on-call") -> Path:
    return plane.folder / f"{NAMESPACE}-{name}.kubeconfig"


async def asked(plane: ControlPlane, name: str, who: str = "on-call") -> Report:
    kubeconfig = await plane.service_account_kubeconfig(NAMESPACE, who)
    return await ask(kubeconfig, NAMESPACE, f"pod/{name}")


@asynccontextmanager
async def triton_pod(
    plane: ControlPlane, install: TritonInstall, failure: Failure, folder: Path
) -> AsyncIterator[str]:
    """A pod whose Triton is the failure's own: its log, and its port 8000 by way of the pod's address."""
    name = failure.id
    spec = {"nodeName": "node-0", "containers": [{"name": "triton", "image": IMAGE}]}
    await plane.api.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    )
    async with run_failure(install, failure, folder) as failed:
        assert failed.url is not None
        file = await plane.kubelet.log_file(NAMESPACE, name, "triton")
        await asyncio.to_thread(lambda: file.write_bytes(cri_lines(failed.log.read_bytes())))

        async def has_address() -> bool:
            found = await plane.api.get("v1", "Pod", name, NAMESPACE)
            return bool(found["status"].get("podIP"))

        await eventually(has_address, seconds=20)
        address = await plane.pod_proxy.join(NAMESPACE, name)
        await plane.kubelet.report(NAMESPACE, name, running("triton", ready=False))
        async with plane.pod_addresses[address], forwarded(address, int(failed.url.rpartition(":")[2])):
            yield name
    await plane.api.delete("v1", "Pod", name, NAMESPACE)


@asynccontextmanager
async def forwarded(address: str, port: int) -> AsyncIterator[None]:
    """Port 8000 of this address leads to this port of 127.0.0.1."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_triton, to_triton = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, to_triton))
            group.create_task(_copy(from_triton, writer))

    server = await asyncio.start_server(serve, address, 8000)
    try:
        yield
    finally:
        server.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(1 << 16):
            sink.write(chunk)
            await sink.drain()
    sink.close()
