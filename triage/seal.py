"""The one way into the evidence: every text is made printable and redacted here, before it is stored, shown or walked."""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from triage.evidence import Evidence
from triage.redact import PLAIN

# A terminal's string that does not end takes nothing with it: what follows may be the line that tells.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
# Marks that turn or hide what a terminal shows: bidirectional overrides and isolates, zero-width characters, line separators,
# tags (a whole alphabet that no font draws).
_HIDDEN = dict.fromkeys(
    [
        *(0xAD, 0x061C, 0x180E, 0xFEFF),
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFFF9, 0xFFFC),
        *range(0xE0000, 0xE0080),
    ]
)
# Halves of a character, from bytes that are no UTF-8: nothing can be written with one in it.
_HALVES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_TABLE: dict[int, str | None] = {**_CONTROLS, **_HIDDEN, **_HALVES}


class Redactor(Protocol):
    """Takes secrets out; `masked` counts them."""

    masked: int

    def line(self, line: str, /) -> str:
        """One line of a stream; remembers what began on an earlier one."""
        ...

    def value(self, value: Any, /) -> Any:
        """Every string inside JSON-like data."""
        ...


def printable(text: str) -> str:
    """The text without escape sequences, control characters and marks that change how it is read; it can be written as UTF-8."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    return text if text.isascii() and text.isprintable() else text.translate(_TABLE)


class Seal:
    """Seals one piece of evidence; a log's lines go through `line` as they are read."""

    def __init__(self, redactor: Redactor, is_clean: Callable[[str], bool] | None = None) -> None:
        """is_clean: the redactor's, whether the next whole lines need not be given to it; without it, all are."""
        self._redactor = redactor
        self._is_clean = is_clean

    def unmasked(self, text: str) -> str | None:
        """These next lines of the log as `line` would give them, where it would mask nothing in them and remember nothing of them;
        so they need not be given to it. None where they must be."""
        if (
            self._is_clean is None or "\x1b" in text
        ):  # an escape sequence that does not end would reach into the next line
            return None
        said = text if text.isascii() and text.replace("\n", "").isprintable() else printable(text)
        return said if self._is_clean(said) else None

    def line(self, text: str) -> str:
        return self._redactor.line(printable(text))

    def value(self, value: Any) -> Any:
        """JSON-like data with every text in it printable and redacted."""
        return self._redactor.value(_printable(value))

    def evidence(self, evidence: Evidence) -> Evidence:
        """The same evidence, redacted, with its count and hash."""
        sealed = self.value(msgspec.to_builtins(evidence))
        sealed["masked"] = self._redactor.masked
        sealed["sha256"] = hashlib.sha256(msgspec.json.encode(sealed["facts"], order="sorted")).hexdigest()
        return msgspec.convert(sealed, Evidence)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        if PLAIN.issuperset(map(type, value)):  # a fleet's ranges are millions of numbers
            return [*value]
        return [_printable(inner) for inner in value]
    return value
