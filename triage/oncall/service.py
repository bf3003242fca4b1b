"""The on-call service: intake, triage, record, Slack and follow-up in one task group; stop is start reversed."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from telemetry.kube_client import KubernetesClient
from telemetry.listen import listen
from telemetry.listwatch import Backoff
from telemetry.plain_port import Condition, add_plain_routes
from telemetry.rules_dir import rules_dir
from telemetry.until_stopped import until_stopped
from triage.oncall.audit import Audit
from triage.oncall.checks import RightsCheck, check_slack
from triage.oncall.cluster_record import ClusterRecord
from triage.oncall.config import OncallConfig
from triage.oncall.folder_record import FolderRecord
from triage.oncall.follow_up import FollowUp
from triage.oncall.incident import Incident
from triage.oncall.incidents import Incidents
from triage.oncall.index import RepositoryIndexes
from triage.oncall.intake import Intake
from triage.oncall.job import Job
from triage.oncall.jobs import TREES, job_of
from triage.oncall.joining import Done
from triage.oncall.naming import Naming, not_allowed
from triage.oncall.only_one import only_one
from triage.oncall.own_metrics import OncallMetrics
from triage.oncall.posting import PostedIncidents, PostLog
from triage.oncall.record import Record, RecordError
from triage.oncall.retention import Retention
from triage.oncall.rights import rights
from triage.oncall.triaging import Triaging, gone
from triage.oncall.triton_pods import TritonPods
from triage.oncall.unready import UnreadyPods
from triage.oncall.webhook_tls import TlsFiles
from triage.rules import seals_from_folder
from triage.slack.client import SlackClient
from triage.slack.kept import Kept
from triage.slack.outbox import Outbox

log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0
_LIVE_SECONDS = 30.0
"""The loop may be so late before it counts as dead."""
_RECORD_CHECK_SECONDS = 10.0
_START_SECONDS = 60.0
_TOLD_SECONDS = 86_400.0
"""What ended so long ago was told, or nobody waits for it: a new version's words must not edit all threads there are."""


async def serve(
    config: OncallConfig, rules: Path | None, *, kubeconfig: str | None = None, context: str | None = None
) -> None:
    """Runs until SIGINT or SIGTERM, which end a start that hangs too. Raises KubernetesError when the cluster's credentials cannot
    be read, RecordError when the record cannot, OSError when a port cannot be opened or a file not be read."""
    await until_stopped(_run(config, rules, kubeconfig, context))


async def _run(config: OncallConfig, rules: Path | None, kubeconfig: str | None, context: str | None) -> None:
    async with AsyncExitStack() as stack:
        service = await Service.start(stack, config, rules, kubeconfig, context)
        async with asyncio.TaskGroup() as group:
            for job in service.jobs():
                group.create_task(job)


