"""The daemon: targets, scrapes, and the two ports, in one task group; stop is start reversed."""

import asyncio
import resource
import signal as os_signal
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from autoscaler.api.app import make_api_app
from autoscaler.api.certificates import make_own_ca
from autoscaler.api.front_proxy import FrontProxyTrust
from autoscaler.api.front_proxy_port import FrontProxyPort
from autoscaler.api.plain import Condition, make_plain_app
from autoscaler.api.publish import CaPublisher, PublicationState, ServiceRef
from autoscaler.api.server import ApiServer
from autoscaler.config import Config
from autoscaler.core import Autoscaler
from autoscaler.own_metrics import OwnMetrics
from autoscaler.signal import Signal, needed_families
from telemetry.kube_client import KubernetesClient
from telemetry.pods import PodTargets
from telemetry.scrape import Scraper
from telemetry.target import Targets

log = structlog.get_logger(__name__)

LIVE_ROUNDS = 5
"""Scrape rounds that may be overdue before the loop counts as dead."""
DRAIN_SECONDS = 5.0


async def serve(
    config: Config, rows: Mapping[str, Signal], *, kubeconfig: str | None = None, context: str | None = None
) -> None:
    """Runs until SIGINT or SIGTERM, which end a start that hangs too. Raises KubernetesError when the cluster's credentials
    cannot be read, OSError when a port cannot be opened."""
    _allow_open_files()
    running = asyncio.create_task(_run(config, rows, kubeconfig=kubeconfig, context=context))

    def stop() -> None:
        if not running.cancelling():
            log.info("stopping")
            running.cancel()

    for number in (os_signal.SIGINT, os_signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await running


async def _run(
    config: Config, rows: Mapping[str, Signal], *, kubeconfig: str | None, context: str | None
) -> None:
    async with AsyncExitStack() as stack:
        daemon = await Daemon.start(stack, config, rows, kubeconfig=kubeconfig, context=context)
        async with asyncio.TaskGroup() as group:
            for job in daemon.jobs():
                group.create_task(job)


def _allow_open_files() -> None:
    """Each target holds a connection, and container runtimes set a soft limit of 1024 for programs that use select()."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Daemon:
    """The parts of a running daemon, and what they promise on /livez and /readyz."""

    def __init__(
        self,
        config: Config,
        rows: Mapping[str, Signal],
        api: KubernetesClient,
        session: aiohttp.ClientSession,
    ) -> None:
        self._config = config
        self._started = time.monotonic()
        self._longest_window = max(row.window for row in rows.values())
        self.metrics = OwnMetrics()
        self.targets = Targets()
        self.pod_targets: PodTargets | None = None
        if config.targets.kubernetes is not None:
            found = config.targets.kubernetes
            self.pod_targets = PodTargets(
                api, self.targets, namespaces=found.namespaces, selector=found.selector
            )
        else:
            static = [target.target() for target in config.targets.static]
            self.targets.replace({target.key: target for target in static})
        self.scraper = Scraper(
            self.targets,
            needed_families(rows),
            {row.window for row in rows.values()},
            config.scrape_settings(),
            session,
            time.monotonic,
            self.metrics.scraped,
        )
        self.autoscaler = Autoscaler(
            rows, self.scraper.pods, config.settings(), time.monotonic, self.metrics.answered
        )
        service = ServiceRef(config.server.service.namespace, config.server.service.name)
        own_ca = make_own_ca(_now())
        self.publisher = CaPublisher(api, service, own_ca.certificate, _now)
        app = make_api_app(
            self.autoscaler,
            allowed_names=lambda: self.trust.allowed_names(),
            now=_now,
            program_version=version("triton-ops"),
        )
        self.server = ApiServer(app, host=config.server.address, port=config.server.port)
        self._port = FrontProxyPort(
            self.server, lambda now: own_ca.issue(service.name, service.namespace, now), _now
        )
        self.trust = FrontProxyTrust(
            api, self._port.trust, service_account=f"{service.namespace}:{service.name}"
        )
        self._ready_once = False

    @classmethod
    async def start(
        cls,
        stack: AsyncExitStack,
        config: Config,
        rows: Mapping[str, Signal],
        *,
        kubeconfig: str | None,
        context: str | None,
    ) -> "Daemon":
        """Opens both ports. The TLS port answers once the front proxy's CA is known."""
        api = await stack.enter_async_context(KubernetesClient(kubeconfig=kubeconfig, context=context))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        )
        daemon = cls(config, rows, api, session)
        server = config.server
        await stack.enter_async_context(daemon.server)
        plain = web.AppRunner(
            make_plain_app(live=daemon.live, ready=daemon.ready, registry=daemon.metrics.registry),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=DRAIN_SECONDS,
        )
        await plain.setup()
        stack.push_async_callback(plain.cleanup)
        await web.TCPSite(plain, server.address, server.plain_port).start()
        log.info("serving", signals=sorted(rows), port=daemon.server.port, plain_port=server.plain_port)
        return daemon

    def jobs(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs for as long as the daemon does; none of them returns by itself."""
        jobs: list[Coroutine[Any, Any, None]] = [
            self.scraper.run(),
            self.trust.keep(),
            self.publisher.keep_published(),
            self._port.keep_renewed(),
        ]
        return jobs if self.pod_targets is None else [self.pod_targets.run(), *jobs]

    def live(self) -> Sequence[Condition]:
        """Live: the scrape loop went round lately."""
        last = self.scraper.last_round_at or self._started
        overdue = time.monotonic() - last > LIVE_ROUNDS * self._config.scrape.interval + 10.0
        return [Condition("scrape-loop", not overdue, "no scrape round has ended lately")]

    def ready(self) -> Sequence[Condition]:
        """Ready: can answer for itself. Blindness is an answer, not unreadiness."""
        publication = self.publisher.publication
        published = publication.state is PublicationState.PUBLISHED
        problems = self.pod_targets.problems if self.pod_targets else ()
        return [
            Condition("front-proxy-ca", self.trust.front_proxy is not None, self.trust.problem or ""),
            Condition("ca-bundle", published, publication.message),
            Condition("pods-listed", self.targets.complete, "; ".join(problems) or "pods are not listed yet"),
            Condition("first-window", self._window_passed(), "the first window is not full yet"),
        ]

    def _window_passed(self) -> bool:
        """True once a first window is full or 60 s have passed, for good."""
        waited = time.monotonic() - self._started
        full = self.scraper.last_round_at is not None and waited >= self._longest_window
        self._ready_once = self._ready_once or full or waited >= 60.0
        return self._ready_once


def _now() -> datetime:
    """Wall time, for certificates and the answers' timestamps alone."""
    return datetime.now(UTC)
