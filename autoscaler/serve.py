"""The daemon: generations of targets and scrapes, and the two ports, in one task group; stop is start reversed."""

import asyncio
import resource
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from cryptography import x509

from autoscaler.api.app import make_api_app
from autoscaler.api.authority import OwnAuthority
from autoscaler.api.certificate_files import CertificateFiles
from autoscaler.api.front_proxy import FrontProxyTrust
from autoscaler.api.front_proxy_port import FrontProxyPort
from autoscaler.api.json_route import JsonRoute
from autoscaler.api.plain import make_plain_app
from autoscaler.api.publish import PublicationState, ServiceRef
from autoscaler.api.server import ApiServer
from autoscaler.config import keep_server
from autoscaler.generation import Generation, Generations
from autoscaler.model_metrics import ModelCollector
from autoscaler.own_metrics import OwnMetrics
from autoscaler.reload import Files, Loaded, Reloader
from autoscaler.source_metrics import SourcesCollector
from telemetry.http_body import scrape_session
from telemetry.index_reader import IndexReader
from telemetry.kube_client import KubernetesClient
from telemetry.kubernetes_api import KubernetesApi
from telemetry.listen import listen
from telemetry.located_yaml import InvalidFileError
from telemetry.plain_port import Condition
from telemetry.target import PodKey, Target
from telemetry.until_stopped import until_stopped

log = structlog.get_logger(__name__)


async def serve(
    loaded: Loaded, files: Files, *, kubeconfig: str | None = None, context: str | None = None
) -> None:
    """Runs until SIGINT or SIGTERM, which end a start that hangs too. `files` are what `loaded` was read from. Raises
    KubernetesError when the cluster's credentials cannot be read, OSError when a port cannot be opened."""
    _allow_open_files()
    await until_stopped(_run(loaded, files, kubeconfig=kubeconfig, context=context))


