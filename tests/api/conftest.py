"""A real server on loopback, and the certificates of those who come to it."""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import pytest
import trustme

from autoscaler.answer import Answer, Value
from autoscaler.api.app import make_api_app
from autoscaler.api.certificates import OwnCa, load_certificate, make_own_ca
from autoscaler.api.server import ApiServer, front_proxy_context
from autoscaler.selector import Selector

NOW = datetime(2026, 11, 22, 12, 0, 30, 700_000, tzinfo=UTC)
SERVICE, NAMESPACE = "triton-autoscaler", "triton-ops"
HOST_NAME = f"{SERVICE}.{NAMESPACE}.svc"


@dataclass
class ScriptedMetrics:
    """Gives one answer to every question, and keeps the questions; an exception is raised."""

    result: Answer | Exception = field(default_factory=lambda: Value(1.5, 2.0, 60))
    names: Sequence[str] = ("triton_concurrency", "triton_queue_ms")
    asked: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def signals(self) -> Sequence[str]:
        return self.names

    def answer(self, namespace: str, signal: str, selector: Selector, *, explain: bool) -> Answer:
        self.asked.append((namespace, signal, str(selector), explain))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@dataclass
class Fleet:
    """One running API with everything around it that a test may turn."""

    server: ApiServer
    metrics: ScriptedMetrics
    own_ca: OwnCa
    front_proxy_ca: trustme.CA
    allowed_names: list[str]

    def client_context(
        self, ca: trustme.CA | None, common_name: str = "front-proxy-client"
    ) -> ssl.SSLContext:
        """What kube-apiserver would use, or somebody else without a certificate (`None`) or with another."""
        context = ssl.create_default_context(cadata=self.own_ca.pem.decode())
        if ca is not None:
            ca.issue_cert(common_name=common_name).configure_cert(context)
        return context

    def context_trusting(self, ca: trustme.CA) -> ssl.SSLContext:
        context = front_proxy_context(ca.cert_pem.bytes().decode())
        load_certificate(context, self.own_ca.issue(SERVICE, NAMESPACE, datetime.now(UTC)))
        return context

    @asynccontextmanager
    async def session(self, context: ssl.SSLContext) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(ssl=context)
        timeout = aiohttp.ClientTimeout(total=10)
        base = f"https://127.0.0.1:{self.server.port}"
        async with aiohttp.ClientSession(base, connector=connector, timeout=timeout) as session:
            yield session

    def front_proxy(
        self, common_name: str = "front-proxy-client"
    ) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
        return self.session(self.client_context(self.front_proxy_ca, common_name))


@pytest.fixture(scope="session")
def front_proxy_ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def other_ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def fleet(front_proxy_ca: trustme.CA) -> AsyncIterator[Fleet]:
    metrics, allowed_names = ScriptedMetrics(), ["front-proxy-client"]
    app = make_api_app(
        metrics,
        allowed_names=lambda: allowed_names,
        now=lambda: NOW,
        program_version="0.1.0",
        is_current=lambda context: server.is_current(context),
    )
    async with ApiServer(app, host="127.0.0.1", port=0) as server:
        running = Fleet(server, metrics, make_own_ca(datetime.now(UTC)), front_proxy_ca, allowed_names)
        await server.use(running.context_trusting(front_proxy_ca))
        yield running


Get = Callable[..., AbstractAsyncContextManager[aiohttp.ClientResponse]]


@pytest.fixture
async def get(fleet: Fleet) -> AsyncIterator[Get]:
    """GET as the front proxy does."""
    async with fleet.front_proxy() as session:

        def ask(path: str, **options: object) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
            return session.get(path, server_hostname=HOST_NAME, **options)  # type: ignore[arg-type]

        yield ask
