"""A fleet of real Tritons on the real API server, whose pods are not ready since a model of theirs does not load."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.controlplane.kubelet import running
from tests.latency.runtime_logs import runtime_logs
from tests.tritons.install import TritonInstall
from tests.tritons.pods import PodTritons
from tests.tritons.repository import lay_out

NAMESPACE = "on-call"
LABEL = "app.kubernetes.io/name"
SELECTOR = f"{LABEL}=triton"
MODEL = "resnet50"
MISSING = "torch_that_is_not_there"
_CONFIG = f"""
name: "{MODEL}"
backend: "python"
max_batch_size: 8
input [{{ name: "x", data_type: TYPE_FP32, dims: [1] }}]
output [{{ name: "y", data_type: TYPE_FP32, dims: [1] }}]
instance_group [{{ kind: KIND_CPU }}]
"""
_BROKEN = (
    "import {missing}\n\n\nclass TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
)


SECRETS = ("AKIAIOSFODNN7EXAMPLE", "hunter2-correct-horse", "ghp_16C7e42F292c6912E7710c838347Ae178B4a")
HOSTILE = (
    f"<!channel> <@U0ADMIN01> <https://evil.example|kubectl> *bold* `code` DB_PASSWORD={SECRETS[1]} "
    f"aws_access_key_id={SECRETS[0]} token {SECRETS[2]} CUDA out of memory"
)
"""What the broken model prints before it fails: it must neither leak, nor call, nor decide anything."""


@dataclass(frozen=True)
class Fleet:
    control_plane: ControlPlane
    tritons: PodTritons

    async def report(self, *, ready: bool) -> None:
        """What the kubelet says of all its pods."""
        for name in list(self.tritons.servers):
            state = running("triton", ready=ready)
            await self.control_plane.kubelet.report(self.tritons.namespace, name, state)


def repository(folder: Path) -> Path:
    """With a model that serves, and one that prints what is hostile and does not load."""
    made = lay_out(folder, "fast")
    version = made / MODEL / "1"
    version.mkdir(parents=True)
    (made / MODEL / "config.pbtxt").write_text(_CONFIG)
    (version / "model.py").write_text(f"print({HOSTILE!r}, flush=True)\n{_BROKEN.format(missing=MISSING)}")
    return made


def mended(folder: Path) -> None:
    """The broken model as it should have been, in this repository."""
    code = (folder / "fast" / "1" / "model.py").read_text()
    (folder / MODEL / "1" / "model.py").write_text(code)


@asynccontextmanager
async def unready_fleet(
    control_plane: ControlPlane,
    install: TritonInstall,
    namespace: str,
    folder: Path,
    *,
    replicas: int = 2,
    arguments: Sequence[str] = (),
) -> AsyncIterator[PodTritons]:
    """Its Tritons answer, each with the failed model in its index, and its pods are not ready."""
    await control_plane.create_namespace(namespace)
    await control_plane.api.apply(deployment(namespace, replicas=replicas))
    made = repository(folder / "models")
    tritons = PodTritons(control_plane, install, namespace, SELECTOR, made, folder, arguments)
    async with tritons, runtime_logs(control_plane, tritons, "triton"):
        await tritons.until(replicas)
        await Fleet(control_plane, tritons).report(ready=False)
        yield tritons
    await control_plane.delete_namespace(namespace)


def deployment(namespace: str, *, name: str = "web", replicas: int = 2) -> Object:
    labels = {LABEL: "triton", "app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeName": "node-0",
                    "containers": [{"name": "triton", "image": "tritonserver:24.10"}],
                    "terminationGracePeriodSeconds": 0,
                },
            },
        },
    }
