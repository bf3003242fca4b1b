"""The record of incidents: where they are kept, so that nothing is lost when the program ends. What is kept is what is told."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from triage.oncall.incident import Incident

SCHEMA = "triton-ops/incident/v1"


class RecordError(Exception):
    """The record cannot be read or written; the message says why and what to do."""


class Record(Protocol):
    """Every call has a deadline of its own and raises RecordError. One program writes."""

    async def load(self) -> Sequence[Incident]:
        """All incidents that are kept. What cannot be read of one is told in the log and left where it is."""
        ...

    async def save(self, incident: Incident) -> None:
        """Creates or replaces it by its name; when this returns it outlives the program, and the machine too."""
        ...

    async def check(self) -> None:
        """Returns when it could be written now, as far as that can be told without an incident."""
        ...

    async def remove(self, name: str) -> None:
        """Also where it is gone already."""
        ...


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as it is kept; the schema's name tells a reader of another version that it is one."""

    schema: str = SCHEMA
    incident: Incident


_DECODER = msgspec.json.Decoder(Kept)


def encode(incident: Incident) -> bytes:
    return msgspec.json.encode(Kept(incident=incident), order="sorted")


def decode(kept: bytes, where: str, name: str) -> Incident:
    """The incident `name`. Raises RecordError, naming `where` it is kept."""
    try:
        found = _DECODER.decode(kept)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{where} is no incident of this version: {error}; move it away") from error
    if found.schema != SCHEMA:
        raise RecordError(f"{where} has schema {found.schema!r}, and this version reads {SCHEMA!r}")
    if found.incident.name != name:  # a copy, which may be older than what it is a copy of
        raise RecordError(f"{where} is of incident {found.incident.name!r:.100}; move it away")
    return found.incident
