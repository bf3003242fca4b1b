"""Rows to messages: a row is shown whole or not at all, and what was not shown is counted. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from triage.slack.limits import BLOCK_CHARS, BLOCKS, MESSAGE_CHARS, MESSAGE_WEIGHT
from triage.slack.rich import Block, Element, bullets, preformatted, rich_text, said, say, section, weight

_RESERVED_CHARS = 600
_RESERVED_WEIGHT = 1_200
_RESERVED_BLOCKS = 2
"""Of each message, for what stands at its end: how to get the whole, and what was left out."""


class Piece(msgspec.Struct, frozen=True):
    """A line, a line of a list, or text in a box of its own to be copied."""

    kind: Literal["line", "bullet", "box"]
    inlines: tuple[Element, ...] = ()
    text: str = ""


Row = tuple[Piece, ...]
"""Pieces that make no sense without each other, such as a command and how to undo it."""


class Group(msgspec.Struct, frozen=True):
    title: str
    rows: tuple[Row, ...] = ()
    block: Block | None = None
    """A block that is no text, before the rows."""
    more: int = 0
    """Rows that were left out before."""


class Pages(msgspec.Struct, frozen=True):
    pages: tuple[tuple[Block, ...], ...]
    """Of each message its blocks."""
    dropped: int
    """Rows for which no message had room."""


def line(*inlines: Element) -> Piece:
    return Piece("line", inlines)


def bullet(*inlines: Element) -> Piece:
    return Piece("bullet", inlines)


def box(text: str) -> Piece:
    return Piece("box", text=text)


class _Sized(msgspec.Struct, frozen=True):
    """A block with what it costs."""

    block: Block
    chars: int
    weight: int


def lay_out(groups: Iterable[Group], most_pages: int) -> Pages:
    """Groups in their order, each begun under its title; once a row finds no room, what comes after it is counted only."""
    pages: list[list[_Sized]] = [[]]
    dropped = 0
    for group in groups:
        begun = False  # on the page that is being filled
        if group.block is not None and not dropped:
            added = [*_titled(group, ()), _sized(group.block)]
            if not _fits(pages[-1], added) and len(pages) < most_pages:
                pages.append([])
            if _fits(pages[-1], added):
                pages[-1] += added
                begun = True
        for row, counts in _counted(group):
            if dropped:
                dropped += counts
                continue
            if (fuller := _with_row(pages[-1], group, row, begun)) is None and len(pages) < most_pages:
                pages.append([])
                fuller = _with_row(pages[-1], group, row, begun=False)
            if fuller is None:
                dropped += counts
                continue
            pages[-1] = fuller
            begun = True
    return Pages(tuple(tuple(sized.block for sized in page) for page in pages), dropped)


def _counted(group: Group) -> Iterator[tuple[Row, int]]:
    """The rows, each with how many it stands for."""
    yield from ((row, 1) for row in group.rows)
    if group.more:
        yield (bullet(say(f"{group.more} more")),), group.more


def flowed(pieces: Sequence[Piece]) -> tuple[Element, ...]:
    """The pieces as elements of one block: lines after each other in one section, lines of a list in one list."""
    elements: list[Element] = []
    before = ""
    for piece in pieces:
        if piece.kind == "box":
            elements.append(preformatted(piece.text))
        elif piece.kind == before == "bullet":
            elements[-1] = {**elements[-1], "elements": [*elements[-1]["elements"], section(piece.inlines)]}
        elif piece.kind == before == "line":
            elements[-1] = section([*elements[-1]["elements"], say("\n"), *piece.inlines])
        else:
            elements.append(bullets([piece.inlines]) if piece.kind == "bullet" else section(piece.inlines))
        before = piece.kind
    return tuple(elements)


def _with_row(page: list[_Sized], group: Group, row: Row, begun: bool) -> list[_Sized] | None:
    """The page with the row, in the block of its group if that has room; None where the page has none."""
    if begun and page[-1].block["type"] == "rich_text":
        longer = _sized(rich_text(_joined(page[-1].block["elements"], flowed(row))))
        if _fits(page[:-1], [longer]):
            return [*page[:-1], longer]
    added = [_sized(rich_text(flowed(row)))] if begun else _titled(group, row)
    return [*page, *added] if _fits(page, added) else None


def _titled(group: Group, row: Row) -> list[_Sized]:
    title = (line(say(group.title, bold=True)),) if group.title else ()
    return [_sized(rich_text(flowed((*title, *row))))] if title or row else []


def _sized(block: Block) -> _Sized:
    return _Sized(block, said(block), weight([block]))


def _joined(elements: Sequence[Element], more: Sequence[Element]) -> list[Element]:
    """Lists and lines that meet become one."""
    last, first = elements[-1], more[0]
    if last["type"] == first["type"] == "rich_text_list":
        return [*elements[:-1], {**last, "elements": [*last["elements"], *first["elements"]]}, *more[1:]]
    if last["type"] == first["type"] == "rich_text_section":
        return [
            *elements[:-1],
            section([*last["elements"], say("\n"), *first["elements"]]),
            *more[1:],
        ]
    return [*elements, *more]


def _fits(page: Sequence[_Sized], added: Sequence[_Sized]) -> bool:
    blocks = [*page, *added]
    return (
        len(blocks) <= BLOCKS - _RESERVED_BLOCKS
        and all(sized.chars <= BLOCK_CHARS for sized in added)
        and sum(sized.chars for sized in blocks) <= MESSAGE_CHARS - _RESERVED_CHARS
        and sum(sized.weight for sized in blocks) <= MESSAGE_WEIGHT - _RESERVED_WEIGHT
    )
