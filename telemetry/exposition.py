"""Triton's metrics page, parsed: Prometheus text format 0.0.4 into (series, value) pairs.

A page repeats the same `name{labels}` at every scrape, so that text is an opaque key: it is parsed once when the series is first
seen and found in a dictionary ever after. `prometheus_client`'s parser is the oracle in the tests.
Format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*')
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "\\": "\\", '"': '"'}


_BLOCK_CHARACTERS: Final = 32 * 1024
MAX_LINES: Final = 50_000
"""Most lines of a page: a thousand models on one GPU. A page of new series takes 10 µs a line."""
_FORGET_ABOVE: Final = 1000


class MalformedExpositionError(Exception):
    """The page is not in the text format; the message names the line. Nothing of such a page is used."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Series:
    """One time series, the same object wherever its text is the same, so that it can be compared by identity."""

    key: str
    family: str
    labels: Mapping[str, str]


class SeriesTable:
    """The series that targets have shown, by their text: of one, or of all that are read in turns, which may show the same ones.

    `families` limits what is kept: lines of other families are skipped without reading their number. The table forgets what
    is no longer shown once it holds far more than one round (a target whose labels change at every scrape must not grow it).
    """

    def __init__(self, families: Collection[str] | None = None) -> None:
        self._families = None if families is None else frozenset(families)
        self.known: dict[str, Series | None] = {}
        self._before: dict[str, Series | None] = {}
        self._most = _FORGET_ABOVE

    def add(self, key: str) -> Series | None:
        """The series of a text that is not known; None for a family that nobody asked for."""
        if key in self._before:
            kept = self._before[key]
        else:
            series = _intern(key)
            kept = series if self._families is None or series.family in self._families else None
        self.known[key] = kept
        return kept

    def end_round(self) -> None:
        """Each target was read once since this was called last."""
        if self._before:
            self._before = {}
            self._most = 2 * len(self.known) + _FORGET_ABOVE
        elif len(self.known) > self._most:
            self._before, self.known = self.known, {}


def parse_exposition(text: str, table: SeriesTable) -> list[tuple[Series, float]]:
    """The page's samples in order, numbers raw, of the table's only target. Raises `MalformedExpositionError`, ValueError above
    `MAX_LINES`."""
    samples: list[tuple[Series, float]] = []
    for _ in parse_in_blocks(text, table, samples):
        pass
    table.end_round()
    return samples


def parse_in_blocks(
    text: str,
    table: SeriesTable,
    samples: list[tuple[Series, float]],
    rewrite: Callable[[str], str] = lambda block: block,
) -> Iterator[None]:
    """The same into `samples`, with a pause after each few hundred lines for those who have others to serve; they count once
    it has ended. Each such block of whole lines is read as `rewrite` makes it, line for line. Raises the same."""
    if not text.endswith("\n"):
        raise MalformedExpositionError(
            "the page does not end with a line feed: it was cut short, or is not a metrics page"
        )
    known = table.known
    append = samples.append
    if text.count("\n") >= MAX_LINES:
        raise ValueError(f"sends more than {MAX_LINES} lines")
    before = 0
    for block in map(rewrite, _blocks(text)):
        for line in block.split("\n"):
            key, _, number = line.rpartition(" ")
            try:
                series = known[key]
                if series is not None:
                    append((series, float(number)))
            except (KeyError, ValueError):
                try:
                    _read_unfamiliar(line, table, samples)
                except ValueError as error:
                    where = before + block.split("\n").index(line) + 1
                    raise MalformedExpositionError(f"line {where}: {line[:120]!r}: {error}") from error
        before += block.count("\n") + 1
        yield


def _blocks(text: str) -> Iterator[str]:
    """The text in blocks of whole lines, without the last line feed of each: lines of one block take the memory of the last one's,
    where those of a whole page at once would each time be megabytes new to the processor's caches."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _BLOCK_CHARACTERS)
        end = len(text) - 1 if end < 0 else end
        yield text[start:end]
        start = end + 1


_interned: WeakValueDictionary[str, Series] = WeakValueDictionary()


def _intern(key: str) -> Series:
    """The one `Series` of this text; a thousand pods that serve the same models share it."""
    found = _interned.get(key)
    if found is None:
        family, labels = _parse_series(key)
        found = _interned[key] = Series(key, family, labels)
    return found


def _read_unfamiliar(line: str, table: SeriesTable, samples: list[tuple[Series, float]]) -> None:
    """Reads a line that is a comment, or whose series is new, or that carries a timestamp. Raises ValueError."""
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return
    key, number = _split_sample(stripped)
    value = float(number)
    series = table.known[key] if key in table.known else table.add(key)
    if series is not None:
        samples.append((series, value))


def _split_sample(line: str) -> tuple[str, str]:
    """`name{labels}` and the number, dropping a timestamp. Raises ValueError."""
    end = line.rfind("}") + 1
    if end == 0:
        end = len(line.split(None, 1)[0])
    rest = line[end:].split()
    if len(rest) not in (1, 2):
        raise ValueError("expected a number, and at most a timestamp, after the series")
    return line[:end], rest[0]


def _parse_series(key: str) -> tuple[str, Mapping[str, str]]:
    """Family and labels of `name{label="value",...}`. Raises ValueError."""
    name = _NAME.match(key)
    if name is None:
        raise ValueError("expected a metric name")
    at = name.end()
    labels: dict[str, str] = {}
    if at == len(key):
        return key, labels
    if key[at] != "{" or not key.endswith("}"):
        raise ValueError("expected labels in braces after the metric name")
    at += 1
    while key[at] != "}":
        label = _LABEL.match(key, at)
        if label is None:
            raise ValueError(f'expected label="value" at column {at + 1}')
        labels[label[1]] = _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), label[2])
        at = label.end()
        if key[at] == ",":
            at += 1
        elif key[at] != "}":
            raise ValueError(f"expected a comma or a closing brace at column {at + 1}")
    if at != len(key) - 1:
        raise ValueError(f"unexpected text after the labels at column {at + 2}")
    return name[0], labels
