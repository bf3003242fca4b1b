"""A record in memory that can be away, for what is decided around it."""

import asyncio
from collections.abc import Sequence

from triage.oncall.incident import Incident
from triage.oncall.record import RecordError


class MemoryRecord:
    """`Record`; `saved` has every value that was saved, in order."""

    def __init__(self, *incidents: Incident) -> None:
        self.kept = {one.name: one for one in incidents}
        self.saved: list[Incident] = []
        self.away = False
        self.slow_seconds = 0.0
        self.refuses: set[str] = set()
        """Names that it does not take, whatever is in them."""
        self.loses_answers = 0
        """So many writes arrive, and are not known to have."""

    async def load(self) -> Sequence[Incident]:
        self._there()
        return list(self.kept.values())

    async def save(self, incident: Incident) -> None:
        await asyncio.sleep(self.slow_seconds)
        self._there()
        if incident.name in self.refuses:
            raise RecordError(f"{incident.name} is invalid")
        self.kept[incident.name] = incident
        self.saved.append(incident)
        if self.loses_answers:
            self.loses_answers -= 1
            raise RecordError("the record did not answer")

    async def check(self) -> None:
        self._there()

    async def remove(self, name: str) -> None:
        self._there()
        self.kept.pop(name, None)

    def _there(self) -> None:
        if self.away:
            raise RecordError("the record is away")
