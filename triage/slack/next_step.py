"""The one next thing to do for a thread: what it should show against what Slack has. Pure."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from triage.oncall.incident import Incident, Posted
from triage.slack.message import MOVED, Message, as_part, with_note

_MOVED_NOTE = (
    "The message of this thread that this belongs to cannot be edited any more; this is how it is now."
)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    do: Literal["post", "settle", "update"]
    """`settle`: an earlier sending may have arrived, so one has to look before it is posted."""
    part: str
    message: Message
    digest: str
    """Of what the thread should show: that of `message`, but for a note that stands before it."""
    posted: Posted | None
    thread_ts: str
    """Of the root, where the message stands below it."""


def next_step(incident: Incident, wanted: Mapping[str, Message]) -> Step | None:
    """None where the thread shows all of it."""
    for part, message in wanted.items():
        here, shown = part, message
        if (posted := incident.posted.get(part + MOVED)) is not None:
            here, shown = part + MOVED, as_part(with_note(message, _MOVED_NOTE), part + MOVED, thread=True)
        else:
            posted = incident.posted.get(part)
        if posted is not None and posted.ts and posted.digest == message.digest:
            continue
        return Step(
            do="post" if posted is None else "update" if posted.ts else "settle",
            part=here,
            message=shown,
            digest=message.digest,
            posted=posted,
            thread_ts=incident.posted["root"].ts if shown.thread else "",
        )
    return None
