"""Pods that stay unready with a failed model, or whose server ends again and again: looked at without an alert."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from telemetry.target import Phase, PodKey, Target
from triage.oncall.alertmanager import Told
from triage.oncall.incident import Alert
from triage.oncall.incidents import Incidents
from triage.oncall.record import RecordError
from triage.oncall.triton_pods import TritonPods, workload_of
from triage.wording import count, names

log = structlog.get_logger(__name__)

TREE = "load-failure"
ALERT = "PodsStayUnready"
"""The name under which such an incident has its alert; no rule of Prometheus has it."""
_LOOK_SECONDS = 5.0
_MOST_ASKED = 20
"""Pods of a workload whose index is asked in one look."""
_AT_ONCE = 50
"""Of all: where many are silent, a look still takes seconds."""

FailedModels = Callable[[Target], Awaitable[Sequence[str]]]


@dataclass
class UnreadyPods:
    """`unready_after` in seconds; `failed_models` asks a pod's Triton which models failed to load."""

    pods: TritonPods
    incidents: Incidents
    unready_after: float
    failed_models: FailedModels
    clock: Callable[[], float] = time.time
    _since: dict[PodKey, float] = field(default_factory=dict, init=False)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE), init=False)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Looks once."""
        if not self.pods.listed:
            return
        now = self.clock()
        pods = [pod for pod in self.pods.all() if pod.phase is not Phase.TERMINATING and not pod.finished]
        self._since = {pod.key: self._since.get(pod.key, now) for pod in pods if not pod.ready}
        long = [
            pod for pod in pods if pod.key in self._since and now - self._since[pod.key] >= self.unready_after
        ]
        told = [*await self._failing(long), *self._ended(pods)]
        if told:
            try:
                await self.incidents.take(told)
            except RecordError as error:
                log.warning("unready_not_kept", cause=str(error))  # the next look tells the same

    async def _failing(self, pods: Sequence[Target]) -> list[Told]:
        by_workload: dict[tuple[str, str], list[Target]] = {}
        for pod in pods:
            by_workload.setdefault((pod.key.namespace, workload_of(pod)), []).append(pod)
        incidents = self.incidents.by_key()
        asked: dict[tuple[str, str], list[Target]] = {}
        for (namespace, workload), unready in by_workload.items():
            known = incidents.get((namespace, workload, TREE))
            if known is not None and known.state == "open":
                self.incidents.hear(known.name)
            else:
                asked[namespace, workload] = unready
        reasons = await asyncio.gather(*(self._why(unready[:_MOST_ASKED]) for unready in asked.values()))
        return [
            self._told(*where, unready, why)
            for (where, unready), why in zip(asked.items(), reasons, strict=True)
            if why
        ]

    async def _why(self, unready: Sequence[Target]) -> str:
        """Why a load-failure is suspected, in words; nothing where it is not."""
        ending = [pod.key.pod for pod in unready if pod.phase is Phase.STOPPED]
        if ending:
            return f"the server of {names(ending)} ended and is not running"
        serving = [pod for pod in unready if pod.phase is Phase.RUNNING]
        found = await asyncio.gather(*map(self._failed, serving))
        models = sorted({model for each in found for model in each})
        return f"failed to load: {names(models)}" if models else ""

    async def _failed(self, pod: Target) -> Sequence[str]:
        async with self._gate:
            return await self.failed_models(pod)

    def _told(self, namespace: str, workload: str, unready: Sequence[Target], why: str) -> Told:
        since = min(self._since[pod.key] for pod in unready)
        minutes = self.unready_after / 60
        summary = f"{count(len(unready), 'pod')} not ready for {minutes:g} minutes; {why}"
        return _told(namespace, workload, since, summary=summary)

    def _ended(self, pods: Iterable[Target]) -> list[Told]:
        """The end of incidents that began here: every pod of the workload is ready, or there is none any more."""
        unready = {(pod.key.namespace, workload_of(pod)) for pod in pods if not pod.ready}
        return [
            _told(one.namespace, one.workload, alert.starts_at, ended=self.clock(), summary=alert.summary)
            for one in self.incidents.by_key().values()
            if one.tree == TREE and (one.namespace, one.workload) not in unready
            for alert in one.alerts
            if alert.name == ALERT and alert.firing
        ]


def _told(
    namespace: str, workload: str, since: float, *, ended: float | None = None, summary: str = ""
) -> Told:
    alert = Alert(
        fingerprint=f"unready {namespace}/{workload}",
        name=ALERT,
        severity="warning",
        firing=ended is None,
        starts_at=since,
        ends_at=ended,
        summary=summary,
    )
    return Told(alert=alert, tree=TREE, namespace=namespace, workload=workload, began="unready_pods")
