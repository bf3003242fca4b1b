"""The manifests that users apply, asked of the real API server without changing anything."""

import asyncio

import pytest

from tests.controlplane.control_plane import ControlPlane
from tests.e2e.daemon import CHECKOUT

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("file", ["deploy/install.yaml", "deploy/examples/hpa.yaml"])
async def test_the_api_server_accepts_the_manifest_as_it_is(control_plane: ControlPlane, file: str) -> None:
    """With every field known: a misspelt one is an error."""
    await control_plane.create_namespace("triton-ops")
    await control_plane.api.delete("v1", "Service", "triton-autoscaler", "triton-ops")
    code, told = await kubectl(control_plane, "apply", "--dry-run=server", "--validate=strict", "-f", file)
    assert code == 0, told


async def test_the_apiservice_is_created_and_never_takes_the_slot_of_another_adapter(
    control_plane: ControlPlane,
) -> None:
    create = ("create", "--dry-run=server", "--validate=strict", "-f", "deploy/apiservice.yaml")
    code, told = await kubectl(control_plane, *create)
    assert code == 0, told
    await control_plane.install_external_metrics(1, namespace="keda", service="another-adapter")
    code, told = await kubectl(control_plane, *create)
    assert (code, "already exists" in told) == (1, True), told
    await control_plane.remove_external_metrics()


async def kubectl(control_plane: ControlPlane, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(control_plane.kubectl), "--kubeconfig", str(control_plane.kubeconfig), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=CHECKOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, output.decode()
