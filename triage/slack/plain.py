"""Text that came from outside, made to be read and nothing else. Pure.

In a message's blocks such text goes into text elements of rich text, which Slack shows as they are: a mention, a link and an emoji
are elements of their own there (docs.slack.dev/reference/block-kit/blocks/rich-text-block). The `text` beside the blocks, which
notifications show, is markup, so here it is escaped (docs.slack.dev/messaging/formatting-message-text) and its signs that format
are replaced by ones that look alike."""

import re

from triage.seal import printable
from triage.slack.limits import cut

_FORMATS = str.maketrans({"*": "∗", "~": "∼", "`": "'"})
_ITALIC = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""An underscore at the edge of a word; within one, as in `max_batch_size`, it formats nothing."""
_EMOJI = re.compile(r"(?<!\d):(?=[\w+'-]+:)|(?<=\d):(?=[\w+'-]+:)(?!\d\d:\d\d)")
"""A colon that may begin an emoji's name; those of a time of day do not."""
_AT = re.compile(r"@(?=\w)")
_SCHEME = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,15}):(?=//)|\b(mailto|tel):")


def one_line(text: str, most: int = 1_000) -> str:
    """The text in one line, without what turns or hides what is read."""
    return cut(" ".join(printable(text[: most * 4]).split()), most)


def lines(text: str, most: int = 1_000) -> str:
    """The same of a text that keeps its lines, such as a quotation; blank ones at its ends are dropped."""
    said = printable(text[: most * 4]).expandtabs(4)
    return cut("\n".join(line.rstrip() for line in said.splitlines()).strip("\n"), most)


def inert(text: str) -> str:
    """The text as markup that shows it and pings, links and formats nothing."""
    said = text.translate(_FORMATS)
    said = _ITALIC.sub("ˍ", said)
    said = _EMOJI.sub("∶", said)
    said = _AT.sub("＠", said)
    said = _SCHEME.sub(lambda found: f"{found[1] or found[2]}∶", said)
    return escape(said)


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
