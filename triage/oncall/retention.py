"""What is kept for how long: closed incidents with their bundles go by age and by number, bundles by their bytes too."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from triage.oncall.incident import Incident
from triage.oncall.incidents import Incidents
from triage.oncall.joining import end_unheard
from triage.oncall.record import RecordError

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 300.0
_ORPHAN_SECONDS = 3600.0
"""A bundle that no incident names for so long was replaced by a later one."""
UNHEARD_SECONDS = 86_400.0
"""An open incident of which nothing was heard for so long has ended unheard: Alertmanager repeats an alert that fires every four
hours if nothing else is set (repeat_interval)."""


@dataclass
class Retention:
    """`keep_seconds` after an incident has ended; `most` incidents; bundles in `bundles`, `most_bytes` of them."""

    incidents: Incidents
    bundles: Path
    keep_seconds: float
    most: int
    most_bytes: int
    clock: Callable[[], float] = time.time

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Looks once."""
        now = self.clock()
        for incident in self.incidents.all():
            if incident.state == "open" and now - self.incidents.heard_at(incident.name) > UNHEARD_SECONDS:
                log.info("incident_unheard", incident=incident.name)
                await self.incidents.change(incident.name, lambda one: end_unheard(one, now))
        for name in to_remove(self.incidents.all(), now, self.keep_seconds, self.most):
            try:
                await self.incidents.remove(name)
            except RecordError as error:
                log.warning("incident_not_removed", incident=name, cause=str(error))
        try:
            removed = await asyncio.to_thread(self._clean, {one.bundle for one in self.incidents.all()}, now)
        except OSError as error:
            log.warning("bundles_not_cleaned", cause=str(error))
        else:
            for file in removed:
                log.info("bundle_removed", file=file)
                for one in self.incidents.all():
                    if one.bundle == file:
                        await self.incidents.change(
                            one.name, lambda one: msgspec.structs.replace(one, bundle="")
                        )

    def _clean(self, named: set[str], now: float) -> Sequence[str]:
        """The bundles that went: those of no incident, then the oldest until the rest fits."""
        if not self.bundles.is_dir():
            return []
        files = [(file.stat(), file) for file in self.bundles.iterdir() if file.is_file()]
        files.sort(key=lambda each: each[0].st_mtime)
        gone = [
            file for stat, file in files if str(file) not in named and now - stat.st_mtime > _ORPHAN_SECONDS
        ]
        kept = [(stat.st_size, file) for stat, file in files if file not in gone]
        too_much = sum(size for size, _ in kept) - self.most_bytes
        for size, file in kept:
            if too_much <= 0:
                break
            gone.append(file)
            too_much -= size
        for file in gone:
            file.unlink(missing_ok=True)
        return [str(file) for file in gone]


def to_remove(incidents: Sequence[Incident], now: float, keep_seconds: float, most: int) -> Iterator[str]:
    """Names of closed incidents that are too old, or too many: the oldest first. Pure."""
    closed = sorted(
        (one for one in incidents if one.state == "closed"), key=lambda one: one.resolved_at or 0.0
    )
    too_many = len(incidents) - most
    for number, one in enumerate(closed):
        if number < too_many or now - (one.resolved_at or 0.0) > keep_seconds:
            yield one.name