async def _run(loaded: Loaded, files: Files, *, kubeconfig: str | None, context: str | None) -> None:
    async with AsyncExitStack() as stack:
        daemon = await Daemon.start(stack, loaded, files, kubeconfig=kubeconfig, context=context)
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
        self, loaded: Loaded, files: Files, api: KubernetesApi, session: aiohttp.ClientSession
    ) -> None:
        self._api = api
        self._session = session
        self._started = time.monotonic()
        self._ready_once = False
        self._refusal = ""
        self.metrics = OwnMetrics(version("triton-ops"))
        self.generations = Generations(self._generation(loaded))
        self.index_reader = IndexReader(
            self._targets,
            lambda: self.generations.current.config.index_settings(),
            session,
            time.monotonic,
        )
        self.metrics.registry.register(
            ModelCollector(self._targets, lambda: self.index_reader.pods, time.monotonic)
        )
        self.metrics.registry.register(SourcesCollector(lambda: self.generations.current.sources))
        self.reloader = Reloader(files, loaded.digest, self._adopt, self._refuse)
        server = loaded.config.server
        self.server = ApiServer(self._api_app(), host=server.address, port=server.port)
        service = ServiceRef(server.service.namespace, server.service.name)
        self.authority: OwnAuthority | CertificateFiles
        if server.tls is None:
            self.authority = own = OwnAuthority(api, service, _now)
            self.metrics.watch_certificate("ca", own.ends)
        else:
            certificate, key = Path(server.tls.certificate), Path(server.tls.key)
            self.authority = CertificateFiles(certificate, key, api, service, lambda: self._port.serving)
        self._port = FrontProxyPort(self.server, self.authority.issue, _now)
        if isinstance(self.authority, OwnAuthority):
            self.authority.port = self._port
        self.trust = FrontProxyTrust(
            api, self._port.trust, service_account=f"{service.namespace}:{service.name}"
        )
        self.metrics.watch_certificate("serving", self._certificate_ends)
        self.metrics.watch_targets(lambda: len(self.generations.current.targets.by_key))
        self.metrics.watch_pods(lambda: self.generations.current.follows_pods)
        self.metrics.watch_trust(lambda: self.authority.publication.state is PublicationState.PUBLISHED)
        self.metrics.config_read(right=True)
        self.metrics.config_taken_over(_now())

    @classmethod
    async def start(
        cls,
        stack: AsyncExitStack,
        loaded: Loaded,
        files: Files,
        *,
        kubeconfig: str | None,
        context: str | None,
    ) -> "Daemon":
        """Opens both ports. The TLS port answers once the front proxy's CA is known."""
        api = await stack.enter_async_context(KubernetesClient(kubeconfig=kubeconfig, context=context))
        session = await stack.enter_async_context(scrape_session())
        daemon = cls(loaded, files, api, session)
        await stack.enter_async_context(daemon.server)
        server = loaded.config.server
        plain_port = await listen(stack, daemon._plain_app(), server.address, server.plain_port)
        log.info("serving", signals=sorted(loaded.rows), port=daemon.server.port, plain_port=plain_port)
        return daemon

    def jobs(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs for as long as the daemon does; none of them returns by itself."""
        return [
            self.generations.run(),
            self.index_reader.run(),
            self.reloader.run(),
            self.trust.keep(),
            self.authority.keep(),
            self._port.keep_renewed(),
        ]

    def live(self) -> Sequence[Condition]:
        """Live: the scrape loop went round lately."""
        return [Condition("scrape-loop", self.generations.current.alive, "no scrape round has ended lately")]

    def ready(self) -> Sequence[Condition]:
        """Ready: can answer for itself. Blindness is an answer, not unreadiness, and so is a refused change of the
        configuration: the one at work serves on. Where another adapter has the API group, the JSON route is what is served."""
        current = self.generations.current
        publication = self.authority.publication
        owner = f"APIService belongs to {publication.owner}" if publication.owner else ""
        elsewhere = current.config.json_route is not None and publication.state in (
            PublicationState.OWNED_BY_ANOTHER,
            PublicationState.ABSENT,
        )
        published = publication.state is PublicationState.PUBLISHED
        note = f"{publication.message}; the JSON route serves" if elsewhere else owner
        trusted = self.trust.front_proxy is not None
        return [
            Condition("front-proxy-ca", trusted or elsewhere, self.trust.problem or ""),
            Condition("ca-bundle", published or elsewhere, publication.message, note),
            Condition(
                "pods-listed",
                current.targets.complete,
                "; ".join(current.problems) or "pods are not listed yet",
                note="; ".join(current.problems),
            ),
            Condition("first-window", self._window_passed(), "the first window is not full yet"),
            Condition("configuration", ok=True, note=self._refusal),
        ]

    def _window_passed(self) -> bool:
        """True once a first window is full or 60 s have passed, for good."""
        waited = time.monotonic() - self._started
        self._ready_once = self._ready_once or self.generations.current.full or waited >= 60.0
        return self._ready_once

    def _adopt(self, loaded: Loaded) -> None:
        """Changed files that are right: a generation of their own takes over once it has measured for a window."""
        self.metrics.config_read(right=True)
        current = self.generations.current
        config, kept = keep_server(loaded.config, current.config)
        if kept:
            log.warning("these keys change with a restart only and stay as they are", keys=kept)
        self._refusal = f"a restart is needed for {', '.join(kept)}" if kept else ""
        wanted = replace(loaded, config=config)
        now = (current.config, current.rows, current.exporters, current.gateways)
        if (config, wanted.rows, wanted.exporters, wanted.gateways) == now:
            self.generations.replace(None)
            log.info("configuration read again; what is at work stays")
            return
        successor = self._generation(wanted)

        def taken_over() -> None:
            self.metrics.config_taken_over(_now())
            log.info("configuration taken over", signals=sorted(wanted.rows))

        self.generations.replace(successor, taken_over)
        log.info("configuration changed; it takes over after a window", seconds=successor.longest_window)

    def _refuse(self, error: InvalidFileError) -> None:
        """What was right before stays at work, or goes on to take over."""
        self.metrics.config_read(right=False)
        self._refusal = f"changed files are refused, the last good ones are at work: {error.problems[0]}"
        log.warning(
            "configuration refused; the last good one stays at work",
            problems=[str(p) for p in error.problems],
        )

    def _generation(self, loaded: Loaded) -> Generation:
        return Generation(
            loaded.config,
            loaded.rows,
            self._api,
            self._session,
            self.metrics,
            loaded.exporters,
            loaded.gateways,
        )

    def _targets(self) -> Mapping[PodKey, Target]:
        return self.generations.current.targets.by_key

    def _api_app(self) -> web.Application:
        return make_api_app(
            self.generations,
            allowed_names=lambda: self.trust.allowed_names(),
            now=_now,
            program_version=version("triton-ops"),
            is_current=lambda context: self.server.is_current(context),
            on_request=lambda code, seconds: self.metrics.requested("api", code, seconds),
        )

    def _plain_app(self) -> web.Application:
        def namespaces() -> Sequence[str] | None:
            route = self.generations.current.config.json_route
            return None if route is None else route.namespaces

        return make_plain_app(
            live=self.live,
            ready=self.ready,
            registry=self.metrics.registry,
            json_route=JsonRoute(self.generations, namespaces),
            on_request=lambda code, seconds: self.metrics.requested("plain", code, seconds),
        )

    def _certificate_ends(self) -> datetime | None:
        serving = self._port.serving
        if serving is None:
            return None
        return x509.load_pem_x509_certificate(serving.certificate_pem).not_valid_after_utc


def _now() -> datetime:
    """Wall time, for certificates and the answers' timestamps alone."""
    return datetime.now(UTC)
