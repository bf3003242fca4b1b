"""The plain port: probes, the program's own metrics, and the JSON route where it is switched on. Nothing here is secret."""

from aiohttp import web
from prometheus_client import CollectorRegistry

from autoscaler.api.json_route import PATH as JSON_ROUTE
from autoscaler.api.json_route import JsonRoute
from autoscaler.api.statuses import OnRequest, statuses, timed
from telemetry.plain_port import Conditions, add_plain_routes


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
    add_plain_routes(app, live=live, ready=ready, registry=registry, encode_in_thread=True)
    if json_route is not None:
        app.router.add_get(JSON_ROUTE, json_route.answer)
    return app
