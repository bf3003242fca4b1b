"""The reader of GPU series against a server that fails in every way: what was read stands for its time, and no longer."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from telemetry.gpu_exporters.exporter import load_gpu_exporters
from telemetry.gpu_exporters.prometheus_reader import NOT_ASKED, GpuReader, GpuSettings
from telemetry.gpu_exporters.snapshot import utilization_of
from telemetry.prometheus import PrometheusSource
from telemetry.prometheus_queries import TickReport
from telemetry.rules_dir import rules_dir

EXPORTERS = load_gpu_exporters(rules_dir() / "gpu_exporters")
SETTINGS = GpuSettings(interval=15.0, delay=1.0, max_age=60.0, window=30.0, matchers='cluster="eu1"')


@dataclass
class Api:
    """Answers the queries of a tick at second `now`; each must be one of them."""

    now: float = 1_790_000_000.0
    busy: dict[str, float] = field(default_factory=lambda: {"GPU-1": 50.0})
    warnings: list[str] = field(default_factory=list)
    status: int = 200
    slow: float = 0.0
    queries: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        asked = {**request.query, **{name: str(text) for name, text in (await request.post()).items()}}
        query = asked.get("query", "")
        self.queries.append(query)
        await asyncio.sleep(self.slow)
        if self.status != 200:
            return web.Response(status=self.status, text="no")
        target = {"job": "dcgm", "instance": "n1"}
        if query.startswith('(up{cluster="eu1"} and on (job, instance) {__name__=~"'):
            own = {"__name__": "up", **target, "pod": "dcgm-x", "namespace": "gpu"}
            rows: list[Any] = [
                {"metric": own, "value": [self.now, "1"]},
                {"metric": {}, "value": [self.now, str(self.now)]},
            ]
            return self._told("vector", rows)
        if query.endswith(',cluster="eu1"}[90000ms]') and float(asked["time"]) == self.now - 1.0:
            labels = {"__name__": "DCGM_FI_DEV_GPU_UTIL", **target, "namespace": "prod", "pod": "a"}
            rows = [
                {"metric": {**labels, "UUID": uuid}, "values": [[self.now - 5.0, str(busy)]]}
                for uuid, busy in self.busy.items()
                if "DCGM_FI_DEV_GPU_UTIL" in query
            ]
            return self._told("matrix", rows)
        self.wrong.append(str(asked))
        return web.Response(status=404)

    def _told(self, kind: str, rows: list[Any]) -> web.Response:
        body = {"status": "success", "data": {"resultType": kind, "result": rows}, "warnings": self.warnings}
        return web.Response(body=json.dumps(body).encode(), content_type="application/json")


@dataclass
class Reading:
    api: Api
    source: PrometheusSource
    settings: GpuSettings = SETTINGS
    reports: list[TickReport] = field(default_factory=list)
    now: float = 500.0

    def __post_init__(self) -> None:
        self.reader = GpuReader(EXPORTERS, self.settings, self.source, lambda: self.now, self.reports.append)

    async def tick(self) -> dict[str, float | None]:
        """What each device says after one more look."""
        await self.reader.tick()
        since = self.now - SETTINGS.max_age
        told = {d.key.uuid: utilization_of(d, 30.0, since) for d in self.reader.snapshot.devices}
        return {uuid: None if found is None else found.ratio for uuid, found in told.items()}

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.api.now += seconds


@pytest.fixture
async def reading() -> AsyncIterator[Reading]:
    api = Api()
    app = web.Application()
    app.router.add_route("*", "/api/v1/query", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = site.name
    async with PrometheusSource(api.url) as source:
        yield Reading(api, source)
    await runner.cleanup()
    assert not api.wrong, api.wrong


async def test_a_tick_is_seven_queries_whatever_is_there(reading: Reading) -> None:
    assert reading.reader.snapshot.failure == NOT_ASKED
    assert await reading.tick() == {"GPU-1": 0.5}
    reading.api.busy = {f"GPU-{n}": float(n) for n in range(100)}
    assert len(await reading.tick()) == 100
    assert [report.queries for report in reading.reports] == [7, 7]
    assert reading.reports[-1].outcome == "ok"
    assert reading.reader.snapshot.failure is None


async def test_ages_are_of_prometheus_clock(reading: Reading) -> None:
    await reading.tick()
    (device,) = reading.reader.snapshot.devices
    assert device.at == pytest.approx(reading.now - 5.0, abs=0.01)


@pytest.mark.parametrize(
    ("status", "outcome", "says"),
    [
        (503, "unreachable", "connection refused or unreachable"),
        (403, "forbidden", "these credentials may not read it"),
        (422, "refused", "it refuses the query"),
    ],
)
async def test_a_look_that_fails_is_told_and_what_was_read_stands_until_it_is_too_old(
    reading: Reading, status: int, outcome: str, says: str
) -> None:
    await reading.tick()
    reading.api.status = status
    reading.later(30)
    assert await reading.tick() == {"GPU-1": 0.5}
    assert reading.reader.snapshot.failure == f"Prometheus does not answer: {says}"
    assert reading.reports[-1].outcome == outcome
    reading.later(26)
    assert await reading.tick() == {"GPU-1": None}
    reading.api.status = 200
    assert await reading.tick() == {"GPU-1": 0.5}
    assert reading.reader.snapshot.failure is None


async def test_a_mute_prometheus_costs_the_timeout_and_no_more(reading: Reading) -> None:
    reading.api.slow = 3600.0  # the tick ends long before
    mute = Reading(reading.api, reading.source, replace(SETTINGS, timeout=0.5))
    await mute.tick()
    assert mute.reader.snapshot.failure == "Prometheus does not answer: timed out"
    assert mute.reports[-1].outcome == "timeout"


async def test_a_device_that_is_gone_is_gone_and_one_that_is_only_unseen_is_not(reading: Reading) -> None:
    reading.api.busy = {"GPU-1": 50.0, "GPU-2": 75.0}
    await reading.tick()
    reading.api.busy = {"GPU-1": 60.0}
    reading.api.warnings = ["a store did not answer"]
    assert await reading.tick() == {"GPU-1": 0.6, "GPU-2": 0.75}
    assert reading.reports[-1].outcome == "partial"
    reading.api.warnings = []
    assert await reading.tick() == {"GPU-1": 0.6}


async def test_no_exporter_is_an_answer(reading: Reading) -> None:
    reading.api.busy = {}
    assert await reading.tick() == {}
    assert reading.reports[-1].outcome == "no_samples"
    assert reading.reader.snapshot.failure is None
