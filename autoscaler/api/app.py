"""The external metrics API as an aiohttp application: from an authenticated request to a rendered answer.

The request path does no I/O. Whoever gets here has shown a certificate of the request-header CA in the TLS
handshake (`server.py`); kube-apiserver has authenticated and authorised the person behind it.
"""

import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

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
from autoscaler.api.metrics import ApiError, render_answer, render_trace
from autoscaler.api.question import read_question
from autoscaler.api.statuses import OnRequest, statuses, timed
from autoscaler.selector import Selector


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
    is_current: Callable[[ssl.SSLContext | None], bool] = lambda context: True,
    on_request: OnRequest = lambda code, seconds: None,
) -> web.Application:
    """The application behind the TLS port.

    `is_current` tells whether a connection's context is still the one that new connections get: one that began under
    another ends after its next answer, so that nobody stays by a certificate or CA that was replaced.

    `allowed_names` gives the common names that the front proxy may have at this moment; none means any.
    `now` is the timezone-aware wall clock, used for timestamps alone."""
    api = _Api(metrics, now, program_version)
    app = web.Application(
        middlewares=[
            timed(on_request),
            _end_old_connections(is_current),
            statuses,
            _front_proxy_only(allowed_names),
        ]
    )
    app.router.add_get("/apis", api.groups)
    app.router.add_get(f"/apis/{GROUP}", api.group)
    app.router.add_get(f"/apis/{GROUP_VERSION}", api.resources)
    app.router.add_get(f"/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{{signal}}", api.metric)
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
        asked = read_question(request, self._metrics.signals())
        answer = self._metrics.answer(asked.namespace, asked.signal, asked.selector, explain=asked.explain)
        if asked.explain:
            body = render_trace(asked.namespace, asked.signal, asked.selector, answer)
        else:
            body = render_answer(asked.signal, asked.selector, answer, self._now())
        return web.Response(body=body, content_type=JSON)

    def _current_documents(self) -> Documents:
        """Rendered once for each list of signals."""
        signals = tuple(self._metrics.signals())
        if self._documents is None or self._documents[0] != signals:
            self._documents = signals, make_documents(signals, self._program_version)
        return self._documents[1]


def _serve(request: web.Request, document: Document) -> web.Response:
    headers = {"ETag": document.etag, "Vary": "Accept", "Content-Type": document.content_type}
    if not_modified(request.headers.get("If-None-Match", ""), document.etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=document.body, headers=headers)


def _end_old_connections(is_current: Callable[[ssl.SSLContext | None], bool]) -> Middleware:
    @web.middleware
    async def end_old_connection(request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer is whole, with `Connection: close`: no request is lost, the client opens another connection."""
        response = await handler(request)
        if not is_current(request.get_extra_info("sslcontext")):
            response.force_close()
        return response

    return end_old_connection


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
