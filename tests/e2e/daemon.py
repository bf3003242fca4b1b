"""The daemon as users run it: a process of its own, with its service account's rights and a configuration file."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.local_process import LocalProcess, free_ports

READY_SECONDS = 90.0
CHECKOUT = Path(__file__).parents[2]
RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "RoleBinding")


def shipped_rights() -> list[Object]:
    """The service account and all that it may do, as deploy/install.yaml gives it."""
    text = (CHECKOUT / "deploy" / "install.yaml").read_text()
    return [manifest for manifest in yaml.safe_load_all(text) if manifest["kind"] in RIGHTS]


class Daemon:
    """`triton-autoscaler serve`, an async context manager: ready inside, stopped after.

    The manifests that users apply give it its rights; the rest of them is left out, because this process is the Deployment.
    `rules`: a folder to use instead of the rules that ship. `program`: the Python module to run."""

    def __init__(
        self,
        control_plane: ControlPlane,
        folder: Path,
        config: Mapping[str, Any],
        *,
        rules: Path | None = None,
        program: str = "autoscaler",
    ) -> None:
        self.port, self._plain_port = free_ports(2)
        self.plain_url = f"http://127.0.0.1:{self._plain_port}"
        self.log = folder / "daemon.log"
        self._control_plane = control_plane
        self._folder = folder
        server = {"address": "127.0.0.1", "port": self.port, "plain_port": self._plain_port}
        self._config = {**config, "server": server}
        self._rules = rules
        self._program = program
        self._process: LocalProcess | None = None

    async def __aenter__(self) -> Self:
        await self._control_plane.api.apply(shipped_rights())
        self._kubeconfig = await self._control_plane.service_account_kubeconfig(
            "triton-ops", "triton-autoscaler"
        )
        (self._folder / "config.yaml").write_text(yaml.safe_dump(self._config))
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            await self._process.stop(seconds=10.0)

    async def start(self) -> None:
        """Returns once /livez answers; `until_ready` waits for more."""
        command: list[str | Path] = [
            sys.executable,
            "-m",
            self._program,
            "serve",
            "-c",
            self._folder / "config.yaml",
        ]
        command += ["--kubeconfig", self._kubeconfig]
        command += ["--rules", self._rules] if self._rules else []
        self._process = await LocalProcess.start("triton-autoscaler", command, log=self.log)
        await self._process.wait_until(lambda: self._answers("/livez"), seconds=READY_SECONDS)

    async def until_ready(self) -> None:
        assert self._process is not None
        await self._process.wait_until(lambda: self._answers("/readyz"), seconds=READY_SECONDS)

    async def kill(self) -> None:
        """SIGKILL, as the kernel's out-of-memory killer would."""
        assert self._process is not None
        self._process.signal(signal.SIGKILL)
        await self._process.stop(seconds=5.0)

    async def readyz(self) -> str:
        return await self._text("/readyz?verbose")

    async def own_metrics(self) -> str:
        return await self._text("/metrics")

    async def _text(self, path: str) -> str:
        async with aiohttp.ClientSession() as http, http.get(self.plain_url + path) as answer:
            return await answer.text()

    async def _answers(self, path: str) -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(self.plain_url + path) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False
