"""What both ports do with every request: a failure leaves as a `Status` with its cause, and each is counted and timed."""

import time
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from autoscaler.api.documents import JSON
from autoscaler.api.metrics import ApiError, render_status

log = structlog.get_logger(__name__)

OnRequest = Callable[[int, float], None]
"""Told the HTTP status and the seconds of each request."""


def timed(on_request: OnRequest) -> Middleware:
    @web.middleware
    async def time_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        response = await handler(request)
        on_request(response.status, time.monotonic() - began)
        return response

    return time_request


@web.middleware
async def statuses(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure leaves as a `Status` with its cause and without a traceback."""
    try:
        return await handler(request)
    except ApiError as error:
        return _status(error)
    except web.HTTPMethodNotAllowed as error:
        response = _status(ApiError(405, f"{request.method[:20]} is not supported here: ask with GET"))
        response.headers["Allow"] = ",".join(sorted(error.allowed_methods))
        return response
    except web.HTTPNotFound:
        return _status(ApiError(404, f"no resource at {request.path[:120]}"))
    except web.HTTPException as error:
        return _status(ApiError(error.status, error.reason))
    except Exception:
        log.exception("request failed", method=request.method[:20], path=request.path[:200])
        return _status(ApiError(500, "internal error of the external metrics adapter; its log has the cause"))


def _status(error: ApiError) -> web.Response:
    return web.Response(status=error.code, body=render_status(error), content_type=JSON)
