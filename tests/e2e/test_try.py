"""`triton-autoscaler try` on real Tritons through the real API server's pod proxy, with no more rights than it asks for."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from aiohttp import web

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.e2e.daemon import CHECKOUT
from tests.e2e.fleet import SERVICE_MS, deployment
from tests.local_process import eventually
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load
from tests.tritons.pods import PodTritons
from tests.tritons.repository import Model, lay_out

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "try"
INSTANCES = 2
PODS = 2
SECONDS = 25


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Stage:
    """A fleet, and the kubeconfigs of somebody who may look and of somebody who may list pods alone."""

    plane: ControlPlane
    tritons: PodTritons
    may_look: Path
    may_list: Path

    async def start(self, *words: str, seconds: int = SECONDS, kubeconfig: Path | None = None) -> "Running":
        command = [
            sys.executable,
            "-m",
            "autoscaler",
            "try",
            "-n",
            NAMESPACE,
            *words,
            "--seconds",
            str(seconds),
        ]
        process = await asyncio.create_subprocess_exec(
            *command,
            "--kubeconfig",
            str(kubeconfig or self.may_look),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=CHECKOUT,
        )
        return Running(process)

    async def run(self, *words: str, seconds: int = SECONDS, kubeconfig: Path | None = None) -> Ended:
        return await (await self.start(*words, seconds=seconds, kubeconfig=kubeconfig)).end()

    @asynccontextmanager
    async def under_load(self, workers: int) -> AsyncIterator[None]:
        """So many requests in flight over all pods, the whole time."""
        load = asyncio.create_task(
            Load(self.tritons.urls, "slow").closed_loop(workers=workers, seconds=SECONDS + 20)
        )
        try:
            yield
        finally:
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)

    async def accepts(self, manifest: str) -> Object:
        """What the API server would store; a refusal fails."""
        hpa = yaml.safe_load(manifest)
        path = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        return await self.plane.api.call("POST", path, hpa, query=query)


@dataclass(frozen=True)
class Running:
    process: asyncio.subprocess.Process

    async def end(self) -> Ended:
        out, err = await asyncio.wait_for(self.process.communicate(), SECONDS + 60)
        return Ended(self.process.returncode or 0, out.decode(), err.decode())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(
    control_plane: ControlPlane, triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("try")
    async with AsyncExitStack() as stack:
        await control_plane.create_namespace(NAMESPACE)
        stack.push_async_callback(control_plane.delete_namespace, NAMESPACE)
        repository = lay_out(
            folder / "repository",
            Model("slow", instances=INSTANCES, parameters={"service_ms": str(SERVICE_MS)}),
        )
        fleet = deployment(NAMESPACE)
        fleet["spec"]["replicas"] = PODS
        await control_plane.api.apply(
            [fleet, *_rights("may-look", looks=True), *_rights("may-list", looks=False)]
        )
        selector = "app.kubernetes.io/name=triton"
        tritons = await stack.enter_async_context(
            PodTritons(control_plane, triton_install, NAMESPACE, selector, repository, folder)
        )
        await tritons.until(PODS)
        for pod in tritons.servers:
            await control_plane.pod_proxy.join(NAMESPACE, pod)
        kubeconfigs = [
            await control_plane.service_account_kubeconfig(NAMESPACE, name)
            for name in ("may-look", "may-list")
        ]
        yield Stage(control_plane, tritons, *kubeconfigs)


async def test_a_fleet_over_its_limit_gets_the_target_that_its_load_says(stage: Stage) -> None:
    """Six in flight to each pod, of which its two instances compute two: 0.8 of two, whatever waits."""
    async with stage.under_load(workers=6 * PODS):
        ended = await stage.run("deployment/triton", "-o", "json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["triton"], found["pods"]["answered"], found["models"]["slow"]["instances"]) == (
        "2.51.0",
        PODS,
        INSTANCES,
    )
    decision = found["decision"]
    assert (decision["basis"], decision["configuredLimit"]) == ("limit reached", INSTANCES)
    assert decision["computingAtTheLimit"] == pytest.approx(INSTANCES, rel=0.1)
    assert decision["averageValue"] == pytest.approx(0.8 * INSTANCES, rel=0.1)
    assert found["mostConcurrencyOfTheFleet"] == pytest.approx(6 * PODS, rel=0.15)
    stored = await stage.accepts(found["manifest"])
    [metric] = stored["spec"]["metrics"]
    assert metric["external"]["target"]["type"] == "AverageValue"
    assert " of 25 s: 2 of 2 pods answer, requests in Triton at once: " in ended.err


async def test_a_fleet_that_is_idle_gets_a_guess_that_says_so(stage: Stage) -> None:
    """And the manifest alone goes through the real kubectl's pipe."""
    ended = await stage.run("triton", "-o", "yaml")
    assert ended.code == 0, ended.err
    assert "a guess from the models' configuration alone" in ended.out
    assert 'averageValue: "1400m"' in ended.out
    process = await asyncio.create_subprocess_exec(
        str(stage.plane.kubectl),
        "--kubeconfig",
        str(stage.plane.kubeconfig),
        "apply",
        "--dry-run=server",
        "-f",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(ended.out.encode()), 30)
    assert (process.returncode, said) == (
        0,
        b"horizontalpodautoscaler.autoscaling/triton created (server dry run)\n",
    )


