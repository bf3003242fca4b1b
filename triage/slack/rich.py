"""Blocks and their elements, as Slack's JSON has them. Pure.

Everything that is said is a text element of rich text, so nothing in it is read as markup (triage.slack.plain)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from triage.seal import printable
from triage.slack.limits import BLOCK_WEIGHT, size

Element = Mapping[str, Any]
Block = Mapping[str, Any]


def say(text: str, *, bold: bool = False, code: bool = False) -> Element:
    """A piece of text, without what hides or turns text; Slack refuses one that is empty."""
    style = {name: True for name, wanted in (("bold", bold), ("code", code)) if wanted}
    return {"type": "text", "text": printable(text) or " ", **({"style": style} if style else {})}


def link(url: str, text: str) -> Element:
    """Only for addresses that Slack itself gave."""
    return {"type": "link", "url": url, "text": text}


def section(inlines: Sequence[Element]) -> Element:
    return {"type": "rich_text_section", "elements": list(inlines)}


def bullets(items: Iterable[Sequence[Element]]) -> Element:
    return {
        "type": "rich_text_list",
        "style": "bullet",
        "elements": [section(item) for item in items],
    }


def preformatted(text: str) -> Element:
    return {"type": "rich_text_preformatted", "elements": [say(text)]}


def rich_text(elements: Sequence[Element]) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def said(value: Any) -> int:
    """How many characters of text are in a block, or in several."""
    if isinstance(value, str):
        return size(value)
    if isinstance(value, Mapping):
        return sum(said(inner) for key, inner in value.items() if key not in ("type", "style"))
    if isinstance(value, list | tuple):
        return sum(said(inner) for inner in value)
    return 0


def weight(blocks: Sequence[Block]) -> int:
    """What the blocks cost of the total that Slack keeps to without saying it."""
    return sum(len(json.dumps(block, separators=(",", ":"))) + BLOCK_WEIGHT for block in blocks)
