"""A fleet as the HPA sees one: a Deployment whose pods are real Tritons, the daemon, and an HPA."""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.hpa_watch import HpaWatch
from tests.controlplane.kube_client import ApiRefused, Object
from tests.e2e.daemon import CHECKOUT, Daemon
from tests.tritons.install import TritonInstall
from tests.tritons.pods import PodTritons
from tests.tritons.repository import Model, lay_out

SERVICE_MS = 100.0
CONFIG = {
    "targets": {"kubernetes": {"selector": "app.kubernetes.io/name=triton"}},
    "scrape": {"interval": "1s", "timeout": "800ms"},
}
WINDOW = 15.0
"""Seconds; 30 in rules/signals. Half of it, with a scrape and an HPA sync each second, shows in half the time what 30 s show
with one of each every two seconds."""


@dataclass(frozen=True)
class Fleet:
    control_plane: ControlPlane
    namespace: str
    tritons: PodTritons
    daemon: Daemon
    hpa: HpaWatch

    async def ask(self, signal: str, selector: str = "workload=triton", *, explain: bool = False) -> Object:
        """The API server's answer, as the HPA gets it; an error answer comes as its Status."""
        query = {"labelSelector": selector} | ({"explain": "1"} if explain else {})
        path = (
            f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{self.namespace}/{signal}?{urlencode(query)}"
        )
        try:
            return await self.control_plane.api.call("GET", path)
        except ApiRefused as refused:
            return {"kind": "Status", "message": str(refused)}

    async def total(self) -> float | None:
        """Inference concurrency now, or None where there is no data."""
        answer = await self.ask("triton_inference_concurrency")
        return milli(answer["items"][0]["value"]) / 1000 if "items" in answer else None

    async def until_value(self, low: float, high: float = float("inf"), *, seconds: float = 90.0) -> float:
        """The concurrency once it lies between `low` and `high`."""
        deadline = time.monotonic() + seconds
        while True:
            answer = await self.ask("triton_inference_concurrency")
            value = milli(answer["items"][0]["value"]) / 1000 if "items" in answer else None
            if value is not None and low <= value <= high:
                return value
            assert time.monotonic() < deadline, (
                f"not between {low} and {high}: {json.dumps(answer)}\n{self.hpa.story()}"
            )
            await asyncio.sleep(0.5)

    async def until_counted(self, pods: set[str], *, seconds: float = 60.0) -> None:
        """Returns once each of these pods was scraped, and something that it did is in the answer."""
        deadline = time.monotonic() + seconds
        while True:
            trace = (await self.ask("triton_inference_concurrency", explain=True)).get("pods", [])
            if {row["pod"] for row in trace if row.get("contribution", 0) > 0} >= pods:
                return
            assert time.monotonic() < deadline, f"{pods} are not all counted: {json.dumps(trace)}"
            await asyncio.sleep(0.5)

    async def value_command(self, signal: str) -> tuple[int, str]:
        """What `triton-autoscaler value` prints to a person with the administrator's kubeconfig, and how it exits."""
        arguments = ("value", signal, "-n", self.namespace, "-l", "workload=triton")
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "autoscaler",
                *arguments,
                "--kubeconfig",
                str(self.control_plane.kubeconfig),
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode or 0, output.decode()


def milli(quantity: str) -> int:
    """A Kubernetes quantity in thousandths."""
    if quantity.endswith("m"):
        return int(quantity[:-1])
    return int(quantity[:-1]) * 1_000_000 if quantity.endswith("k") else int(quantity) * 1000


@asynccontextmanager
async def real_fleet(
    control_plane: ControlPlane, install: TritonInstall, folder: Path, *, namespace: str, average: str
) -> AsyncIterator[Fleet]:
    """One replica to begin with; at most three. The HPA is the one of the examples, which may scale down at once."""
    async with AsyncExitStack() as stack:
        daemon = Daemon(control_plane, folder, CONFIG, rules=rules_with_window(folder / "rules"))
        await control_plane.create_namespace(namespace)
        stack.push_async_callback(control_plane.delete_namespace, namespace)
        await control_plane.install_external_metrics(daemon.port)
        stack.push_async_callback(control_plane.remove_external_metrics)
        models = (Model("slow", parameters={"service_ms": str(SERVICE_MS)}),)
        repository = lay_out(folder / "repository", *models)
        await control_plane.api.apply([deployment(namespace), example_hpa(namespace, average)])
        tritons = await stack.enter_async_context(
            PodTritons(control_plane, install, namespace, "app.kubernetes.io/name=triton", repository, folder)
        )
        await tritons.until(1)
        await stack.enter_async_context(daemon)
        await daemon.until_ready()
        await control_plane.wait_for_external_metrics()
        hpa = await stack.enter_async_context(HpaWatch(control_plane, namespace, "triton", "triton"))
        yield Fleet(control_plane, namespace, tritons, daemon, hpa)


def rules_with_window(folder: Path, seconds: float = WINDOW) -> Path:
    """The rules that ship, with this window."""
    (folder / "signals").mkdir(parents=True)
    for shipped in (CHECKOUT / "rules" / "signals").iterdir():
        text, windows = re.subn(r"(?m)^window: 30s\b", f"window: {seconds:g}s", shipped.read_text())
        assert windows == 1, shipped
        (folder / "signals" / shipped.name).write_text(text)
    return folder


def deployment(namespace: str) -> Object:
    labels = {"app.kubernetes.io/name": "triton"}
    pod: Mapping[str, Any] = {
        "metadata": {"labels": labels},
        "spec": {"nodeName": "node-0", "containers": [{"name": "triton", "image": "tritonserver"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "triton", "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod},
    }


def example_hpa(namespace: str, average: str) -> Object:
    """The HPA that users copy, with this test's target and without the patience that would hide a wrong answer."""
    hpa: Object = yaml.safe_load((CHECKOUT / "deploy" / "examples" / "hpa.yaml").read_text())
    hpa["metadata"]["namespace"] = namespace
    hpa["spec"]["metrics"][0]["external"]["target"]["averageValue"] = average
    hpa["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = 0
    return hpa
