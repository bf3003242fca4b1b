"""`triton-triage serve` as the shipped manifests run it: a process of its own with the rights and the configuration of
deploy/triage.yaml; only ports and files are this machine's."""

import json
import secrets
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.deploy.helm import CHECKOUT, NAMESPACE, of_kind
from tests.local_process import LocalProcess, free_ports

NAME, TRITONS = "triton-triage", "inference"
READY_SECONDS = 60.0
RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
MANIFESTS: list[Object] = list(yaml.safe_load_all((CHECKOUT / "deploy" / "triage.yaml").read_text()))


async def grant(control_plane: ControlPlane) -> Path:
    """The custom resource, both namespaces, and the account with its rights; its kubeconfig."""
    await control_plane.api.apply((CHECKOUT / "deploy" / "triagereports.yaml").read_text())
    for namespace in (NAMESPACE, TRITONS):
        await control_plane.create_namespace(namespace)
    await control_plane.api.apply([each for each in MANIFESTS if each["kind"] in RIGHTS])
    return await control_plane.service_account_kubeconfig(NAMESPACE, NAME)


class TriageDaemon:
    """An async context manager: ready inside, stopped after."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        port, plain = free_ports(2)
        self.url, self._plain_url = f"http://127.0.0.1:{port}/alerts", f"http://127.0.0.1:{plain}"
        self.token_file = folder / "token"
        self.token_file.write_text(secrets.token_hex(16) + "\n")
        self._log, self._config = folder / "triage.log", folder / "triage.yaml"
        config = yaml.safe_load(of_kind(MANIFESTS, "ConfigMap")["data"]["config.yaml"])
        config["webhook"] = {"address": "127.0.0.1", "port": port, "token_file": str(self.token_file)}
        config["plain"] = {"address": "127.0.0.1", "port": plain}
        config["record"]["data"] = str(folder / "data")
        self._config.write_text(yaml.safe_dump(config))
        self._kubeconfig = kubeconfig

    async def __aenter__(self) -> Self:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "triage",
            "serve",
            "-c",
            self._config,
            "--kubeconfig",
            self._kubeconfig,
        ]
        self._process = await LocalProcess.start(NAME, command, log=self._log)
        await self._process.wait_until(self._is_ready, seconds=READY_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._process.stop(seconds=10.0)

    async def text(self, path: str) -> str:
        """What the plain port says there."""
        async with aiohttp.ClientSession() as http, http.get(self._plain_url + path) as answer:
            return await answer.text()

    def told(self, event: str) -> list[dict[str, Any]]:
        """The log's lines with this event."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    async def _is_ready(self) -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(self._plain_url + "/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False
