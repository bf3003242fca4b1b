"""What Slack accepts in a message, and the smaller sizes that are kept here.

Slack's own, with the pages that say them (docs.slack.dev/reference, read in November 2026):

- block-kit/blocks: 50 blocks a message; block-kit/blocks/section-block: text 3,000, 10 fields of 2,000;
  block-kit/blocks/header-block: plain text of 150; block-kit/blocks/context-block: 10 elements.
- block-kit/blocks/data-visualization-block: title and axis labels 50, 1 to 6 series of 1 to 20 points, labels and names 20; every
  series has one point for every category. Two such blocks a message.
- methods/chat.postMessage: the text at most 4,000 is advised, and what is beyond 40,000 is cut off.
- No page says how large all blocks together may be. slackapi/bolt-js#2509 measured `msg_blocks_too_long` at about 13,200
  characters, and that a divider costs 125 of them.
"""

LINE_CHARS = 150
"""Of line 1: what a lock screen shows, and a header would take."""
TEXT_CHARS = 4_000
BLOCKS = 25
BLOCK_CHARS = 2_800
MESSAGE_CHARS = 9_000
"""Of text, over all blocks."""
MESSAGE_WEIGHT = 12_000
"""Of the blocks as JSON in ASCII, with the cost of each block."""
BLOCK_WEIGHT = 125

CHART_TITLE_CHARS = 50
CHART_LABEL_CHARS = 20
CHART_SERIES = 6
CHART_POINTS = 20


def size(text: str) -> int:
    """How long the text is for Slack, whose clients count UTF-16: a letter beyond the first 65,536 counts twice."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def cut(text: str, most: int) -> str:
    """The text, at most so long, with `…` where something was cut off."""
    if size(text) <= most:
        return text
    kept = text[: most - 1]
    while size(kept) > most - 1:
        kept = kept[:-1]
    return kept.rstrip() + "…"
