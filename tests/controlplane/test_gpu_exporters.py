"""Exporters found through a real API server and asked directly: no Prometheus, and the rights that the chart gives."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from autoscaler.answer import Answer, NoData, Value
from autoscaler.config import parse_config
from autoscaler.generation import Generation
from autoscaler.own_metrics import OwnMetrics
from autoscaler.selector import parse_selector
from autoscaler.signal import load_signals
from telemetry.gpu_exporters.exporter import load_gpu_exporters
from telemetry.http_body import scrape_session
from telemetry.kube_client import KubernetesClient
from telemetry.rules_dir import rules_dir
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.deploy.build_tools import ensure_helm
from tests.deploy.helm import CHART, Helm, of_kind
from tests.local_process import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

OURS, THEIRS = "gpu-ours", "gpu-operator"
RELEASE = "gpu-exporters"
ACCOUNT = f"{RELEASE}-triton-autoscaler"
PORT = 9400
UUID = "GPU-00000000-0000-4000-8000-000000000d1e"
PAGE = "".join(
    f'DCGM_FI_DEV_{field}{{gpu="0",UUID="{UUID}",Hostname="n",container="c",namespace="{OURS}",pod="triton-0"}} {value}\n'
    for field, value in (("FB_USED", 3000), ("FB_FREE", 9000), ("GPU_UTIL", 40))
)
CONFIG = f"""
targets: {{kubernetes: {{namespaces: [{OURS}]}}}}
scrape: {{interval: 1s, timeout: 500ms}}
gpu:
  interval: 1s
  timeout: 500ms
  max_age: 4s
  exporters: [{{namespace: {THEIRS}, selector: "app in (nvidia-dcgm-exporter)"}}]
"""


def pod(namespace: str, name: str, node: str, container: Object, **labels: str) -> Object:
    image = {"image": "img", **container}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    spec = {"nodeName": node, "containers": [image]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def account_and_rights(home: Path) -> list[Object]:
    """The chart's, of a release in our namespace with this configuration: what is in the two namespaces, and the role that pods are
    read by."""
    values = {"config": yaml.safe_load(CONFIG)}
    ended = Helm(ensure_helm(), home).run("template", RELEASE, CHART, "--namespace", OURS, values=values)
    assert ended.code == 0, ended.error
    objects = [each for each in yaml.safe_load_all(ended.output) if each]
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    found = [
        each
        for each in objects
        if each["kind"] in kinds and each["metadata"].get("namespace") in (OURS, THEIRS)
    ]
    return [*found, of_kind(objects, "ClusterRole", f"{ACCOUNT}-targets")]


@asynccontextmanager
async def exporter(address: str) -> AsyncIterator[None]:
    """Its page, on the pod's own address."""

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=PAGE)

    app = web.Application()
    app.router.add_get("/metrics", show)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, PORT).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def test_exporters_on_our_nodes_are_asked_and_one_that_falls_silent_is_an_error(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    api = control_plane.api
    node = (await api.list("v1", "Node"))[0]["metadata"]["name"]
    async with AsyncExitStack() as stack:
        for namespace in (OURS, THEIRS):
            await control_plane.create_namespace(namespace)
            stack.push_async_callback(control_plane.delete_namespace, namespace)
        role = ("rbac.authorization.k8s.io/v1", "ClusterRole", f"{ACCOUNT}-targets")
        stack.push_async_callback(api.delete, *role)
        rights = await asyncio.to_thread(account_and_rights, tmp_path)
        gpu = {"name": "triton", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
        port = {"name": "exporter", "ports": [{"name": "metrics", "containerPort": PORT}]}
        await api.apply([*rights, pod(OURS, "triton-0", node, gpu)])
        await api.apply([pod(THEIRS, "dcgm-1", node, port, app="nvidia-dcgm-exporter")])
        address = ""

        async def runs() -> bool:
            nonlocal address
            found = await api.get("v1", "Pod", "dcgm-1", THEIRS)
            address = found["status"].get("podIP", "")
            return bool(address) and found["status"].get("phase") == "Running"

        await eventually(runs, seconds=30)
        await stack.enter_async_context(control_plane.pod_addresses[address])
        silent = await stack.enter_async_context(AsyncExitStack())
        await silent.enter_async_context(exporter(address))
        kubeconfig = await control_plane.service_account_kubeconfig(OURS, ACCOUNT)
        reader = await stack.enter_async_context(KubernetesClient(kubeconfig=str(kubeconfig)))
        session = await stack.enter_async_context(scrape_session())
        signals, shipped = (
            load_signals(rules_dir() / "signals"),
            load_gpu_exporters(rules_dir() / "gpu_exporters"),
        )
        generation = Generation(parse_config(CONFIG), signals, reader, session, OwnMetrics(), shipped)
        running = asyncio.create_task(generation.run())
        stack.callback(running.cancel)

        def ask(signal: str) -> Answer:
            return generation.autoscaler.answer(OURS, signal, parse_selector(""), explain=True)

        async def told() -> bool:
            return isinstance(ask("triton_gpu_utilization"), Value)

        await eventually(told, seconds=30)
        memory, utilization = ask("triton_gpu_memory_used_ratio"), ask("triton_gpu_utilization")
        assert isinstance(memory, Value)
        assert isinstance(utilization, Value)
        assert memory.value == 0.25
        assert utilization.value == 0.4
        assert utilization.labels == {"gpu_exporter": "dcgm-exporter", "gpus": "1", "gpus_shared": "0"}
        assert utilization.trace[0]["gpus_by_limits"] == 1
        await silent.aclose()
        gone = time.monotonic()
        answers: list[Answer] = []

        async def refused() -> bool:
            answers.append(ask("triton_gpu_utilization"))
            return isinstance(answers[-1], NoData)

        await eventually(refused, seconds=20)
        assert time.monotonic() - gone >= 2.0
        assert all(one.sample_age_seconds <= 4.0 for one in answers if isinstance(one, Value))
        last = answers[-1]
        assert isinstance(last, NoData)
        assert last.reason == "not_answering"
        assert last.message == "pod triton-0: exporters do not answer: connection refused or unreachable"
