"""The incidents as the service knows them, each change stored before it counts.

One change of an incident at a time. What cannot be stored did not happen for who asked for it (the webhook answers 503, and the
alert comes again); what was found out by ourselves is kept in memory and stored as soon as that goes."""

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec
import structlog

from triage.oncall.alertmanager import Told
from triage.oncall.incident import Incident
from triage.oncall.joining import Done, Key, can_take, end_unheard, incident_name, join, take
from triage.oncall.record import Record, RecordError

log = structlog.get_logger(__name__)

_MOST_TRIED = 1000

Change = Callable[[Incident], Incident]


class Incidents:
    """`changed` is told the name of each incident that changed in any way; it returns at once."""

    def __init__(
        self,
        record: Record,
        clock: Callable[[], float],
        trees: Collection[str],
        *,
        on_store_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.changed: list[Callable[[str], None]] = []
        self.store_problem = ""
        """Why the record could not be written when that was last tried; empty when it could."""
        self._record = record
        self._clock = clock
        self._trees = trees
        self._on_store_failure = on_store_failure
        self._by_name: dict[str, Incident] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._taking = asyncio.Lock()
        self._heard: dict[str, float] = {}
        self._unstored: set[str] = set()
        self._tried: dict[Key, str] = {}
        """Names under which new incidents could not be stored: what was answered too late may be there all the same, and has to
        become the same incident."""

    async def load(self) -> None:
        """What an earlier run kept. Raises RecordError."""
        for incident in await self._record.load():
            if incident.tree not in self._trees or not incident.namespace:
                log.warning("incident_unknown", incident=incident.name, tree=incident.tree)
                continue
            if incident.work == "running":  # its triage ended with the program that ran it
                incident = msgspec.structs.replace(incident, work="waiting", progress="")  # noqa: PLW2901
            self._by_name[incident.name] = incident
        self._keep_one_of_each()

    def _keep_one_of_each(self) -> None:
        """Of two that are open for one workload and tree, as two services leave them or a write that was answered too late, the
        later goes on with the alerts of both."""
        latest: dict[Key, str] = {}
        for one in sorted(self._by_name.values(), key=lambda one: -one.opened_at):
            if one.state != "open" or latest.setdefault(one.key, one.name) == one.name:
                continue
            goes_on, now = self._by_name[latest[one.key]], self._clock()
            known = {alert.fingerprint for alert in goes_on.alerts}
            others = [alert for alert in one.alerts if alert.firing and alert.fingerprint not in known]
            log.warning("incident_twice", incident=one.name, goes_on=goes_on.name)
            self._by_name[goes_on.name] = join(goes_on, others, one.truncated_alerts, now)
            self._by_name[one.name] = end_unheard(one, now)
            self._unstored |= {one.name, goes_on.name}

    def get(self, name: str) -> Incident | None:
        return self._by_name.get(name)

    def all(self) -> Sequence[Incident]:
        return tuple(self._by_name.values())

    def by_key(self) -> Mapping[Key, Incident]:
        """Those that alerts can still join; of two with one key the one that is open, and the later."""
        now = self._clock()
        ordered = sorted(self._by_name.values(), key=lambda one: (one.state == "open", one.opened_at))
        return {one.key: one for one in ordered if can_take(one, now)}

    def hear(self, name: str) -> None:
        """What the incident is about goes on."""
        self._heard[name] = self._clock()

    def heard_at(self, name: str) -> float:
        """When that was told last, the same again too; from the program's start on."""
        return self._heard.setdefault(name, self._clock())

    async def take(self, told: Iterable[Told], truncated: int = 0) -> Sequence[Done]:
        """What became of each alert; all that changed is stored. Raises RecordError when something could not be."""
        async with self._taking:  # of two notifications one opens an incident, and the other joins it
            before, now = self.by_key(), self._clock()
            taken = take(before, told, truncated, trees=self._trees, now=now, name=self._name)
            for key in taken.alerts.keys() & before.keys():
                self.hear(before[key].name)
            storing = []
            for key in taken.alerts:
                name = before[key].name if key in before else ""
                if key not in before and key in taken.changed:
                    storing.append(self._store_new(taken.changed[key]))
                elif (
                    key in taken.changed or name in self._unstored
                ):  # of which the record may have something else
                    joining = partial(join, alerts=taken.alerts[key], truncated=truncated, now=now)
                    storing.append(self.store(name, joining))
            stored = await asyncio.gather(*storing, return_exceptions=True)
        for failed in stored:
            if isinstance(failed, BaseException):
                raise failed
        return taken.done

    async def change(self, name: str, change: Change) -> None:
        """Changes it in memory at once, and in the record now, or else as soon as `check` can."""
        self.show(name, change)
        try:
            await self.store(name, lambda incident: incident)
        except RecordError as error:
            log.warning("record_not_written", incident=name, cause=str(error))

    def show(self, name: str, change: Change) -> None:
        """Changes it in memory alone: how far a triage is need not outlive the program."""
        incident = self._by_name.get(name)
        if incident is not None:
            self._adopt(change(incident))

    async def check(self) -> None:
        """Stores what could not be, and looks whether the record can be written: where nobody can be answered, nothing else would.
        One incident that is refused for good keeps neither the others nor the webhook waiting."""
        if self.store_problem and not await self._answers():
            return
        for name in sorted(self._unstored):
            with contextlib.suppress(RecordError):
                await self.store(name, lambda incident: incident)
        if self.store_problem:
            await self._answers()

    async def _answers(self) -> bool:
        try:
            await self._record.check()
        except RecordError as error:
            self.store_problem = str(error)
            return False
        self.store_problem = ""
        return True

    async def remove(self, name: str) -> None:
        """Raises RecordError."""
        async with self._locks[name]:
            await self._record.remove(name)
            self._by_name.pop(name, None)
        self._locks.pop(name, None)
        self._heard.pop(name, None)

    async def store(self, name: str, change: Change) -> None:
        """Stores the changed incident, and what else changes it meanwhile. Raises RecordError; then nothing has changed."""
        async with self._locks[name]:
            while (before := self._by_name.get(name)) is not None:
                after = change(before)
                self._unstored.add(
                    name
                )  # what fails may have arrived all the same: it is made right by the next check
                await self._save(after)
                if self._by_name.get(name) is before:
                    self._unstored.discard(name)
                    self._adopt(after)
                    return
            self._unstored.discard(name)

    async def _store_new(self, incident: Incident) -> None:
        async with self._locks[incident.name]:
            self._tried[incident.key] = incident.name
            if len(self._tried) > _MOST_TRIED:
                self._tried.pop(next(iter(self._tried)))
            await self._save(incident)
            self._tried.pop(incident.key, None)
            self.hear(incident.name)
            self._adopt(incident)

    async def _save(self, incident: Incident) -> None:
        try:
            await self._record.save(incident)
        except RecordError as error:
            self.store_problem = str(error)
            self._on_store_failure()
            raise
        self.store_problem = ""

    def _adopt(self, incident: Incident) -> None:
        if self._by_name.get(incident.name) != incident:
            self._by_name[incident.name] = incident
            for tell in self.changed:
                tell(incident.name)

    def _name(self, key: Key) -> str:
        if (tried := self._tried.get(key)) is not None:
            return tried
        now = datetime.fromtimestamp(self._clock(), UTC)
        return incident_name(key, f"{now:%m%d-%H%M}", secrets.token_hex(3))
