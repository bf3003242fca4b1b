"""The harness itself: real Tritons, their models' ground truth, load, and one Triton per simulated pod."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.local_process import eventually
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load
from tests.tritons.pods import PodTritons
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonRefused, TritonServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: triton, namespace: NAMESPACE}
spec:
  replicas: 1
  selector: {matchLabels: {app: triton}}
  template:
    metadata: {labels: {app: triton}}
    spec: {nodeName: node-0, containers: [{name: triton, image: triton}]}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def triton(
    triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TritonServer]:
    """One server with every test model, loaded by call."""
    folder = tmp_path_factory.mktemp("triton")
    fixed = Model("slow", name="fixed", parameters={"service_ms": "50"}, versions=(1, 2))
    repository = lay_out(folder / "models", "ensemble", "batching", "decoupled", "failing", "hanging", fixed)
    arguments = ["--model-control-mode=explicit", "--load-model=*"]
    async with TritonServer(triton_install, repository, folder, arguments=arguments) as server:
        yield server


async def test_models_answer_and_the_ground_truth_knows_how_long_they_took(triton: TritonServer) -> None:
    before = len(triton.executions())
    assert [await triton.infer("ensemble", 20), await triton.infer("fixed", 1)] == [20, 1]
    done = triton.executions()[before:]
    assert [(each.model, each.version, each.requests) for each in done] == [
        ("fast", "1", 1),
        ("slow", "1", 1),
        ("fixed", "2", 1),
    ]
    assert [
        _milliseconds(each.started_ns, each.ended_ns) >= least
        for each, least in zip(done, (0, 20, 50), strict=True)
    ]


async def test_a_batch_is_one_execution_of_many_requests(triton: TritonServer) -> None:
    load = Load(lambda: [triton.url], model="batching", value=50)
    await asyncio.gather(*(triton.infer("batching", 50) for _ in range(6)))
    await load.closed_loop(workers=4, seconds=0.3)
    done = [each for each in triton.executions() if each.model == "batching"]
    assert sum(each.requests for each in done) == 6 + len(load.sent)
    assert len(done) < 6 + len(load.sent)


async def test_a_decoupled_model_answers_after_execute_returned(triton: TritonServer) -> None:
    answers = await Load(lambda: [triton.url], model="decoupled", value=30, api="generate").open_loop(
        per_second=20, seconds=0.2
    )
    assert [answer.status for answer in answers] == [200] * 4
    assert all(answer.latency_seconds >= 0.03 for answer in answers)


@pytest.mark.parametrize(("value", "message"), [(0, "asked to raise"), (1, "asked to fail")])
async def test_failures_reach_the_client(triton: TritonServer, value: float, message: str) -> None:
    with pytest.raises(TritonRefused, match=message):
        await triton.infer("failing", value)


async def test_a_hanging_execution_has_a_start_and_no_end(triton: TritonServer) -> None:
    waiting = asyncio.create_task(triton.infer("hanging", 60))

    async def hangs() -> bool:
        return any(each.model == "hanging" for each in triton.executions())

    await eventually(hangs, seconds=10)
    assert [each.ended_ns for each in triton.executions() if each.model == "hanging"] == [None]
    triton.release()
    assert await waiting == 60


async def test_models_load_and_unload(triton: TritonServer) -> None:
    await triton.unload("fixed")

    async def unloaded() -> bool:
        return "READY" not in {row["state"] for row in await triton.index() if row["name"] == "fixed"}

    await eventually(unloaded, seconds=10)
    with pytest.raises(TritonRefused):
        await triton.infer("fixed")
    await triton.load("fixed")
    assert await triton.infer("fixed", 3) == 3


async def test_a_frozen_server_answers_nothing_and_then_goes_on(triton: TritonServer) -> None:
    triton.pause()
    with pytest.raises(TimeoutError):
        await triton.call("GET", "/v2/health/live", seconds=0.3)
    triton.resume()
    assert await triton.infer("fast", 7) == 7


async def test_open_loop_load_keeps_its_schedule_while_answers_wait(triton: TritonServer) -> None:
    """One instance of 50 ms at 40 requests/s: twice what it can do, so the queue grows and the schedule does
    not slip."""
    sent = await Load(lambda: [triton.url], model="slow", value=50).open_loop(per_second=40, seconds=1)
    assert [each.status for each in sent] == [200] * 40
    assert max(each.sent - each.due for each in sent) < 0.5
    assert max(each.latency_seconds for each in sent) > 0.7


async def test_load_goes_to_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback only"):
        await Load(lambda: ["http://192.0.2.1:8000"]).open_loop(per_second=1, seconds=1)


async def test_a_restart_starts_the_counters_at_zero(triton: TritonServer) -> None:
    await triton.infer("fast")
    assert (await triton.success_counts())["fast/1"] > 0
    await triton.restart()
    assert (await triton.success_counts())["fast/1"] == 0


async def test_each_pod_of_a_deployment_has_a_triton_while_it_lives(
    control_plane: ControlPlane, triton_install: TritonInstall, tmp_path: Path
) -> None:
    namespace = await control_plane.create_namespace("pods")
    repository = lay_out(tmp_path / "models", "fast")
    await control_plane.api.apply(DEPLOYMENT.replace("NAMESPACE", namespace))
    async with PodTritons(
        control_plane, triton_install, namespace, "app=triton", repository, tmp_path
    ) as tritons:
        await tritons.until(1)
        await control_plane.api.patch("apps/v1", "Deployment", "triton", {"spec": {"replicas": 3}}, namespace)
        await tritons.until(3)
        assert [await server.infer("fast", 5) for server in tritons.servers.values()] == [5, 5, 5]
        assert len(set(tritons.urls())) == 3
        stopped = dict(tritons.servers)
        await control_plane.api.patch("apps/v1", "Deployment", "triton", {"spec": {"replicas": 1}}, namespace)
        await tritons.until(1)
        gone = [server for name, server in stopped.items() if name not in tritons.servers]

        async def none_answers() -> bool:
            return not any([await _answers(server) for server in gone])

        await eventually(none_answers, seconds=20)
    await control_plane.delete_namespace(namespace)


async def test_a_pod_of_another_namespace_waits_for_the_address_of_one_that_is_still_stopping(
    control_plane: ControlPlane, triton_install: TritonInstall, tmp_path: Path
) -> None:
    repository = lay_out(tmp_path / "models", "fast")
    old, new = [await control_plane.create_namespace(name) for name in ("stopping", "starting")]
    pods = control_plane.api

    def tritons(namespace: str) -> PodTritons:
        return PodTritons(
            control_plane, triton_install, namespace, "app=triton", repository, tmp_path / namespace
        )

    async with tritons(old) as before, tritons(new) as after:
        await pods.apply(_pod(old, "last", {"app": "triton"}))
        await before.until(1)
        (stopping,) = before.servers.values()
        stopping.pause()  # so it takes as long to stop as it may
        await pods.delete("v1", "Pod", "last", old)

        found: dict[str | None, str] = {}

        async def inherited() -> bool:
            """An address that was used goes out before a new one."""
            listed = await pods.list("v1", "Pod", new)
            found.update({pod["status"].get("podIP"): pod["metadata"]["name"] for pod in listed})
            if all("podIP" in pod["status"] for pod in listed):
                await pods.apply(_pod(new, f"next-{len(listed)}", {}))
            return stopping.address in found

        await eventually(inherited, seconds=10)
        name = found[stopping.address]
        await pods.patch("v1", "Pod", name, {"metadata": {"labels": {"app": "triton"}}}, new)
        await after.until(1)
        assert await after.servers[name].infer("fast", 5) == 5
    for namespace in (old, new):
        await control_plane.delete_namespace(namespace)


def _pod(namespace: str, name: str, labels: dict[str, str]) -> Object:
    spec = {
        "nodeName": "node-0",
        "containers": [{"name": "triton", "image": "triton"}],
        "terminationGracePeriodSeconds": 0,
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def _answers(server: TritonServer) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/v2/health/live"):
            return True
    except aiohttp.ClientError:
        return False


def _milliseconds(start_ns: int, end_ns: int | None) -> float:
    return ((end_ns or start_ns) - start_ns) / 1e6
