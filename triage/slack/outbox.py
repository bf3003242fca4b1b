"""Brings every incident's thread to what it should show: one thing at a time, as often as it takes.

It is told only that an incident changed, and asks for the rest: what the thread should show (`messages`) against what Slack has
(`incident.posted`). So it can be killed at any point, and a change that comes while Slack is away replaces the one before it.

At least once, never silently twice. Before a message is posted its digest is recorded with no name; afterwards with the name that
Slack gave it. Where that second record is missing, because the program was killed or Slack's answer was lost, the message is looked
for by its metadata before it is posted again; where nobody can look, it is posted and says that it may stand there twice."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from triage.oncall.incident import Incident, Posted
from triage.slack.client import Arrived
from triage.slack.errors import BadBlocks, CannotEdit, CannotLook, SlackError, TokenRefused, TryLater
from triage.slack.kept import Kept
from triage.slack.message import MOVED, Message, only_text, with_note
from triage.slack.messages import messages
from triage.slack.next_step import Step, next_step

PACE_SECONDS = 1.0
"""Between messages: Slack takes about one a second in a channel (docs.slack.dev/apis/web-api/rate-limits)."""
SETTLE_SECONDS = 5.0
"""After an unclear answer, before one looks: what is still under way should have arrived by then."""
LONGEST_WAIT_SECONDS = 60.0
"""So long after Slack is back it may be noticed."""
_SLICE_SECONDS = 1.0
"""A wait is slept in such slices, so that a new incident does not wait for the retry of an old one."""
_GONE_NOTE = "The first message of this incident is gone from Slack, so it is told again here."


class RecordAway(Exception):
    """Raised by `Incidents`: the record cannot be read or written now. Nothing is posted that could not be recorded."""


class Incidents(Protocol):
    """The record; its calls have deadlines of their own."""

    async def get(self, name: str) -> Incident | None:
        """The incident as it is now; None where it is not there any more. Raises RecordAway."""
        ...

    async def note(self, name: str, part: str, posted: Posted, channel: str) -> None:
        """Keeps what Slack has of the part, and the channel. Raises RecordAway."""
        ...


class Slack(Protocol):
    """What triage.slack.client does; all of it raises SlackError."""

    async def post(self, channel: str, message: Message, thread_ts: str = "") -> Arrived: ...
    async def update(self, channel: str, ts: str, message: Message) -> None: ...
    async def find(
        self, channel: str, incident: str, part: str, *, since: float, thread_ts: str = ""
    ) -> str: ...
    async def permalink(self, channel: str, ts: str) -> str: ...


PostOutcome = Literal["posted", "updated", "failed"]
OnPost = Callable[[PostOutcome, str, str, str], None]
"""(what came of it, incident, part, why it failed)."""


class _Waiting(msgspec.Struct):
    since: float
    changes: int = 1
    has_root: bool = False
    """Known to have one: its turn is after those that may have none."""
    due: float = 0.0
    failures: int = 0


class Outbox:
    """`changed` tells it of a change; `run` runs until it is cancelled. It keeps one small entry for each incident that waits."""

    def __init__(
        self,
        slack: Slack,
        incidents: Incidents,
        channel: str,
        *,
        mentions: Mapping[str, Sequence[str]],
        kept: Kept,
        on_post: OnPost,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._slack = slack
        self._incidents = incidents
        self._channel = channel
        self._mentions = mentions
        self._kept = kept
        self._on_post = on_post
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._waiting: dict[str, _Waiting] = {}
        """In the order of their turns."""
        self._woken = asyncio.Event()
        self._charts = True
        self._failures = 0
        self._not_before = 0.0
        self._unsent: set[tuple[str, str]] = set()
        """Parts that surely have not arrived: recorded as about to be posted, and refused or never sent."""
        self._gone: set[str] = set()
        """Incidents whose root was deleted in Slack."""
        self._linked_to: dict[str, set[str]] = {}
        """Who shows the link of an incident's root, by that incident."""
        self.trouble = ""
        """Why nothing can be posted now; empty while all is well."""

    def changed(self, name: str) -> None:
        """The incident is new or changed. Cheap, and may be called as often as one likes."""
        if (waiting := self._waiting.get(name)) is not None:
            waiting.changes += 1
        else:
            self._waiting[name] = _Waiting(since=self._clock())
        self._woken.set()

    @property
    def waiting(self) -> int:
        """Incidents whose thread does not show yet what it should."""
        return len(self._waiting)

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest change has waited to be shown; 0 where none waits."""
        since = min((waiting.since for waiting in self._waiting.values()), default=None)
        return 0.0 if since is None else max(0.0, self._clock() - since)

    async def run(self) -> None:
        while True:
            if not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            if (rest := self._rest()) > 0:
                await self._sleep(min(rest, _SLICE_SECONDS))
            else:
                await self._attend(self._next())

    def _rest(self) -> float:
        """Seconds until something may be done."""
        now = self._clock()
        due = min(waiting.due for waiting in self._waiting.values())
        return max(self._not_before, due) - now

    def _next(self) -> str:
        """Whose turn it is: those that may have no root yet before the others, else who waited longest for a turn."""
        now = self._clock()
        due = [name for name, waiting in self._waiting.items() if waiting.due <= now]
        return next((name for name in due if not self._waiting[name].has_root), due[0])

    async def _attend(self, name: str) -> None:
        """Does the next thing for the incident; what goes wrong decides when it is tried again."""
        waiting = self._waiting.pop(name)
        self._waiting[name] = waiting  # to the end of the turns
        changes = waiting.changes
        try:
            left = await self._advance(name, waiting)
        except (TryLater, TokenRefused) as error:
            # That Slack is away, slow or closed to us is so for every incident.
            self._failures += 1
            asked = error.seconds if isinstance(error, TryLater) else 0.0
            settle = SETTLE_SECONDS if isinstance(error, TryLater) and error.unclear else 0.0
            self._pause(max(asked, settle, self._back_off(self._failures)))
            self.trouble = str(error)
            return
        except (SlackError, RecordAway) as error:
            waiting.failures += 1
            waiting.due = self._clock() + self._back_off(waiting.failures)
            self.trouble = str(error)
            return
        except Exception as error:  # a mistake of ours: it is told, and the other incidents' threads go on
            waiting.failures += 1
            waiting.due = self._clock() + self._back_off(waiting.failures)
            self.trouble = f"{name} cannot be told ({type(error).__name__}: {error})"
            self._on_post("failed", name, "", self.trouble)
            return
        waiting.failures = self._failures = 0
        self.trouble = ""
        if not left and waiting.changes == changes:
            self._forget(name)

    async def _advance(self, name: str, waiting: _Waiting) -> bool:
        """Whether there may be more to do for the incident."""
        incident = await self._incidents.get(name)
        if incident is None:
            return False
        root = incident.posted.get("root")
        if root is not None and root.ts and not waiting.has_root:
            # It came first as one that may be new. It is none, so its turn is after those who wait already.
            waiting.has_root = True
            if any(other is not waiting and other.due <= self._clock() for other in self._waiting.values()):
                return True
        step = await self._next_step(incident)
        if step is None:
            await self._link(incident)
            return False
        if step.do == "update" and step.posted is not None:
            await self._update(incident, step, step.posted)
        elif step.posted is not None and (name, step.part) not in self._unsent:
            await self._settle(incident, step, step.posted)
        else:
            await self._post(incident, step)
            waiting.has_root = True  # it is posted first
        return True

    async def _next_step(self, incident: Incident) -> Step | None:
        links: dict[str, str] = {}
        if incident.same_as:
            other = await self._incidents.get(incident.same_as)
            if other is not None and (root := other.posted.get("root")) is not None and root.link:
                links[incident.same_as] = root.link
            elif other is not None:
                self._linked_to.setdefault(incident.same_as, set()).add(incident.name)
        wanted = messages(
            incident, mentions=self._mentions, links=links, kept=self._kept, charts=self._charts
        )
        return next_step(incident, wanted)

    async def _post(self, incident: Incident, step: Step) -> None:
        name, part = incident.name, step.part
        before = Posted(digest=step.digest, maybe_twice=step.posted is not None and step.posted.maybe_twice)
        if step.posted != before:
            await self._incidents.note(name, part, before, incident.channel)
        gone = part == "root" and name in self._gone
        message = with_note(step.message, _GONE_NOTE) if gone else step.message
        where = incident.channel or self._channel
        self._unsent.discard((name, part))
        try:
            arrived = await self._send(
                name, part, message, lambda m: self._slack.post(where, m, step.thread_ts)
            )
        except SlackError as error:
            if not (isinstance(error, TryLater) and error.unclear):
                self._unsent.add((name, part))
            if isinstance(error, CannotEdit):  # there is no thread to reply in
                await self._tell_root_again(incident)
                return
            raise
        if arrived is None:
            self._unsent.add((name, part))
            return
        self._on_post("posted", name, part, "")
        await self._incidents.note(
            name, part, msgspec.structs.replace(before, ts=arrived.ts), arrived.channel
        )
        if gone:
            self._gone.discard(name)

    async def _update(self, incident: Incident, step: Step, posted: Posted) -> None:
        name, part = incident.name, step.part
        where = incident.channel or self._channel

        async def update(message: Message) -> Arrived:
            await self._slack.update(where, posted.ts, message)
            return Arrived(where, posted.ts)

        try:
            done = await self._send(name, part, step.message, update)
        except CannotEdit as refused:
            if part == "root" and refused.gone:
                await self._tell_root_again(incident)
            else:
                moved = part if part.endswith(MOVED) else part + MOVED
                self._unsent.add((name, moved))
                await self._incidents.note(name, moved, Posted(digest=""), incident.channel)
            return
        if done is not None:
            self._on_post("updated", name, part, "")
            updated = msgspec.structs.replace(posted, digest=step.digest)
            await self._incidents.note(name, part, updated, incident.channel)

    async def _send(
        self, name: str, part: str, message: Message, send: Callable[[Message], Awaitable[Arrived]]
    ) -> Arrived | None:
        """Sends the message, or its first line where Slack does not take all of it; None where it is to be made anew, without its
        chart."""
        try:
            try:
                return await send(message)
            except BadBlocks as refused:
                self._on_post("failed", name, part, str(refused))
                if message.has_chart:
                    self._charts = False
                    return None
            return await send(only_text(message, f"All of it: {self._kept.commands(name)[0]}"))
        except SlackError as error:
            self._on_post("failed", name, part, str(error))
            raise
        finally:
            self._pause(PACE_SECONDS)

    async def _settle(self, incident: Incident, step: Step, posted: Posted) -> None:
        """Looks whether an earlier sending arrived."""
        name, part = incident.name, step.part
        where = incident.channel or self._channel
        try:
            ts = await self._slack.find(where, name, part, since=incident.opened_at, thread_ts=step.thread_ts)
        except CannotLook:
            self._unsent.add((name, part))
            twice = msgspec.structs.replace(posted, maybe_twice=True)
            await self._incidents.note(name, part, twice, incident.channel)
            return
        if ts:
            # Which of the sendings it was is not known, so that its words are sent once more.
            found = msgspec.structs.replace(posted, ts=ts, digest="")
            await self._incidents.note(name, part, found, where)
        else:
            self._unsent.add((name, part))

    async def _tell_root_again(self, incident: Incident) -> None:
        """Somebody deleted the root: what it should show is told in a new one, and the thread goes on there."""
        self._gone.add(incident.name)
        self._unsent.add((incident.name, "root"))
        await self._incidents.note(incident.name, "root", Posted(digest=""), incident.channel)

    async def _link(self, incident: Incident) -> None:
        """Asks for the root's link, which others show; without one they name the incident."""
        root = incident.posted.get("root")
        if root is None or not root.ts or root.link:
            return
        try:
            link = await self._slack.permalink(incident.channel or self._channel, root.ts)
        except SlackError:
            return
        await self._incidents.note(
            incident.name, "root", msgspec.structs.replace(root, link=link), incident.channel
        )
        for other in self._linked_to.pop(incident.name, ()):
            self.changed(other)

    def _pause(self, seconds: float) -> None:
        self._not_before = max(self._not_before, self._clock() + seconds)

    def _back_off(self, failures: int) -> float:
        longest = min(LONGEST_WAIT_SECONDS, 2.0 ** min(failures, 10))
        return longest * (0.5 + self._jitter() / 2)

    def _forget(self, name: str) -> None:
        del self._waiting[name]
        self._gone.discard(name)
        self._unsent = {(other, part) for other, part in self._unsent if other != name}
