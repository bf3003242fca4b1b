"""The choke point: everything that is read passes here before it is shown, stored or sent, and comes out without secrets.

What a secret looks like is data (`redaction.py`); what goes on over several lines is in `redact_blocks.py`. A mask says its kind
and nothing else of what it hides, neither length nor hash: both help who guesses."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from telemetry.located_yaml import InvalidFileError
from triage.redact_blocks import OPENERS, Blocks
from triage.redaction import (
    Find,
    Redaction,
    at_id,
    compile_bytes,
    example_of,
    expected_of,
    read_redaction,
    to_bytes,
    to_text,
)

__all__ = ["Redaction", "Redactor", "load_redaction"]

_ROUNDS: Final = 8
"""How often one line is searched: a mask may uncover the next secret (a=b in a=b). A line that needs more is masked whole."""
_DEPTH: Final = 200
"""How deep data may be nested; what lies deeper is masked whole."""
_TOGETHER: Final = 64
PLAIN: Final = frozenset({float, int, bool, type(None)})
"""What has no text in it."""
_MASKED: Final = 1 << 30
"""The rank of what is a mask already."""
_mask = compile_bytes(r"\[MASKED:[a-z0-9-]+\]")
_telling = compile_bytes(r"[A-Za-z0-9\x80-\xff]")
"""What is left of a secret beside a mask has at least one of these, or is only the signs between two masks."""


def load_redaction(path: Path) -> Redaction:
    """Raises InvalidFileError with every mistake, a row whose examples it does not keep among them."""
    redaction = read_redaction(path, OPENERS)
    problems = [at_id(path, name, said) for name, said in _disagreements(redaction)]
    if problems:
        raise InvalidFileError(problems)
    return redaction


def _disagreements(redaction: Redaction) -> Iterator[tuple[str, str]]:
    """Examples with which all rules together do something else than the one that they stand at."""
    for rule in redaction.rules:
        for example in rule.row.masks:
            text, wanted = example_of(example)[0], expected_of(example, rule.row.kind)
            if (got := Redactor(redaction).text(text)) != wanted:
                yield rule.row.id, f"with the other rules, {text!r} becomes {got!r}, not {wanted!r}"
        for example in rule.row.keeps:
            text = example_of(example)[0]
            if (got := Redactor(redaction).text(text)) != text:
                yield rule.row.id, f"with the other rules, {text!r} becomes {got!r}, and is to stay as it is"


class Redactor:
    """Masks secrets in one log (`line` after `line`), in whole texts, and in data. `masked` counts the values masked so far;
    what is masked already is neither masked nor counted again."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._blocks = Blocks(redaction)
        self.masked = 0

    def line(self, line: str) -> str:
        """The next line of this redactor's log. Where it has line ends in it, they end lines."""
        if "\n" in line:
            *ended, last = line.split("\n")
            return "".join(self.line(piece) + "\n" for piece in ended) + (self.line(last) if last else "")
        encoded = to_bytes(line)
        touched = self._redaction.touched(encoded)
        return self._redact(encoded, touched, self._blocks) if touched or self._blocks.open else line

    def is_clean(self, text: str) -> bool:
        """Whether the next whole lines of this redactor's log come out as they are and leave nothing to remember, so that they need
        not be given to it at all."""
        return not self._blocks.open and not self._redaction.touched(to_bytes(text))

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """The log's next lines, `_TOGETHER` of them read at once: several times as fast where most lines are clean."""
        rest = iter(lines)
        while block := list(islice(rest, _TOGETHER)):
            if self._blocks.open or self._redaction.touched(to_bytes("\n".join(block))):
                yield from map(self.line, block)
            else:
                yield from block

    def text(self, text: str) -> str:
        """A whole text, on its own: as `line` would give its lines to a redactor that has seen nothing before."""
        inner = Redactor(self._redaction)
        redacted = (
            "\n".join(inner.lines(text.split("\n"))) if self._redaction.touched(to_bytes(text)) else text
        )
        self.masked += inner.masked
        return redacted

    def value(self, value: Any) -> Any:
        """JSON-like data with every string in it redacted, keys too; what stands under the name of a credential, in an
        environment's {name, value}, behind an option of a command line or in a Secret's data is masked whole.
        Raises TypeError for anything else than dict, list, tuple, str, int, float, bool and None."""
        return self._value(value, 0, secret=False)

    def _value(self, value: Any, depth: int, *, secret: bool) -> Any:
        if depth > _DEPTH:
            return self._whole("too-deep")
        match value:
            case str():
                return self.text(value)
            case bool() | int() | float() | None:
                return value
            case list() | tuple():
                if depth < _DEPTH and PLAIN.issuperset(map(type, value)):
                    return value  # a fleet's ranges are millions of numbers
                items = list(self._items(value, depth, secret))
                return items if isinstance(value, list) else tuple(items)
            case dict():
                return self._mapping(value, depth, secret)
        raise TypeError(f"only JSON-like data can be redacted, not {type(value).__name__}")

    def _items(self, items: Iterable[Any], depth: int, secret: bool) -> Iterator[Any]:
        before: Any = None
        for item in items:
            behind_option = isinstance(before, str) and before.startswith("-") and isinstance(item, str)
            if behind_option and not item.startswith("-") and self._hides(before.lstrip("-"), item):
                yield self._once(item, "credential")
            else:
                yield self._value(item, depth + 1, secret=secret)
            before = item

    def _mapping(self, mapping: dict[Any, Any], depth: int, secret: bool) -> dict[Any, Any]:
        lowered = {key.lower(): item for key, item in mapping.items() if isinstance(key, str)}
        named = next(
            (lowered[key] for key in ("name", "key", "header") if isinstance(lowered.get(key), str)), ""
        )
        secrets_inside = lowered.get("kind") in ("Secret", "SecretList")
        secret = secret or secrets_inside
        result: dict[Any, Any] = {}
        for key, item in mapping.items():
            name = key if isinstance(key, str) else ""
            if secret and name in ("data", "stringData") and isinstance(item, dict):
                redacted: Any = {
                    self.text(str(inner)): self._once(held, "kubernetes-secret")
                    for inner, held in item.items()
                }
            elif self._hides(name, item) or (name.lower() == "value" and self._hides(named, item)):
                redacted = self._once(item, "credential")
            elif (
                name
                and isinstance(item, list)
                and self._redaction.is_key(name)
                and any(self._hides(name, held) for held in item)
            ):
                redacted = [self._once(held, "credential") for held in item]
            else:
                redacted = self._value(item, depth + 1, secret=secret and name == "items")
            result[self._free(self.text(key) if name else key, result)] = redacted
        return result

    def _free(self, key: Any, taken: dict[Any, Any]) -> Any:
        """The key, or the key with a number where two keys became the same mask."""
        number = 2
        free = key
        while free in taken:
            free, number = f"{key} ({number})", number + 1
        return free

    def _hides(self, name: str, held: Any) -> bool:
        if isinstance(held, bool) or not isinstance(held, str | int):
            return False
        return bool(name) and self._redaction.is_secret(name, str(held))

    def _once(self, held: Any, kind: str) -> Any:
        if held is None or held == "" or (isinstance(held, str) and _mask.fullmatch(to_bytes(held))):
            return held
        return self._whole(kind)

    def _whole(self, kind: str) -> str:
        self.masked += 1
        return f"[MASKED:{kind}]"

    def _redact(self, line: bytes, touched: Sequence[int], blocks: Blocks) -> str:
        finds = list(blocks.read(line))
        rules = self._redaction.rules
        for _ in range(_ROUNDS):
            finds += [find for index in touched if index < len(rules) for find in rules[index].find(line)]
            masked = self._mask(line, finds)
            if masked == line:
                break
            line, finds, touched = masked, [], self._redaction.touched(masked)
        else:
            line = self._whole("line").encode()
        blocks.settle(line)
        return to_text(line)

    def _mask(self, line: bytes, finds: list[Find]) -> bytes:
        """The line with the finds masked that are not masks already; finds that overlap become one mask."""
        if not finds:
            return line
        masks = [found.span() for found in _mask.finditer(line)] if b"[MASKED:" in line else []
        pieces: list[bytes] = []
        done = 0
        for find in _merged(line, finds, masks):
            pieces += [line[done : find.start], b"[MASKED:", find.kind.encode(), b"]"]
            done = find.end
            self.masked += find.counted
        return b"".join((*pieces, line[done:]))


def _merged(line: bytes, finds: list[Find], masks: list[tuple[int, int]]) -> Iterator[Find]:
    """Finds in order and apart, grown to whole characters and over the masks that they touch, without those that hide
    nothing more than masks and the signs between them."""
    group: list[Find] = []
    end = -1
    known = (Find(*span, "", _MASKED, counted=False) for span in masks)
    for find in sorted((*finds, *known), key=lambda find: (find.start, find.end)):
        if find.start >= end:
            yield from _joined(line, group)
            group, end = [], find.end
        group.append(find)
        end = max(end, find.end)
    yield from _joined(line, group)


def _joined(line: bytes, group: list[Find]) -> Iterator[Find]:
    named = [find for find in group if find.rank != _MASKED]
    if not named:
        return
    first = min(named, key=lambda find: find.rank)
    start, end = group[0].start, max(find.end for find in group)
    rest = _mask.sub(b"", line[start:end])
    if not rest.strip() or (len(rest) < end - start and _telling.search(rest) is None):
        return
    while start > 0 and line[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(line) and line[end] & 0xC0 == 0x80:
        end += 1
    yield Find(start, end, first.kind, first.rank, first.counted)
