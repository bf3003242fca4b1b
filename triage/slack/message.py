"""A message of the thread as it is sent. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from triage.slack.limits import TEXT_CHARS, cut
from triage.slack.plain import escape, one_line
from triage.slack.rich import Block, rich_text, say, section

EVENT_TYPE = "triton_ops_incident"
"""Of the metadata by which a message is found again; letters, digits and underscores (api.slack.com/reference/metadata)."""


MOVED = "-moved"
"""Ends the part of a reply that says what an older message cannot be edited to say any more."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    """What a notification shows, as markup: what came from outside is escaped in it."""
    blocks: tuple[Block, ...]
    thread: bool
    """Whether it stands below the root."""
    metadata: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Changes when anything of the message does."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:24]

    @property
    def has_chart(self) -> bool:
        return any(block["type"] == "data_visualization" for block in self.blocks)


def make_message(incident: str, part: str, text: str, blocks: tuple[Block, ...], *, thread: bool) -> Message:
    """`text` is markup."""
    payload = {"incident": incident, "part": part}
    metadata = {"event_type": EVENT_TYPE, "event_payload": payload}
    return Message(text=text, blocks=blocks, thread=thread, metadata=metadata)


def as_part(message: Message, part: str, *, thread: bool) -> Message:
    """The same said under another part."""
    payload = {**message.metadata["event_payload"], "part": part}
    return msgspec.structs.replace(
        message, thread=thread, metadata={**message.metadata, "event_payload": payload}
    )


def with_note(message: Message, note: str) -> Message:
    """The message with a sentence of ours before it."""
    block = rich_text([section([say(note, bold=True)])])
    return msgspec.structs.replace(message, blocks=(block, *message.blocks))


def only_text(message: Message, how_to_get_it: str) -> Message:
    """Line 1 and how to get the whole, in the simplest block there is: for a message that Slack did not take."""
    said = f"{message.text}\n{escape(one_line(how_to_get_it))}"
    section_block = {
        "type": "section",
        "text": {"type": "plain_text", "text": cut(said, 2_000), "emoji": False},
    }
    return msgspec.structs.replace(message, text=cut(message.text, TEXT_CHARS), blocks=(section_block,))
