"""Looks at what waits to be looked at: the worst first, a few at once, each in a process of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import structlog

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import object_path
from triage.oncall.audit import Audit
from triage.oncall.child import run_triage, told_failure
from triage.oncall.incident import SEVERITIES, Incident
from triage.oncall.incidents import Incidents
from triage.oncall.job import Job, ReadSource, Said
from triage.oncall.own_metrics import OncallMetrics
from triage.oncall.summary import same_cause
from triage.wording import short

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 300.0
"""After so long it is looked again at what could not be told or failed, while alerts fire."""
MOST_TIMES = 3
_GONE_SECONDS = 2.0
"""For the API server to say that there is nothing to look at; the look itself finds out what is wrong with it."""
_PLURALS = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}

Run = Callable[[Job, Callable[[Said], None]], Awaitable[Said]]


@dataclass
class Triaging:
    """`jobs` makes the job of an incident, as seen now; `refuse` says why one must not be looked at, or nothing."""

    incidents: Incidents
    jobs: Callable[[Incident], Job]
    refuse: Callable[[Incident], Awaitable[str]]
    metrics: OncallMetrics
    audit: Audit
    at_once: int
    run_job: Run = run_triage
    again_seconds: float = AGAIN_SECONDS
    _running: set[str] = field(default_factory=set, init=False)
    _times: dict[str, int] = field(default_factory=dict, init=False)
    _due: dict[str, float] = field(default_factory=dict, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def changed(self, name: str) -> None:
        """Looks whether there is something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                while len(self._running) < self.at_once and (waiting := self._next()) is not None:
                    self._running.add(waiting.name)
                    group.create_task(self._one(waiting))
                try:
                    async with asyncio.timeout(1.0):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    def _next(self) -> Incident | None:
        """The worst first; of equals the oldest. What is done and may be told better by now comes after all that waits."""
        here = [one for one in self.incidents.all() if one.name not in self._running]
        waiting = [one for one in here if one.work == "waiting" and one.state != "closed"]
        if waiting:
            return min(waiting, key=lambda one: (SEVERITIES.index(one.severity), one.opened_at))
        now = time.monotonic()
        again = (one for one in here if one.state == "open" and self._due.get(one.name, now + 1) <= now)
        return next(again, None)

    async def _one(self, incident: Incident) -> None:
        name = incident.name
        try:
            self._due.pop(name, None)
            if incident.work == "waiting":  # it is new, or came again
                self._times.pop(name, None)
            if why := await self.refuse(incident):
                await self.incidents.change(
                    name, lambda one: msgspec.structs.replace(one, refused=why, work="done")
                )
                return
            self.incidents.show(name, lambda one: msgspec.structs.replace(one, work="running", progress=""))
            await self._looked(incident)
        finally:
            self._running.discard(name)
            self._wake.set()

    async def _looked(self, incident: Incident) -> None:
        name, began = incident.name, time.time()
        reopened = incident.reopened

        def said(word: Said) -> None:
            self.incidents.show(name, lambda one: _so_far(one, word))

        try:
            last = await self.run_job(self.jobs(incident), said)
        except Exception as error:  # whatever it is, it is this incident's alone
            why = told_failure(error, name)
            log.warning("triage_failed", incident=name, cause=why)
            self.metrics.triages.labels(incident.tree, "failed").inc()
            self._look_again(name)
            await self.incidents.change(name, lambda one: _failed(one, why))
            return
        report = last.report
        assert report is not None  # noqa: S101 -- `run_triage` says so
        told = "cannot_tell" if report.verdict.category == "cannot_tell" else "verdict"
        self.metrics.triages.labels(incident.tree, told).inc()
        for source in last.read:
            if source.missing:
                self.metrics.probe_failures.labels(source.probe, source.missing).inc()
        if told == "cannot_tell":
            self._look_again(name)
        if last.why:
            log.warning("bundle_not_kept", incident=name, cause=last.why)
        now = time.time()
        if incident.report_at is None:
            self.metrics.report_seconds.observe(max(0.0, now - incident.opened_at))
        await self.incidents.change(name, lambda one: _reported(one, last, now, reopened))
        log.info("reported", incident=name, verdict=report.verdict.category, seconds=round(now - began, 1))
        await self.audit.append("read", name, map(_audited, last.read))
        await self._tell_once(name)

    def _look_again(self, name: str) -> None:
        for gone in self._times.keys() - {one.name for one in self.incidents.all()}:
            self._times.pop(gone)
            self._due.pop(gone, None)
        times = self._times[name] = self._times.get(name, 0) + 1
        if times < MOST_TIMES:
            self._due[name] = time.monotonic() + self.again_seconds

    async def _tell_once(self, name: str) -> None:
        """The same cause on many workloads is told in one thread: that of the first incident which has it."""
        for apart in await self._told_apart(name):
            await self._tell_once(apart)
        mine = self.incidents.get(name)
        if mine is None or mine.same_as or mine.also or mine.state != "open":
            return
        here = [one for one in self.incidents.all() if one.state == "open" and not one.same_as]
        same = [one for one in here if one.name == name or same_cause(one, mine)]
        first = min(same, key=lambda one: (not one.also, one.opened_at, one.name))
        for other in same:
            if other is not first and not other.also:
                await self.incidents.change(other.name, partial(_told_by, first.name))
                await self.incidents.change(first.name, partial(_tells_of, _where(other)))

    async def _told_apart(self, name: str) -> Sequence[str]:
        """Parts from this incident those that have not its cause any more, now that it was looked at again; who they are."""
        mine = self.incidents.get(name)
        if mine is None:
            return ()
        first = self.incidents.get(mine.same_as) if mine.same_as else None
        if mine.same_as and (first is None or first.state != "open" or not same_cause(first, mine)):
            await self.incidents.change(name, partial(_told_by, ""))
            if first is not None:
                await self.incidents.change(first.name, partial(_tells_not_of, _where(mine)))
        others = [one for one in self.incidents.all() if one.same_as == name and not same_cause(one, mine)]
        for other in others:
            await self.incidents.change(other.name, partial(_told_by, ""))
            await self.incidents.change(name, partial(_tells_not_of, _where(other)))
        return [one.name for one in others]


