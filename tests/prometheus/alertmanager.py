"""A real Alertmanager on loopback, configured as the test tells it to, over a folder of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.local_process import LocalProcess, free_ports
from tests.opened import Opened
from tests.prometheus.build_tools import AlertmanagerTools

READY_SECONDS = 60.0
STOP_SECONDS = 10.0


class AlertmanagerServer(Opened):
    """An async context manager: ready inside, gone after. ProcessFailed, with the tail of its log, when it does not start.

    It stands alone: no port for peers is opened."""

    def __init__(
        self,
        tools: AlertmanagerTools,
        folder: Path,
        configuration: Mapping[str, Any],
        *,
        arguments: Sequence[str] = (),
    ) -> None:
        """`configuration` is Alertmanager's own, as a value: `route`, `receivers` and so on. `folder` takes data, configuration and
        log."""
        super().__init__()
        (self._port,) = free_ports(1)
        self.address = f"127.0.0.1:{self._port}"
        """For `PrometheusServer(alertmanagers=...)`; known before it runs."""
        self.url = f"http://{self.address}"
        self.folder = folder
        self._tools = tools
        self._configuration = configuration
        self._arguments = tuple(arguments)
        folder.mkdir(parents=True, exist_ok=True)

    async def alerts(self) -> list[dict[str, Any]]:
        """Those that it holds now, as `/api/v2/alerts` tells them."""
        async with self._http.get(f"{self.url}/api/v2/alerts") as answer:
            answer.raise_for_status()
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def send(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Alerts as a Prometheus would send them: `labels`, `annotations`, `startsAt`, `endsAt`, `generatorURL`."""
        async with self._http.post(f"{self.url}/api/v2/alerts", json=list(alerts)) as answer:
            answer.raise_for_status()

    async def _start(self) -> None:
        file = self.folder / "alertmanager.yaml"
        file.write_text(yaml.safe_dump(dict(self._configuration)))
        command: list[str | Path] = [
            self._tools.alertmanager,
            f"--config.file={file}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            "--log.level=info",
            *self._arguments,
        ]
        process = await LocalProcess.start("alertmanager", command, log=self.folder / "alertmanager.log")
        self._resources.push_async_callback(process.stop, seconds=STOP_SECONDS)
        self._http = await self._resources.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        )
        await process.wait_until(self._is_ready, seconds=READY_SECONDS)

    async def _is_ready(self) -> bool:
        try:
            async with self._http.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
