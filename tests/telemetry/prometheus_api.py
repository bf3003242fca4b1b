"""A strict Prometheus on loopback that answers out of a few pages, and in every way that a real one does not."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from telemetry.prometheus_recordings import AFTER

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]
_FRESH = r"> \(time\(\) - (?P<fresh>[\d.]+)\)"
_FAMILY = re.compile(
    r"max by \((?P<by>[^)]*)\) \((?P<shown>(?P<family>\w+)\{(?P<matchers>.*)\}) and \(timestamp\((?P=shown)\) "
    + _FRESH
    + r"\)\)"
)
_STAMPS = re.compile(
    r"max by \((?P<by>[^)]*)\) \(\(timestamp\(nv_inference_request_success\{(?P<matchers>[^}]*)\}"
    r"(?: offset (?P<offset>\d+)ms)?.*\) " + _FRESH + r"\)"
)
_AFTER = r"timestamp\(namespace_pod:triton_newest_sample:timestamp_after\{(?P<matchers>.*?)\} offset (?P<offset>\d+)ms\)"
_EVALUATIONS = re.compile(
    rf"min by \((?P<by>[^)]*)\) \((?P<shown>{_AFTER}) > \(time\(\) - (?P<fresh>[\d.]+)\)\) or max by \((?P=by)\) \((?P=shown)\)"
)
_RECORDED = re.compile(
    r"max by \((?P<by>[^)]*)\) \(last_over_time\((?P<name>[\w:]+)\{(?P<matchers>.*)\}\[(?P<back>\d+)ms\]\)\)"
)
EVALUATIONS = "evaluations"


@dataclass
class Evaluation:
    """What a group of recording rules recorded at a second, by name; whole if it has the last of them."""

    evaluator: str
    at: float
    digest: str
    recorded: dict[str, list[tuple[dict[str, str], str]]]


@dataclass
class Query:
    """What was asked: `family` is None for the timestamps, a recorded name for recordings; `at` None for the server's present."""

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
    evaluations: list[Evaluation] = field(default_factory=list)
    """Of recording rules, oldest first."""
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
        latest, recorded = (
            _EVALUATIONS.fullmatch(asked.get("query", "")),
            _RECORDED.fullmatch(asked.get("query", "")),
        )
        found = stamps or family or latest or recorded
        if (
            request.path != "/prom/api/v1/query"
            or found is None
            or asked.keys() - {"query", "time", "timeout", "nocache"}
        ):
            self.wrong.append(f"{request.method} {request.path} {asked}")
            return web.Response(status=404)
        at = float(asked["time"]) if "time" in asked else None
        name = family["family"] if family and not stamps else None
        if latest or recorded:
            name = recorded["name"] if recorded else EVALUATIONS
        self.asked.append(Query(name, at, found["matchers"], dict(request.headers)))
        reply = self.reply if name is None or name not in self.replies else self.replies[name]
        if reply is not None:
            return await reply(request)
        if name is None and at is not None:
            self.before_closing()
        evaluated = self.now if at is None else at
        by = found["by"].split(", ")
        if latest:
            rows = self._newest_evaluations(
                evaluated - float(found["offset"]) / 1000, evaluated - float(found["fresh"])
            )
        elif recorded:
            since = evaluated - float(found["back"]) / 1000
            rows = self._recorded(recorded["name"], recorded["matchers"], since, evaluated)
        elif name:
            rows = self.rows.get(name, [])
        else:
            since, until = evaluated - float(found["fresh"]), evaluated - float(found["offset"] or 0) / 1000
            rows = [(labels, str(stamp)) for labels, stamp in self.stamps if since < stamp <= until]
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

    def _newest_evaluations(self, by: float, since: float) -> list[tuple[dict[str, str], str]]:
        """Of each evaluator the newest that has the last rule's rows: what these lack has a marker that it went."""
        newest = {
            each.evaluator: each for each in self.evaluations if each.at <= by and AFTER in each.recorded
        }
        found: dict[str, tuple[dict[str, str], list[float]]] = {}
        for each in newest.values():
            for labels, _ in each.recorded[AFTER]:
                told = {**labels, "digest": each.digest}
                found.setdefault(str(sorted(told.items())), (told, []))[1].append(each.at)
        return [
            (labels, str(min([at for at in seconds if at > since], default=max(seconds))))
            for labels, seconds in found.values()
        ]

    def _recorded(
        self, name: str, matchers: str, since: float, until: float
    ) -> list[tuple[dict[str, str], str]]:
        newest = {
            each.evaluator: each
            for each in self.evaluations
            if since < each.at <= until and name in each.recorded
        }
        return [
            row
            for each in newest.values()
            if f'digest="{each.digest}"' in matchers
            for row in each.recorded[name]
        ]


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
