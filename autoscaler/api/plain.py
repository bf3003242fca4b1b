"""The plain port: probes, the program's own metrics, and the JSON route where it is switched on. Nothing here is secret."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from autoscaler.api.json_route import PATH as JSON_ROUTE
from autoscaler.api.json_route import JsonRoute
from autoscaler.api.metrics import bounded
from autoscaler.api.statuses import OnRequest, statuses, timed


@dataclass(frozen=True, slots=True)
class Condition:
    """One named promise: kept, or failed for a reason that says what to do."""

    name: str
    ok: bool
    reason: str = ""
    note: str = ""
    """What a person should know although the promise is kept."""


Conditions = Callable[[], Sequence[Condition]]
"""The conditions at this moment; returns at once."""


def make_plain_app(
    *,
    live: Conditions,
    ready: Conditions,
    registry: CollectorRegistry,
    json_route: JsonRoute | None = None,
    on_request: OnRequest = lambda code, seconds: None,
) -> web.Application:
    """The application with `/livez`, `/readyz` (both with `?verbose`), `/metrics`, and the JSON route."""
    app = web.Application(middlewares=[timed(on_request), statuses])
    app.router.add_get("/livez", _probe("livez", live))
    app.router.add_get("/readyz", _probe("readyz", ready))
    app.router.add_get("/metrics", _metrics(registry))
    if json_route is not None:
        app.router.add_get(JSON_ROUTE, json_route.answer)
    return app


def render_conditions(probe: str, conditions: Sequence[Condition]) -> str:
    """The lines of kube-apiserver's own probes: `[+]name ok`, `[-]name failed: reason`, the verdict."""
    lines = [
        f"[+]{condition.name} ok{': ' if condition.note else ''}{bounded(condition.note)}"
        if condition.ok
        else f"[-]{condition.name} failed: {bounded(condition.reason) or 'no reason given'}"
        for condition in conditions
    ]
    verdict = "passed" if all(condition.ok for condition in conditions) else "failed"
    return "\n".join([*lines, f"{probe} check {verdict}", ""])


def _probe(name: str, conditions: Conditions) -> Handler:
    async def probe(request: web.Request) -> web.Response:
        current = conditions()
        passed = all(condition.ok for condition in current)
        text = "ok" if passed and "verbose" not in request.query else render_conditions(name, current)
        return web.Response(status=200 if passed else 503, text=text, headers={"Cache-Control": "no-store"})

    return probe


def _metrics(registry: CollectorRegistry) -> Handler:
    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return metrics
