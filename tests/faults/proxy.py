"""A proxy between an adapter and the real Prometheus, which fails as a Prometheus fails.

A fault is one function: it gets the query and how to ask the real server, and gives the answer. It may be narrowed to the rows
of one namespace, so that others can be asked about at the same time."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from tests.local_process import free_ports

_DAY_SECONDS: Final = 86400.0

Answer = dict[str, Any]
"""An instant vector as Prometheus' API answers it."""


@dataclass(frozen=True)
class Query:
    """An instant query. `at`: the evaluation time in Unix seconds; None: the server's own present."""

    promql: str
    at: float | None


Ask = Callable[[Query], Awaitable[Answer]]
Fault = Callable[[Query, Ask], Awaitable[Answer | web.StreamResponse]]


class Dropped(Exception):
    """The connection ends without an answer."""


class PrometheusProxy:
    """An async context manager in front of the Prometheus at `upstream`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self._faults: list[tuple[Fault, str]] = []
        self.failed: dict[str, int] = {}
        """Answers that a fault made, by its namespace."""

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/api/v1/query", self._query)
        app.router.add_route("*", "/{path:.*}", self._other)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._http.close()

    @contextmanager
    def failing(self, fault: Fault, namespace: str) -> Iterator[None]:
        """`fault` holds inside; what it made of answers is counted under `namespace`."""
        entry = (fault, namespace)
        self._faults.append(entry)
        self.failed.setdefault(namespace, 0)
        try:
            yield
        finally:
            self._faults.remove(entry)

    async def _query(self, request: web.Request) -> web.StreamResponse:
        given = {**request.query, **(await request.post())}
        at = given.get("time")
        query = Query(str(given["query"]), None if at is None else _unix(str(at)))
        ask: Ask = self._ask
        for fault, namespace in self._faults:
            ask = self._faulted(fault, namespace, ask)
        try:
            answer = await ask(query)
        except Dropped:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    def _faulted(self, fault: Fault, namespace: str, ask: Ask) -> Any:
        async def asked(query: Query) -> Answer | web.StreamResponse:
            self.failed[namespace] += 1
            return await fault(query, ask)

        return asked

    async def _ask(self, query: Query) -> Answer:
        given = {"query": query.promql} | ({} if query.at is None else {"time": f"{query.at:.3f}"})
        async with self._http.post(f"{self._upstream}/api/v1/query", data=given) as answer:
            told: Answer = await answer.json()
            return told

    async def _other(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotImplemented(text=f"the proxy knows instant queries, not {request.path}")


async def down(query: Query, ask: Ask) -> Answer:
    raise Dropped


def flapping(seconds: float) -> Fault:
    """Down for so long, up for so long, and down again."""

    async def answer(query: Query, ask: Ask) -> Answer:
        if int(time.monotonic() / seconds) % 2:
            raise Dropped
        return await ask(query)

    return answer


def slow(seconds: float) -> Fault:
    async def answer(query: Query, ask: Ask) -> Answer:
        await asyncio.sleep(seconds)
        return await ask(query)

    return answer


async def http_500(query: Query, ask: Ask) -> web.Response:
    return web.Response(status=500, text="internal error")


def empty(namespace: str) -> Fault:
    async def answer(query: Query, ask: Ask) -> Answer:
        told = await ask(query)
        return _with_rows(told, [row for row in told["data"]["result"] if not _is_of(row, namespace)])

    return answer


def numbers(namespace: str, change: Callable[[str], str]) -> Fault:
    """Each number is changed, but for times: those are no measurements."""

    async def answer(query: Query, ask: Ask) -> Answer:
        told = await ask(query)
        rows = [
            _changed(row, change) if _is_of(row, namespace) and not _is_time(row) else row
            for row in told["data"]["result"]
        ]
        return _with_rows(told, rows)

    return answer


def without_pods(pods: Callable[[], list[str]], *, warning: str = "") -> Fault:
    """Some pods are in no answer, as when a shard or a store behind the querier is away; with `warnings` or silently."""

    async def answer(query: Query, ask: Ask) -> Answer:
        missing = "|".join(map(re.escape, pods())).replace("\\", "\\\\")
        narrowed = query.promql.replace("{", f'{{pod!~"{missing}",')
        told = await ask(replace(query, promql=narrowed))
        return told | ({"warnings": [warning]} if warning else {})

    return answer


def frozen(namespace: str, at: float) -> Fault:
    """A replica that fell behind at `at` answers as of then, whatever it is asked for."""

    async def answer(query: Query, ask: Ask) -> Answer:
        now = time.time() if query.at is None else query.at
        told, then = await ask(query), await ask(replace(query, at=min(at, now)))
        rows = [row for row in told["data"]["result"] if not _is_of(row, namespace)]
        old = [row for row in then["data"]["result"] if _is_of(row, namespace)]
        return _with_rows(told, [*rows, *({**row, "value": [now, row["value"][1]]} for row in old)])

    return answer


def clock(seconds: float) -> Fault:
    """A Prometheus whose clock is so far ahead (negative: behind): its samples and its present are, and what it is asked for is in
    its own time."""

    async def answer(query: Query, ask: Ask) -> Answer:
        told = await ask(query if query.at is None else replace(query, at=query.at - seconds))
        rows = []
        for row in told["data"]["result"]:
            at, value = row["value"]
            ahead = str(float(value) + seconds) if _is_time(row) else value
            rows.append({**row, "value": [at + seconds, ahead]})
        return _with_rows(told, rows)

    return answer


def _is_of(row: Answer, namespace: str) -> bool:
    """An aggregate names no namespace: who asks for one asks for its own."""
    told: str = row["metric"].get("namespace", namespace)
    return told == namespace


def _is_time(row: Answer) -> bool:
    """The number is a moment of these days, as `timestamp()` gives it, and not a measurement."""
    at, value = row["value"]
    return abs(float(value) - float(at)) < _DAY_SECONDS


def _changed(row: Answer, change: Callable[[str], str]) -> Answer:
    at, value = row["value"]
    return {**row, "value": [at, change(value)]}


def _with_rows(told: Answer, rows: list[Answer]) -> Answer:
    return {**told, "data": {**told["data"], "result": rows}}


def _unix(text: str) -> float:
    """Seconds, as Prometheus takes times: a number or RFC 3339."""
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text.replace(" ", "+")).timestamp()