async def gone(api: KubernetesApi, incident: Incident) -> str:
    """Why there is nothing to look at, where the API server knows it; nothing where it does not say so."""
    kind, _, name = incident.workload.partition("/")
    if kind in _PLURALS:
        path = object_path(incident.namespace, "apps/v1", _PLURALS[kind], name)
    elif kind == "pod":
        path = object_path(incident.namespace, "v1", "pods", name)
    else:
        return ""
    try:
        async with asyncio.timeout(_GONE_SECONDS):
            await api.get(path)
    except TimeoutError:
        return ""
    except KubernetesError as error:
        if error.status == 404:
            return f"{incident.workload} is not in namespace {incident.namespace} (any more)"
    return ""


def _where(incident: Incident) -> str:
    return f"{incident.namespace}/{incident.workload}"


def _told_by(first: str, incident: Incident) -> Incident:
    return msgspec.structs.replace(incident, same_as=first)


def _tells_of(where: str, incident: Incident) -> Incident:
    if where in incident.also:
        return incident
    return msgspec.structs.replace(incident, also=(*incident.also, where))


def _tells_not_of(where: str, incident: Incident) -> Incident:
    return msgspec.structs.replace(incident, also=tuple(one for one in incident.also if one != where))


def _so_far(incident: Incident, word: Said) -> Incident:
    """While one looks; an earlier report of it stays until there is a whole one."""
    progress = f"{word.answered} source{'' if word.answered == 1 else 's'} answered"
    if word.kind == "preliminary" and (incident.report is None or incident.preliminary):
        return msgspec.structs.replace(incident, progress=progress, report=word.report, preliminary=True)
    return msgspec.structs.replace(incident, progress=progress)


def _reported(incident: Incident, last: Said, now: float, reopened: int) -> Incident:
    again = incident.reopened != reopened  # it came back while one looked: looked at anew
    return msgspec.structs.replace(
        incident,
        work="waiting" if again and incident.state == "open" else "done",
        report=last.report,
        report_at=now,
        preliminary=False,
        failure="",
        progress="",
        bundle=last.kept,
    )


def _failed(incident: Incident, why: str) -> Incident:
    """A report that was there before stays: it was right when it was made."""
    whole = incident.report is not None and not incident.preliminary
    return msgspec.structs.replace(
        incident,
        work="done" if whole else "failed",
        report=incident.report if whole else None,
        preliminary=False,
        failure=short(why, 600),
        progress="",
    )


def _audited(source: ReadSource) -> Mapping[str, object]:
    return {
        "source": source.source,
        "query": source.query,
        "fetched_at": source.fetched_at,
        "sha256": source.sha256,
        "masked": source.masked,
        "missing": source.missing,
    }
