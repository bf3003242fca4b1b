"""`external.metrics.k8s.io` for scenarios: each look of an HPA gets the answers of its next moment, and each answer is recorded."""

import asyncio
import json
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from telemetry.hpa import Reading
from tests.controlplane.certificates import Certificates
from tests.controlplane.kube_client import Object
from tests.hpa.scenario import Scenario

GROUP: Final = "external.metrics.k8s.io"
_REASONS: Final = {"404": "NotFound", "500": "InternalError", "503": "ServiceUnavailable"}


@dataclass(frozen=True)
class Answer:
    at: float
    """Seconds since the epoch, as the control plane's logs say."""
    scenario: str
    number: int
    """The metric's place in the spec."""
    reading: Reading


class MetricsServer:
    """An async context manager on a free port of loopback, behind the aggregator."""

    def __init__(self, certificates: Certificates) -> None:
        pair = certificates.server("scenario-metrics")
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(pair.certificate, pair.key)
        self._scenarios: dict[str, Scenario] = {}
        self._looks: dict[str, int] = {}
        self._looked: dict[str, asyncio.Event] = {}
        self.answers: list[Answer] = []
        self.unexpected: list[str] = []

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get(f"/apis/{GROUP}/v1beta1", self._discovery)
        app.router.add_get(f"/apis/{GROUP}/v1beta1/namespaces/{{namespace}}/{{metric}}", self._metric)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def serve(self, scenario: Scenario) -> None:
        self._scenarios[scenario.name] = scenario
        self._looks[scenario.name] = 0
        self._looked[scenario.name] = asyncio.Event()

    async def next_look(self, scenario: Scenario) -> None:
        """Returns when the HPA has asked for its first metric since the last call."""
        await self._looked[scenario.name].wait()
        self._looked[scenario.name].clear()

    async def _discovery(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/v1beta1",
                "resources": [],
            }
        )

    async def _metric(self, request: web.Request) -> web.Response:
        metric = request.match_info["metric"]
        name, _, number = metric.rpartition("-")
        scenario = self._scenarios.get(name)
        if scenario is None:
            self.unexpected.append(request.path)
            raise web.HTTPInternalServerError
        if number == "0":  # the controller asks for metrics in the spec's order
            self._looks[name] += 1
            self._looked[name].set()
        moment = scenario.moments[max(0, min(self._looks[name], len(scenario.moments)) - 1)]
        reading = moment.answers[int(number)]
        self.answers.append(Answer(time.time(), name, int(number), reading))
        return _failure(reading.error) if reading.error else _values(metric, reading)


def _values(metric: str, reading: Reading) -> web.Response:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    items = [
        {"metricName": metric, "metricLabels": {}, "timestamp": now, "value": f"{value}m"}
        for value in reading.values_milli
    ]
    return web.json_response(
        {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {}, "items": items}
    )


def _failure(status: str) -> web.Response:
    body: Object = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "none today"}
    body |= {"reason": _REASONS[status], "code": int(status)}
    return web.Response(status=int(status), text=json.dumps(body), content_type="application/json")
