"""A strict Prometheus on loopback that answers out of a few pages, and in every way that a real one does not."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]
_FRESH = r"> \(time\(\) - (?P<fresh>[\d.]+)\)"
_FAMILY = re.compile(
    r"max by \((?P<by>[^)]*)\) \((?P<shown>(?P<family>\w+)\{(?P<matchers>.*)\}) and \(timestamp\((?P=shown)\) "
    + _FRESH
    + r"\)\)"
)
_STAMPS = re.compile(
    r"max by \((?P<by>[^)]*)\) \(\(timestamp\(nv_inference_request_success\{(?P<matchers>[^}]*)\}.*\) "
    + _FRESH
    + r"\)"
)


@dataclass
class Query:
    """What was asked: `family` is None for the timestamps, `at` None for the server's present."""

    family: str | None
    at: float | None
    matchers: str
    headers: dict[str, str]


@dataclass
class PrometheusApi:
    """`rows[family]` are labels and number, `stamps` labels and second. `reply` answers everything, `replies[family]` one family,
    `before_closing` is called once before the timestamps are asked for a second time."""

    now: float = 1_790_000_000.0
    stamps: list[tuple[dict[str, str], float]] = field(default_factory=list)
    rows: dict[str, list[tuple[dict[str, str], str]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    warned: str | None = None
    """The family whose answers carry the warnings; None: all answers."""
    more: dict[str, Any] = field(default_factory=dict)
    reply: Reply | None = None
    replies: dict[str, Reply] = field(default_factory=dict)
    before_closing: Callable[[], None] = lambda: None
    asked: list[Query] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request)
        finally:
            self.at_once -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = {**request.query, **{name: str(text) for name, text in (await request.post()).items()}}
        stamps, family = _STAMPS.fullmatch(asked.get("query", "")), _FAMILY.fullmatch(asked.get("query", ""))
        found = stamps or family
        if (
            request.path != "/prom/api/v1/query"
            or found is None
            or asked.keys() - {"query", "time", "timeout", "nocache"}
        ):
            self.wrong.append(f"{request.method} {request.path} {asked}")
            return web.Response(status=404)
        at = float(asked["time"]) if "time" in asked else None
        name = family["family"] if family and not stamps else None
        self.asked.append(Query(name, at, found["matchers"], dict(request.headers)))
        reply = self.reply if name is None or name not in self.replies else self.replies[name]
        if reply is not None:
            return await reply(request)
        if name is None and at is not None:
            self.before_closing()
        evaluated = self.now if at is None else at
        by = found["by"].split(", ")
        since = evaluated - float(found["fresh"])
        rows = [(labels, str(stamp)) for labels, stamp in self.stamps if since < stamp <= evaluated]
        rows = self.rows.get(name, []) if name else rows
        result = [
            {"metric": {label: labels[label] for label in by if label in labels}, "value": [evaluated, value]}
            for labels, value in rows
        ]
        told = {"status": "success", "data": {"resultType": "vector", "result": result}, **self.more}
        warned = self.warnings and self.warned in (None, name)
        return web.Response(
            body=json.dumps({**told, "warnings": self.warnings} if warned else told).encode(),
            content_type="application/json",
        )


@asynccontextmanager
async def prometheus_api() -> AsyncIterator[PrometheusApi]:
    """Fails the test that asked what no such client asks."""
    api = PrometheusApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"{site.name}/prom"
    try:
        yield api
    finally:
        await runner.cleanup()
    assert not api.wrong, api.wrong
