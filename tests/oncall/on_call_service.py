"""`triton-triage serve` as users run it: a process of its own, with a configuration file, a token and a folder."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from tests.local_process import LocalProcess, eventually, free_ports
from tests.oncall.fleet import NAMESPACE, Fleet
from tests.slack.slack_api import CHANNEL, SlackApi
from tests.slack.slack_api import TOKEN as SLACK_TOKEN

READY_SECONDS = 60.0
TOKEN = "alertmanager-may-send"


class OnCallService:
    """An async context manager: /livez answers inside, stopped after. `config` is merged into what every test needs."""

    def __init__(self, folder: Path, kubeconfig: Path, config: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self._plain_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}/alerts"
        self.plain_url = f"http://127.0.0.1:{self._plain_port}"
        self.log = folder / "service.log"
        self.data = folder / "data"
        self._kubeconfig = kubeconfig
        token = folder / "webhook-token"
        token.write_text(TOKEN + "\n")
        self.config: dict[str, Any] = {
            **config,
            "webhook": {"address": "127.0.0.1", "port": self.port, "token_file": str(token)},
            "plain": {"address": "127.0.0.1", "port": self._plain_port},
            "record": {"data": str(self.data), **config.get("record", {})},
        }
        self.process: LocalProcess | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        try:
            await self.start()
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self._http.close()

    async def start(self) -> None:
        """Returns once it listens."""
        file = self.folder / "config.yaml"
        file.write_text(yaml.safe_dump(self.config))
        command: list[str | Path] = [sys.executable, "-m", "triage", "serve", "-c", file]
        command += ["--kubeconfig", self._kubeconfig]
        self.process = await LocalProcess.start("triton-triage serve", command, log=self.log)
        await self.process.wait_until(self._listens, seconds=READY_SECONDS)

    async def stop(self) -> None:
        if self.process is not None:
            await self.process.stop(seconds=10.0)
            self.process = None

    async def kill(self) -> None:
        """As a node's loss ends it."""
        assert self.process is not None
        self.process.signal(signal.SIGKILL)
        await self.process.stop(seconds=10.0)
        self.process = None

    async def until_ready(self) -> None:
        async def ready() -> bool:
            async with self._http.get(f"{self.plain_url}/readyz") as answer:
                return answer.status == 200

        await eventually(ready, seconds=READY_SECONDS)

    async def send(self, *alerts: Mapping[str, Any], truncated: int = 0, token: str = TOKEN) -> int:
        """One notification of Alertmanager's with these alerts; the HTTP status."""
        body = notification(alerts, truncated)
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.post(self.url, json=body, headers=headers) as answer:
            return answer.status

    async def metrics(self) -> str:
        async with self._http.get(f"{self.plain_url}/metrics") as answer:
            return await answer.text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Those of its log."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [event for line in lines if (event := json.loads(line)).get("event") == name]

    def incidents(self) -> list[dict[str, Any]]:
        """Of the record, where that is the folder."""
        return [
            json.loads(file.read_text())["incident"]
            for file in sorted((self.data / "incidents").glob("*.json"))
        ]

    async def _listens(self) -> bool:
        try:
            async with self._http.get(f"{self.plain_url}/livez") as answer:
                if answer.status != 200:
                    return False
            async with self._http.post(self.url) as answer:
                return answer.status == 401
        except aiohttp.ClientError:
            return False


def on_call(
    folder: Path,
    fleet: Fleet,
    slack: SlackApi,
    *,
    unready_after: str = "1h",
    kubeconfig: Path | None = None,
    **more: Any,
) -> OnCallService:
    """The service over this fleet and this Slack, with an administrator's rights unless others are given; it calls for what is
    critical. `more` are sections of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / "slack-token"
    token.write_text(SLACK_TOKEN)
    config = {
        "tritons": {"namespaces": [NAMESPACE], "unready_after": unready_after},
        "slack": {
            "token_file": str(token),
            "channel": CHANNEL,
            "api_url": slack.base_url,
            "mentions": {"critical": ["<!here>"]},
        },
        "follow_up": "3s",
        **more,
    }
    return OnCallService(folder, kubeconfig or fleet.control_plane.kubeconfig, config)


async def children(oncall: OnCallService) -> list[int]:
    """Processes that the service has started."""
    assert oncall.process is not None
    listed = await asyncio.to_thread(Path(f"/proc/{oncall.process.pid}/task").iterdir)
    found: list[int] = []
    for task in listed:
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def notification(alerts: Sequence[Mapping[str, Any]], truncated: int = 0) -> dict[str, Any]:
    """As Alertmanager 0.28 sends it."""
    firing = any(alert["status"] == "firing" for alert in alerts)
    return {
        "version": "4",
        "groupKey": '{}/{triage=~".+"}:{}',
        "truncatedAlerts": truncated,
        "status": "firing" if firing else "resolved",
        "receiver": "triton-triage",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": list(alerts),
    }


def alert(
    name: str = "TritonModelUnavailable",
    *,
    tree: str = "load-failure",
    namespace: str,
    fingerprint: str = "",
    starts: str = "2026-11-30T02:41:00Z",
    ends: str | None = None,
    severity: str = "critical",
    **labels: str,
) -> dict[str, Any]:
    told = {"alertname": name, "severity": severity, "triage": tree, "namespace": namespace, **labels}
    return {
        "status": "firing" if ends is None else "resolved",
        "labels": told,
        "annotations": {"summary": f"{name} of {namespace}"},
        "startsAt": starts,
        "endsAt": ends or "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": fingerprint or str(abs(hash(tuple(sorted(told.items())))))[:16],
    }
