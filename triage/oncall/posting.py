"""The incidents as the outbox of Slack asks for them, and what it has done, in metrics and the audit record."""

import asyncio
import contextlib
import re
import time
from collections import deque
from collections.abc import Mapping

import msgspec

from triage.oncall.audit import Audit
from triage.oncall.incident import Incident, Posted
from triage.oncall.incidents import Incidents
from triage.oncall.own_metrics import OncallMetrics
from triage.oncall.record import RecordError
from triage.slack.outbox import PostOutcome, RecordAway

_MOST_UNWRITTEN = 10_000
"""Lines for the audit record that wait for a disk; what is past it is in the log."""


_LAST_SECONDS = 2.0
"""For the lines that are left when the program is told to stop: their disk may not answer."""
_OF_A_TIME = re.compile(r"(?:resolved|reopened)-(\d+)")
_TIMES_KEPT = 5


def _is_past(part: str, incident: Incident) -> bool:
    """Whether the message is of a time that is told no more: what flaps for weeks must still fit into the record."""
    of = _OF_A_TIME.fullmatch(part)
    return of is not None and int(of[1]) < incident.reopened - _TIMES_KEPT


class PostedIncidents:
    """`triage.slack.outbox.Incidents` over the service's own."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents

    async def get(self, name: str) -> Incident | None:
        return self._incidents.get(name)

    async def note(self, name: str, part: str, posted: Posted, channel: str) -> None:
        def noted(incident: Incident) -> Incident:
            kept = {known: one for known, one in incident.posted.items() if not _is_past(known, incident)}
            return msgspec.structs.replace(
                incident, channel=channel or incident.channel, posted={**kept, part: posted}
            )

        try:
            await self._incidents.store(name, noted)
        except RecordError as error:
            raise RecordAway(str(error)) from error


class PostLog:
    """Told of each post; `run` writes the audit record."""

    def __init__(self, incidents: Incidents, metrics: OncallMetrics, audit: Audit) -> None:
        self._incidents = incidents
        self._metrics = metrics
        self._audit = audit
        self._lines: deque[tuple[str, Mapping[str, object]]] = deque(maxlen=_MOST_UNWRITTEN)
        self._told = asyncio.Event()

    def posted(self, outcome: PostOutcome, name: str, part: str, why: str) -> None:
        self._metrics.posts.labels(outcome).inc()
        incident = self._incidents.get(name)
        if outcome == "posted" and part == "root" and incident is not None:
            self._metrics.first_line_seconds.observe(max(0.0, time.time() - incident.opened_at))
        fact: dict[str, object] = {"outcome": outcome, "part": part}
        if why:
            fact["why"] = why
        self._lines.append((name, fact))
        self._told.set()

    async def run(self) -> None:
        """Runs until cancelled, and writes what is left then."""
        try:
            while True:
                await self._told.wait()
                self._told.clear()
                await self._write()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._write()

    async def _write(self) -> None:
        while self._lines:
            name, fact = self._lines.popleft()
            await self._audit.append("posted", name, [fact])