async def test_an_interrupt_ends_it_with_what_was_seen_so_far(stage: Stage) -> None:
    """Three in flight to a pod that computes two, for fifteen seconds of an hour."""
    async with stage.under_load(workers=3 * PODS):
        running = await stage.start("triton", seconds=3600)
        await asyncio.sleep(17)
        running.process.send_signal(signal.SIGINT)
        ended = await running.end()
    assert ended.code == 0, ended.err
    assert "ended early" in ended.out
    assert "measured at the limit" in ended.out
    await stage.accepts(ended.out[ended.out.index("# From `triton-autoscaler try`") :])


async def test_without_the_right_to_look_it_says_which_to_ask_for(stage: Stage) -> None:
    ended = await stage.run("triton", kubeconfig=stage.may_list)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("no right to read pods' pages through the API server in namespace try.")
    assert "--verb=get,list --resource=pods,pods/proxy" in ended.err


async def test_without_the_right_to_list_pods_it_says_so(stage: Stage) -> None:
    ended = await stage.run("triton", "-n", "default")
    assert (ended.code, ended.out) == (3, "")
    assert 'grant this identity the right to list pods in namespace "default"' in ended.err


async def test_a_name_that_is_near_gets_the_right_one(stage: Stage) -> None:
    ended = await stage.run("tritn")
    assert (ended.code, ended.out) == (3, "")
    assert "no pods of tritn in namespace try; pods there belong to deployment/triton" in ended.err


async def test_a_workload_that_is_no_triton_is_told(stage: Stage) -> None:
    """It has a page of metrics on Triton's port, and nothing of Triton."""
    address = await _pod_of(stage.plane, "web")
    async with stage.plane.pod_addresses[address], _serving(address, 8002, "http_requests_total 1\n"):
        ended = await stage.run("web")
    assert (ended.code, ended.out) == (3, "")
    assert "has metrics, and none of Triton's" in ended.err
    assert "connection refused: this is no Triton" in ended.err


async def test_a_triton_whose_metrics_are_off_is_told(
    stage: Stage, triton_install: TritonInstall, tmp_path: Path
) -> None:
    repository = lay_out(tmp_path / "repository", Model("fast"))
    await stage.plane.api.apply(_workload("dark"))
    arguments = ("--allow-metrics=false",)
    async with PodTritons(
        stage.plane, triton_install, NAMESPACE, "app=dark", repository, tmp_path, arguments
    ) as tritons:
        await tritons.until(1)
        [pod] = tritons.servers
        await stage.plane.pod_proxy.join(NAMESPACE, pod)
        ended = await stage.run("dark")
    assert (ended.code, ended.out) == (3, "")
    assert "Triton 2.51.0 answers on port 8000" in ended.err
    assert "connection refused. Either they are off (--allow-metrics=false)" in ended.err


def _rights(name: str, *, looks: bool) -> list[Object]:
    """A service account that may list pods, and read their pages where it `looks`."""
    rules: list[dict[str, Any]] = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    if looks:
        rules.append({"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]})
    metadata = {"name": name, "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
    ]


def _workload(name: str) -> Object:
    made = deployment(NAMESPACE)
    labels = {"app": name}
    made["metadata"]["name"] = name
    made["spec"]["selector"] = {"matchLabels": labels}
    made["spec"]["template"]["metadata"]["labels"] = labels
    return made


async def _pod_of(plane: ControlPlane, name: str) -> str:
    """A Deployment of this name with one pod, and that pod's address on loopback."""
    await plane.api.apply(_workload(name))
    found: list[Object] = []

    async def runs() -> bool:
        found[:] = await plane.api.list("v1", "Pod", NAMESPACE, selector=f"app={name}")
        return len(found) == 1 and found[0]["status"].get("phase") == "Running"

    await eventually(runs, seconds=30)
    return await plane.pod_proxy.join(NAMESPACE, found[0]["metadata"]["name"])


@asynccontextmanager
async def _serving(address: str, port: int, page: str) -> AsyncIterator[None]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=page)

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    try:
        yield
    finally:
        await runner.cleanup()
