"""A real Envoy on loopback in front of the servers that a test names, as a control plane names them: by its endpoints file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml

from tests.local_process import LocalProcess, free_ports
from tests.opened import Opened

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
TYPES = "type.googleapis.com/envoy"


class Envoy(Opened):
    """An async context manager: ready inside, gone after. Clients talk to `url`; `address` serves /stats/prometheus."""

    def __init__(self, program: Path, folder: Path, cluster: str) -> None:
        super().__init__()
        self._program = program
        self._folder = folder
        self._cluster = cluster
        self._version = 0
        self._admin_port, self._port = free_ports(2)
        self.url = f"http://127.0.0.1:{self._port}"
        self.address = f"127.0.0.1:{self._admin_port}"

    def set_endpoints(self, urls: Sequence[str]) -> None:
        """Envoy sees the file move and follows within moments."""
        self._version += 1
        found = [(split.hostname, split.port) for split in map(urlsplit, urls)]
        endpoints = [
            {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
            for host, port in found
        ]
        assignment = {
            "@type": f"{TYPES}.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": self._cluster,
            "endpoints": [{"lb_endpoints": endpoints}],
        }
        written = self._folder / "endpoints.new"
        written.write_text(yaml.safe_dump({"version_info": str(self._version), "resources": [assignment]}))
        written.rename(self._folder / "endpoints.yaml")

    async def kill(self) -> None:
        await self._process.stop(seconds=0.1)

    async def start(self) -> None:
        """Anew, on the same ports, with counters that begin anew."""
        log = self._folder / "envoy.log"
        command: list[str | Path] = [self._program, "-c", self._folder / "envoy.yaml", "--concurrency", "1"]
        command += ["--log-level", "warn", "--use-dynamic-base-id"]
        self._process = await LocalProcess.start("envoy", command, log=log)
        self._resources.push_async_callback(self._process.stop, seconds=STOP_SECONDS)
        await self._process.wait_until(self._is_ready, seconds=READY_SECONDS)

    async def page(self) -> str:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://{self.address}/stats/prometheus") as got,
        ):
            return await got.text()

    async def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.set_endpoints([])
        (self._folder / "envoy.yaml").write_text(yaml.safe_dump(self._configuration()))
        await self.start()

    async def _is_ready(self) -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://{self.address}/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def _configuration(self) -> dict[str, Any]:
        router = {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"},
        }
        route = {"match": {"prefix": "/"}, "route": {"cluster": self._cluster, "timeout": "60s"}}
        manager = {
            "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "ingress",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [router],
        }
        chain = {
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
        }
        endpoints = {
            "path_config_source": {"path": str(self._folder / "endpoints.yaml")},
            "resource_api_version": "V3",
        }
        cluster = {
            "name": self._cluster,
            "type": "EDS",
            "eds_cluster_config": {"eds_config": endpoints},
        }
        return {
            "node": {"id": "gateway", "cluster": "gateway"},
            "admin": {"address": _at(self._admin_port)},
            "static_resources": {
                "listeners": [{"address": _at(self._port), "filter_chains": [chain]}],
                "clusters": [cluster],
            },
        }


def _at(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