class Service:
    """The parts of a running service, and what they promise on /livez and /readyz."""

    def __init__(
        self,
        config: OncallConfig,
        rules: Path | None,
        api: KubernetesClient,
        session: aiohttp.ClientSession,
        slack: SlackClient | None,
        at: tuple[str, str],
    ) -> None:
        """`at` are kubeconfig and context for the triages."""
        self._config = config
        self._rules = rules
        self._api = api
        self._at = at
        self._ticked = time.monotonic()
        self.rights = RightsCheck(api, list(rights(config.tritons.namespaces, config.record.namespace)))
        self.metrics = OncallMetrics(version("triton-ops"))
        self.audit = Audit(config.data / "audit")
        record: Record
        if config.record.namespace is not None:
            record = ClusterRecord(api, config.record.namespace)
        else:
            record = FolderRecord(config.data / "incidents")
        self.incidents = Incidents(record, time.time, TREES, on_store_failure=self.metrics.store_failures.inc)
        self.pods = TritonPods(api, config.tritons.namespaces, config.tritons.selector)
        make_seal = seals_from_folder(rules or rules_dir())
        indexes = RepositoryIndexes(session, make_seal)
        self.triaging = Triaging(
            self.incidents,
            partial(self._job, keep=True),
            self._refuse,
            self.metrics,
            self.audit,
            config.at_once,
        )
        self.follow_up = FollowUp(self.incidents, partial(self._job, keep=False), config.follow_up)
        self.unready = UnreadyPods(self.pods, self.incidents, config.tritons.unready_after, indexes.failed)
        self.retention = Retention(
            self.incidents,
            config.data / "bundles",
            config.record.keep,
            config.record.most,
            config.record.most_bundle_bytes,
        )
        naming = Naming(self.pods, indexes.known)
        token = Path(config.webhook.token_file) if config.webhook.token_file else None
        self.intake = Intake(self.incidents, naming.named, token, self._answered, make_seal)
        self.slack = slack
        self.outbox: Outbox | None = None
        self.post_log = PostLog(self.incidents, self.metrics, self.audit)
        if slack is not None and config.slack is not None:
            self.outbox = Outbox(
                slack,
                PostedIncidents(self.incidents),
                config.slack.channel,
                mentions=config.slack.mentions,
                kept=Kept(namespace=config.record.namespace)
                if config.record.namespace
                else Kept(folder=str(config.data / "incidents")),
                on_post=self.post_log.posted,
                clock=time.time,
            )
            outbox = self.outbox
            self.incidents.changed.append(outbox.changed)
            self.metrics.watch_posts(lambda: outbox.waiting, lambda: outbox.oldest_seconds)
        self.incidents.changed.append(self.triaging.changed)
        self.metrics.watch_incidents(
            lambda state: sum(1 for one in self.incidents.all() if one.state == state)
        )
        self._tls = TlsFiles(config.webhook.tls) if config.webhook.tls else None

    @classmethod
    async def start(
        cls,
        stack: AsyncExitStack,
        config: OncallConfig,
        rules: Path | None,
        kubeconfig: str | None,
        context: str | None,
    ) -> "Service":
        """Opens both ports, once the record is read: what is taken then joins what was there."""
        api = await stack.enter_async_context(KubernetesClient(kubeconfig=kubeconfig, context=context))
        timeout = aiohttp.ClientTimeout(total=None)  # each question has its own deadline
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, trust_env=False))
        slack = None
        if config.slack is not None:
            client = SlackClient(Path(config.slack.token_file), base_url=config.slack.api_url)
            slack = await stack.enter_async_context(client)
        service = cls(config, rules, api, session, slack, (kubeconfig or "", context or ""))
        plain = web.Application()
        add_plain_routes(plain, live=service.live, ready=service.ready, registry=service.metrics.registry)
        await listen(stack, plain, config.plain.address, config.plain.port)
        await stack.enter_async_context(only_one(config.data))
        await service._load()
        tls = service._tls.context if service._tls else None
        port = await listen(stack, service.intake.app(), config.webhook.address, config.webhook.port, tls)
        log.info(
            "serving",
            port=port,
            incidents=len(service.incidents.all()),
            namespaces=sorted(service.pods.namespaces),
        )
        return service

    async def _load(self) -> None:
        """Waits for a record that is away at the start, as after a power cut; what is wrong for good ends the program."""
        backoff, began = Backoff(0.5, 5.0), time.monotonic()
        while True:
            try:
                await self.incidents.load()
            except RecordError as error:
                if time.monotonic() - began > _START_SECONDS:
                    raise
                log.warning("record_not_read", cause=str(error))
                await asyncio.sleep(backoff.next_seconds())
            else:
                break
        since = time.time() - _TOLD_SECONDS
        for incident in self.incidents.all():
            if self.outbox is not None and (
                incident.state != "closed" or (incident.resolved_at or 0.0) > since
            ):
                self.outbox.changed(incident.name)

    def jobs(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs for as long as the service does; none of them returns by itself."""
        jobs = [
            self.pods.run(),
            self.triaging.run(),
            self.follow_up.run(),
            self.unready.run(),
            self.retention.run(),
            self.post_log.run(),
            self._tick(),
            self._check_record(),
            self.rights.run(),
        ]
        if self.outbox is not None and self.slack is not None:
            jobs += [self.outbox.run(), check_slack(self.slack)]
        if self._tls is not None:
            jobs.append(self._tls.keep())
        return jobs

    def live(self) -> Sequence[Condition]:
        """Live: the loop ticked lately."""
        late = time.monotonic() - self._ticked
        return [Condition("loop", late <= _LIVE_SECONDS, f"the loop has not gone round for {late:.0f} s")]

    def ready(self) -> Sequence[Condition]:
        """Ready: an alert that came now would be kept, and its workload be known. Slack's absence is no unreadiness: the record is
        there all the same."""
        store = self.incidents.store_problem
        pods = "; ".join(self.pods.problems)
        return [
            Condition("record", not store, store),
            Condition("pods-listed", self.pods.listed, pods or "pods are not listed yet", note=pods),
            Condition("rights", ok=True, note=self.rights.note),
            Condition("slack", ok=True, note=self.outbox.trouble if self.outbox else "not configured"),
            Condition("audit", ok=True, note=self.audit.problem),
        ]

    def _job(self, incident: Incident, *, keep: bool) -> Job:
        now = time.time()
        bundle = self._config.data / "bundles" / f"{incident.name}-{now:.0f}.json.gz"
        kubeconfig, context = self._at
        return job_of(
            incident,
            self._config,
            self.pods.of(incident.namespace, incident.workload),
            now,
            bundle=str(bundle) if keep else "",
            kubeconfig=kubeconfig,
            context=context,
            rules=str(self._rules) if self._rules else "",
        )

    async def _refuse(self, incident: Incident) -> str:
        if incident.namespace not in self.pods.namespaces:
            return not_allowed(incident.namespace, self.pods.namespaces)
        return await gone(self._api, incident)

    def _answered(self, code: int, done: Sequence[Done]) -> None:
        self.metrics.notifications.labels(str(code)).inc()
        for outcome in done:
            self.metrics.alerts.labels(outcome).inc()

    async def _tick(self) -> None:
        while True:
            self._ticked = time.monotonic()
            await asyncio.sleep(_TICK_SECONDS)

    async def _check_record(self) -> None:
        while True:
            await asyncio.sleep(_RECORD_CHECK_SECONDS)
            await self.incidents.check()
