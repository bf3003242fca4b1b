"""Who may ask the daemon, and what they get: through the real API server and its aggregator, and past it."""

import asyncio
import base64
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import trustme

from autoscaler.signal import load_signals
from telemetry.rules_dir import rules_dir
from tests.controlplane.certificates import KeyPair
from tests.controlplane.control_plane import ControlPlane
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import CONFIG

pytestmark = pytest.mark.asyncio(loop_scope="session")

GROUP = "/apis/external.metrics.k8s.io/v1beta1"
METRIC = f"{GROUP}/namespaces/default/triton_inference_concurrency"
SIGNALS = set(load_signals(rules_dir() / "signals"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def daemon(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Daemon]:
    """A daemon behind the aggregator, in a cluster without a Triton."""
    started = Daemon(control_plane, tmp_path_factory.mktemp("daemon"), CONFIG)
    await control_plane.install_external_metrics(started.port)
    async with started:
        await control_plane.wait_for_external_metrics()
        yield started
    await control_plane.remove_external_metrics()


async def test_kubectl_finds_and_reads_the_signals(daemon: Daemon, control_plane: ControlPlane) -> None:
    """Discovery lists them; where no Triton runs the answer is an error that says so, not a zero."""
    code, listed, _ = await _kubectl(
        control_plane, "api-resources", "--api-group=external.metrics.k8s.io", "-o", "name"
    )
    assert code == 0
    assert {line.partition(".")[0] for line in listed.split()} == SIGNALS
    code, output, error = await _kubectl(control_plane, "get", "--raw", METRIC)
    assert (code, output) == (1, "")
    assert "no Triton pod here matches 'everything'" in error


async def test_the_value_command_says_why_there_is_none(daemon: Daemon, control_plane: ControlPlane) -> None:
    code, output, error = await _run(
        sys.executable, "-m", "autoscaler", "value", "triton_request_rate", "-l", "workload=triton",
        "--kubeconfig", str(control_plane.kubeconfig),
    )  # fmt: skip
    assert code == 3, error
    assert "no data (no_targets): no Triton pod here matches 'workload=triton'" in output


async def test_kube_apiserver_refuses_users_without_rights(
    daemon: Daemon, control_plane: ControlPlane
) -> None:
    """Authorisation is the API server's, by the metric's name as a resource."""
    kubeconfig = await control_plane.service_account_kubeconfig("default", "default")
    code, _, error = await _run(
        str(control_plane.kubectl), "--kubeconfig", str(kubeconfig), "get", "--raw", METRIC
    )
    assert code == 1
    assert "Forbidden" in error


async def test_the_daemon_publishes_its_own_ca_and_is_verified_by_it(
    daemon: Daemon, control_plane: ControlPlane
) -> None:
    found = await control_plane.api.get(
        "apiregistration.k8s.io/v1", "APIService", "v1beta1.external.metrics.k8s.io"
    )
    assert b"BEGIN CERTIFICATE" in base64.b64decode(found["spec"]["caBundle"])
    assert not found["spec"].get("insecureSkipTLSVerify")
    assert "[+]ca-bundle ok" in await daemon.readyz()


async def test_only_the_front_proxy_is_let_in(daemon: Daemon, control_plane: ControlPlane) -> None:
    """The right certificate is served; none, a stranger's, and the cluster administrator's end at the handshake; a wrong
    name from the right CA gets 401."""
    certificates = control_plane.certificates
    assert await _status(daemon, certificates.front_proxy()) == 503
    assert await _status(daemon, certificates.front_proxy("somebody-else")) == 401
    strangers = (
        None,
        certificates.front_proxy(signer=trustme.CA()),
        certificates.client("triton-ops-admin", "system:masters"),
    )
    for stranger in strangers:
        with pytest.raises((ssl.SSLError, aiohttp.ClientError)):
            await _status(daemon, stranger)


async def _status(daemon: Daemon, identity: KeyPair | None) -> int:
    """HTTP status of a direct question. The server's own name is not checked here: the aggregator does that."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if identity is not None:
        tls.load_cert_chain(identity.certificate, identity.key)
    connector = aiohttp.TCPConnector(ssl=tls)
    headers = {"X-Remote-User": "system:admin", "X-Remote-Group": "system:masters"}
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.get(f"https://127.0.0.1:{daemon.port}{METRIC}", headers=headers) as answer,
    ):
        return answer.status


async def _kubectl(control_plane: ControlPlane, *arguments: str) -> tuple[int, str, str]:
    return await _run(str(control_plane.kubectl), "--kubeconfig", str(control_plane.kubeconfig), *arguments)


async def _run(*command: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NO_COLOR": "1"},
    )
    output, error = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, output.decode(), error.decode()
