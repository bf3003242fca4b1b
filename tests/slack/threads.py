"""An outbox with a record in memory and a clock that runs as fast as anybody sleeps; Slack is on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.slack.slack_api import CHANNEL, TOKEN, SlackApi, slack_api
from triage.oncall.incident import Incident, Posted
from triage.slack.client import SlackClient
from triage.slack.kept import Kept
from triage.slack.outbox import Outbox, RecordAway


@dataclass
class Clock:
    now: float = 1_795_400_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class Killed(BaseException):
    """The program ends here."""


@dataclass
class Record:
    incidents: dict[str, Incident] = field(default_factory=dict)
    away: bool = False
    kill: Callable[[str, Posted], bool] = lambda part, posted: False
    """Whether the program is killed just before it keeps this."""
    kill_after: Callable[[str, Posted], bool] = lambda part, posted: False

    async def get(self, name: str) -> Incident | None:
        if self.away:
            raise RecordAway("the record is away")
        return self.incidents.get(name)

    async def note(self, name: str, part: str, posted: Posted, channel: str) -> None:
        if self.away:
            raise RecordAway("the record is away")
        if self.kill(part, posted):
            raise Killed
        self.change(name, posted={**self.incidents[name].posted, part: posted}, channel=channel)
        if self.kill_after(part, posted):
            raise Killed

    def change(self, name: str, **what: object) -> None:
        self.incidents[name] = msgspec.structs.replace(self.incidents[name], **what)


@dataclass
class Threads:
    """What a test holds: Slack, the record, the clock and the outbox between them."""

    api: SlackApi
    slack: SlackClient
    record: Record
    clock: Clock
    token_file: Path
    mentions: Mapping[str, Sequence[str]]
    outcomes: list[tuple[str, str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """As the program starts: it knows what is in the record, and nothing else."""
        self.outbox = Outbox(
            self.slack,
            self.record,
            CHANNEL,
            mentions=self.mentions,
            kept=Kept(),
            on_post=lambda *what: self.outcomes.append(what),
            clock=self.clock,
            sleep=self.clock.sleep,
            jitter=lambda: 1.0,
        )
        for name in self.record.incidents:
            self.outbox.changed(name)

    def put(self, incident: Incident) -> None:
        known = self.record.incidents.get(incident.name)
        if known is not None:
            incident = msgspec.structs.replace(incident, posted=known.posted, channel=known.channel)
        self.record.incidents[incident.name] = incident
        self.outbox.changed(incident.name)

    def change(self, name: str, **what: object) -> None:
        self.record.change(name, **what)
        self.outbox.changed(name)

    async def settle(self, seconds: float = 3_600.0) -> None:
        """Runs the outbox until nothing waits, or for so long by its clock."""
        end = self.clock.now + seconds
        running = asyncio.create_task(self.outbox.run())
        try:
            async with asyncio.timeout(60):
                while self.outbox.waiting and self.clock.now < end and not running.done():  # noqa: ASYNC110
                    await asyncio.sleep(0.0005)
        finally:
            running.cancel()
            done = await asyncio.gather(running, return_exceptions=True)
        if isinstance(done[0], BaseException) and not isinstance(done[0], asyncio.CancelledError):
            raise done[0]

    @property
    def shown(self) -> dict[str, str]:
        """What the channel shows, by part."""
        return {part: kept.shown for part, kept in self.api.thread().items()}


@asynccontextmanager
async def threads(
    folder: Path,
    *incidents: Incident,
    mentions: Mapping[str, Sequence[str]] | None = None,
    **settings: object,
) -> AsyncIterator[Threads]:
    token_file = folder / "token"
    token_file.write_text(TOKEN + "\n")
    clock = Clock()
    async with (
        slack_api(clock=clock, **settings) as api,
        SlackClient(token_file, base_url=api.base_url, call_seconds=0.25) as slack,
    ):
        record = Record({incident.name: incident for incident in incidents})
        yield Threads(api, slack, record, clock, token_file, mentions or {})
