"""A stand-in for a gateway: a small real HTTP proxy that balances over the ready pods and counts as Traefik does.

It is no Traefik: its pool, its probes and its retries are its own, only the names and meanings of its metrics are Traefik's. It
probes `/v2/health/ready` as a kubelet would, and leaves out pods that are not ready as endpoints do."""

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tests.local_process import free_ports

SERVICE = "incidents-web-8000@kubernetes"
ROUTER = "incidents-web@kubernetes"
PROBE_SECONDS = 1.0
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 10)


@dataclass
class Upstream:
    """One pod's server as the gateway sees it."""

    url: str
    session: aiohttp.ClientSession
    ready: bool = True
    stale_until: float = 0.0
    """Until then, by the monotonic clock, no news of its readiness has come: endpoints take seconds to follow."""
    rate_bytes: float = 0.0
    """Of the link to it, in bytes a second; 0: as fast as loopback is."""


@dataclass
class Faults:
    """How the gateway itself goes wrong."""

    delay_seconds: float = 0.0
    sticky: bool = False
    """All requests go to the first pod, as those of one client or one connection would."""
    at_once: int = 1000
    """Requests that it passes on at the same time."""


@dataclass
class Gateway:
    """An async context manager; clients talk to `url`."""

    upstreams: dict[str, Upstream] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    async def __aenter__(self) -> Self:
        registry = CollectorRegistry()
        names = ["code", "service"]
        self._requests = Counter("traefik_service_requests", "How many.", names, registry=registry)
        routed = ["code", "router", "service"]
        self._times = Histogram(
            "traefik_router_request_duration_seconds", "How long.", routed, registry=registry, buckets=BUCKETS
        )
        self._retries = Counter("traefik_service_retries", "Again.", ["service"], registry=registry)
        self._upstream = Histogram(
            "traefik_service_request_duration_seconds",
            "Of the server alone.",
            names,
            registry=registry,
            buckets=BUCKETS,
        )
        self._waiting = Gauge("gateway_waiting", "For their turn.", ["service"], registry=registry)
        self._sent = Counter("traefik_service_requests_bytes", "Of bodies.", ["service"], registry=registry)
        self._registry, self._turn = registry, itertools.count()
        self._in_flight = 0
        self._free = asyncio.Condition()
        app = web.Application(client_max_size=1 << 28)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        port = free_ports(1)[0]
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"
        self._probing = asyncio.create_task(self._probe())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._probing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._probing
        for pod in list(self.upstreams):
            await self.remove(pod)
        await self._runner.cleanup()

    def add(self, pod: str, url: str, *, connections: int = 0) -> None:
        """Connections are kept, `connections` of them at most; 0: as many as it takes."""
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=600),
            timeout=aiohttp.ClientTimeout(total=60),
        )
        self.upstreams[pod] = Upstream(url, session)

    async def remove(self, pod: str) -> None:
        await self.upstreams.pop(pod).session.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        began = time.monotonic()
        body = await request.read()
        self._sent.labels(SERVICE).inc(len(body))
        if "Retry-Attempt" in request.headers:
            self._retries.labels(SERVICE).inc()
        answer = await self._answer(request.path, body)
        self._requests.labels(answer.status, SERVICE).inc()
        self._times.labels(answer.status, ROUTER, SERVICE).observe(time.monotonic() - began)
        return answer

    async def _answer(self, path: str, body: bytes) -> web.Response:
        await asyncio.sleep(self.faults.delay_seconds)
        ready = sorted(pod for pod, upstream in self.upstreams.items() if upstream.ready)
        if not ready:
            return web.Response(status=503, text="no endpoints")
        pod = ready[0] if self.faults.sticky else ready[next(self._turn) % len(ready)]
        with self._waiting.labels(SERVICE).track_inprogress():
            async with self._free:
                await self._free.wait_for(lambda: self._in_flight < self.faults.at_once)
                self._in_flight += 1
        try:
            return await self._ask(pod, path, body)
        finally:
            self._in_flight -= 1
            async with self._free:
                self._free.notify()

    async def _ask(self, pod: str, path: str, body: bytes) -> web.Response:
        upstream, began, status = self.upstreams.get(pod), time.monotonic(), 502
        if upstream is None:  # it went while the request waited for its turn
            return web.Response(status=502, text=f"{pod} is gone")
        try:
            if upstream.rate_bytes:
                await asyncio.sleep(len(body) / upstream.rate_bytes)
            async with upstream.session.post(upstream.url + path, data=body) as answer:
                content, status = await answer.read(), answer.status
                return web.Response(status=answer.status, body=content, headers={"Served-By": pod})
        except (aiohttp.ClientError, OSError) as problem:
            return web.Response(status=502, text=repr(problem), headers={"Served-By": pod})
        except TimeoutError:
            status = 504
            return web.Response(status=504, text="no answer", headers={"Served-By": pod})
        finally:
            self._upstream.labels(status, SERVICE).observe(time.monotonic() - began)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")

    async def _probe(self) -> None:
        connector, timeout = (
            aiohttp.TCPConnector(force_close=True),
            aiohttp.ClientTimeout(total=PROBE_SECONDS),
        )
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as probes:
            while True:
                for upstream in list(self.upstreams.values()):
                    if upstream.stale_until > time.monotonic():
                        continue
                    try:
                        async with probes.get(f"{upstream.url}/v2/health/ready") as answer:
                            upstream.ready = answer.status == 200
                    except (aiohttp.ClientError, TimeoutError, OSError):
                        upstream.ready = False
                await asyncio.sleep(PROBE_SECONDS)
