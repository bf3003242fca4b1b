"""A real Prometheus on loopback, scraping what the test tells it to, over a folder of its own."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.local_process import LocalProcess, eventually, free_ports
from tests.opened import Opened
from tests.prometheus.build_tools import PrometheusTools

READY_SECONDS = 60.0
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    """What to scrape, `host:port`, and the labels that its series get, as in Kubernetes: pod, namespace, node."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = "/metrics"


class PrometheusServer(Opened):
    """An async context manager: ready inside, gone after. ProcessFailed, with the tail of its log, when it does not start."""

    def __init__(
        self,
        tools: PrometheusTools,
        folder: Path,
        targets: Sequence[Target] = (),
        *,
        scrape_interval: str = "1s",
        honor_labels: bool = False,
        rule_files: Sequence[Path] = (),
        alertmanagers: Sequence[str] = (),
        evaluation_interval: str = "1h",
        external_labels: Mapping[str, str] | None = None,
        remote_write: Sequence[Mapping[str, Any]] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        """`folder` takes data, configuration and log. `alertmanagers` are `host:port`. Rules are evaluated once in each interval,
        the first time after a part of one that Prometheus chooses. `remote_write` as in Prometheus' configuration."""
        super().__init__()
        self.folder = folder
        self._tools = tools
        self._targets = tuple(targets)
        self._interval = scrape_interval
        self._honor_labels = honor_labels
        self._rule_files = tuple(rule_files)
        self._alertmanagers = tuple(alertmanagers)
        self._evaluation_interval = evaluation_interval
        self._external_labels = dict(external_labels or {})
        self._remote_write = [dict(each) for each in remote_write]
        self._arguments = tuple(arguments)
        folder.mkdir(parents=True, exist_ok=True)

    async def backfill(self, openmetrics: str) -> None:
        """Samples of the past, before the server is started: OpenMetrics text with times, ending in `# EOF`."""
        file = self.folder / "backfill.txt"
        file.write_text(openmetrics)
        await self._promtool(
            "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(file), str(self._data)
        )

    async def backfill_rules(self, rules: Path, start: int, end: int) -> None:
        """What recording rules would have recorded from second `start` to `end`, out of what there is now. Seen after a restart;
        where one rule reads another, they need to be given one after the other."""
        times = (f"--start={start}", f"--end={end}", f"--url={self.url}", f"--output-dir={self._data}")
        await self._promtool("tsdb", "create-blocks-from", "rules", *times, str(rules))

    async def _promtool(self, *command: str) -> None:
        ended = await asyncio.create_subprocess_exec(
            str(self._tools.promtool),
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(ended.communicate(), READY_SECONDS)
        if ended.returncode != 0:
            raise ValueError(f"promtool refused it: {said.decode(errors='replace')}")

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Prometheus sees the file change and follows within moments."""
        self._targets = tuple(targets)
        groups = [
            {"targets": [target.address], "labels": {"__metrics_path__": target.path, **target.labels}}
            for target in targets
        ]
        written = self.folder / "targets.new"
        written.write_text(json.dumps(groups))
        written.rename(self.folder / "targets.json")

    async def until_scraped(self, times: int = 1, *, seconds: float = 30.0) -> None:
        """Returns once every target was scraped so often."""

        async def scraped() -> bool:
            found = await self.ask("query", query="count_over_time(up[1h])")
            counts = {row["metric"]["instance"]: int(row["value"][1]) for row in found["result"]}
            instances = [target.labels.get("instance", target.address) for target in self._targets]
            return all(counts.get(instance, 0) >= times for instance in instances)

        await eventually(scraped, seconds=seconds)

    async def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of `/api/v1/PATH`, for what a test wants to know beside the code under test."""
        async with self._http.get(f"{self.url}/api/v1/{path}", params=parameters) as answer:
            told = await answer.json()
            if told["status"] != "success":
                raise ValueError(f"{parameters}: {told.get('error')}")
            return told["data"]

    async def queries(self) -> int:
        """How many queries it has answered."""
        async with self._http.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        return sum(
            round(float(line.rpartition(" ")[2]))
            for line in text.splitlines()
            if line.startswith("prometheus_http_requests_total{")
            and 'code="200"' in line
            and 'handler="/api/v1/query' in line
        )

    def reload(self) -> None:
        """Rule files are read anew, within moments."""
        self._process.signal(signal.SIGHUP)

    def pause(self) -> None:
        """Freezes it (SIGSTOP): connections are taken and nothing answers."""
        self._process.freeze()

    def resume(self) -> None:
        self._process.thaw()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    async def _start(self) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.set_targets(self._targets)
        configuration = {
            "global": {
                "scrape_interval": self._interval,
                "scrape_timeout": self._interval,
                "evaluation_interval": self._evaluation_interval,
                "external_labels": self._external_labels,
            },
            "remote_write": self._remote_write,
            "rule_files": [str(file) for file in self._rule_files],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(self._alertmanagers)}]}]},
            "scrape_configs": [
                {
                    "job_name": "triton",
                    "honor_labels": self._honor_labels,
                    "file_sd_configs": [
                        {"files": [str(self.folder / "targets.json")], "refresh_interval": "1s"}
                    ],
                }
            ],
        }
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
        command: list[str | Path] = [
            self._tools.prometheus,
            f"--config.file={self.folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._data}",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
            *self._arguments,
        ]
        self._process = process = await LocalProcess.start(
            "prometheus", command, log=self.folder / "prometheus.log"
        )
        self._resources.push_async_callback(process.stop, seconds=STOP_SECONDS)
        self._http = await self._resources.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        )
        self._resources.push_async_callback(self._count)
        await process.wait_until(self._is_ready, seconds=READY_SECONDS)

    async def _count(self) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            self._tools.queries += await self.queries()

    async def _is_ready(self) -> bool:
        try:
            async with self._http.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
