"""The external metrics API as an aiohttp application: from an authenticated request to a rendered answer.

The request path does no I/O. Whoever gets here has shown a certificate of the request-header CA in the TLS
handshake (`server.py`); kube-apiserver has authenticated and authorised the person behind it.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from autoscaler.answer import Answer
from autoscaler.api.documents import (
    GROUP,
    GROUP_VERSION,
    JSON,
    Document,
    Documents,
    make_documents,
    negotiate_aggregated,
    not_modified,
)
from autoscaler.api.metrics import ApiError, render_answer, render_status, render_trace, unknown_signal
from autoscaler.selector import Selector, SelectorError, parse_selector

log = structlog.get_logger(__name__)


class ExternalMetrics(Protocol):
    """What the API asks of the autoscaler's core. Both calls return at once and do no I/O."""

    def signals(self) -> Sequence[str]:
        """The names served, never empty; discovery lists them."""
        ...

    def answer(self, namespace: str, signal: str, selector: Selector, *, explain: bool) -> Answer:
        """The pooled value of one signal over one namespace; `explain` asks for the trace too."""
        ...


def make_api_app(
    metrics: ExternalMetrics,
    *,
    allowed_names: Callable[[], Sequence[str]],
    now: Callable[[], datetime],
    program_version: str,
) -> web.Application:
    """The application behind the TLS port.

    `allowed_names` gives the common names that the front proxy may have at this moment; none means any.
    `now` is the timezone-aware wall clock, used for timestamps alone."""
    api = _Api(metrics, now, program_version)
    app = web.Application(middlewares=[_statuses, _front_proxy_only(allowed_names)])
    app.router.add_get("/apis", api.groups)
    app.router.add_get(f"/apis/{GROUP}", api.group)
    app.router.add_get(f"/apis/{GROUP_VERSION}", api.resources)
    app.router.add_get(f"/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{{metric}}", api.metric)
    app.router.add_get("/openapi/v2", api.openapi_v2)
    app.router.add_get("/openapi/v3", api.openapi_root)
    app.router.add_get(f"/openapi/v3/apis/{GROUP_VERSION}", api.openapi)
    app.router.add_get("/version", api.version)
    return app


class _Api:
    def __init__(self, metrics: ExternalMetrics, now: Callable[[], datetime], program_version: str) -> None:
        self._metrics = metrics
        self._now = now
        self._program_version = program_version
        self._documents: tuple[tuple[str, ...], Documents] | None = None

    async def groups(self, request: web.Request) -> web.Response:
        version = negotiate_aggregated(request.headers.get("Accept", ""))
        documents = self._current_documents()
        return _serve(request, documents.groups if version is None else documents.aggregated[version])

    async def group(self, request: web.Request) -> web.Response:
        return _serve(request, self._current_documents().group)

    async def resources(self, request: web.Request) -> web.Response:
        return _serve(request, self._current_documents().resources)

    async def openapi_v2(self, request: web.Request) -> web.Response:
        return _serve(request, self._current_documents().openapi_v2)

    async def openapi_root(self, request: web.Request) -> web.Response:
        return _serve(request, self._current_documents().openapi_root)

    async def openapi(self, request: web.Request) -> web.Response:
        return _serve(request, self._current_documents().openapi)

    async def version(self, request: web.Request) -> web.Response:
        return _serve(request, self._current_documents().version)

    async def metric(self, request: web.Request) -> web.Response:
        namespace, signal, selector, explain = self._metric_request(request)
        answer = self._metrics.answer(namespace, signal, selector, explain=explain)
        if explain:
            body = render_trace(namespace, signal, selector, answer)
        else:
            body = render_answer(signal, selector, answer, self._now())
        return web.Response(body=body, content_type=JSON)

    def _metric_request(self, request: web.Request) -> tuple[str, str, Selector, bool]:
        namespace, signal = request.match_info["namespace"], request.match_info["metric"]
        if not _NAMESPACE.match(namespace):
            raise ApiError(400, f"{namespace[:80]!r} is no namespace: a DNS label is accepted")
        if signal not in (signals := self._metrics.signals()):
            raise unknown_signal(signal, signals)
        for parameter in ("labelSelector", "explain"):
            if len(request.query.getall(parameter, ())) > 1:
                raise ApiError(400, f"{parameter} is given more than once")
        if _is_true(request.query.get("watch", "")):
            raise ApiError(400, "an external metric cannot be watched: get it again")
        if request.query.get("fieldSelector"):
            raise ApiError(400, "external metrics have no fields to select: use labelSelector")
        try:
            selector = parse_selector(request.query.get("labelSelector", ""))
        except SelectorError as error:
            raise ApiError(400, str(error)) from error
        return namespace, signal, selector, _is_true(request.query.get("explain", ""))

    def _current_documents(self) -> Documents:
        """Rendered once for each list of signals."""
        signals = tuple(self._metrics.signals())
        if self._documents is None or self._documents[0] != signals:
            self._documents = signals, make_documents(signals, self._program_version)
        return self._documents[1]


_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


def _is_true(text: str) -> bool:
    return text.lower() in ("1", "true", "t")


def _serve(request: web.Request, document: Document) -> web.Response:
    headers = {"ETag": document.etag, "Vary": "Accept", "Content-Type": document.content_type}
    if not_modified(request.headers.get("If-None-Match", ""), document.etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=document.body, headers=headers)


@web.middleware
async def _statuses(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure leaves as a `Status` with its cause and without a traceback."""
    try:
        return await handler(request)
    except ApiError as error:
        return _status(error)
    except web.HTTPMethodNotAllowed as error:
        response = _status(
            ApiError(405, f"{request.method} is not supported: external metrics are read with GET")
        )
        response.headers["Allow"] = ",".join(sorted(error.allowed_methods))
        return response
    except web.HTTPNotFound:
        return _status(ApiError(404, f"no resource at {request.path[:120]}"))
    except web.HTTPException as error:
        return _status(ApiError(error.status, error.reason))
    except Exception:
        log.exception("request failed", method=request.method, path=request.path[:200])
        return _status(ApiError(500, "internal error of the external metrics adapter; its log has the cause"))


def _status(error: ApiError) -> web.Response:
    return web.Response(status=error.code, body=render_status(error), content_type=JSON)


def _front_proxy_only(allowed_names: Callable[[], Sequence[str]]) -> Middleware:
    @web.middleware
    async def check_common_name(request: web.Request, handler: Handler) -> web.StreamResponse:
        """The handshake has proven the CA; the common name tells the front proxy from its siblings."""
        names = allowed_names()
        common_name = _common_name(request.get_extra_info("peercert"))
        if common_name is None or (names and common_name not in names):
            raise ApiError(
                401, "this client certificate is not the front proxy's; ask through kube-apiserver"
            )
        return await handler(request)

    return check_common_name


def _common_name(certificate: dict[str, tuple[tuple[tuple[str, str], ...], ...]] | None) -> str | None:
    """The subject's last common name, as Go reads it; "" if it has none, None without a certificate."""
    if not certificate:
        return None
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names[-1] if names else ""
