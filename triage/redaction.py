"""Redaction rules: what a secret looks like, and under which names one is kept.

Rows are in `rules/redaction.yaml`, each with what defines its format and with examples on both sides: text of which exactly
the marked part must be masked, and near misses that must stay as they are. Patterns are RE2 over bytes, which reads any line
in linear time: whoever writes a log chooses what is matched, and no line may hold up the report."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import re2
from pydantic import BaseModel, ConfigDict, Field

from telemetry.located_yaml import InvalidFileError, Problem, read_located
from telemetry.re2_words import said_by_re2

_SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_SET_BYTES = 32 << 20
"""What the automaton of all rules may take. Compile() raises where that cannot work; a search that fills it forgets the states
it cached, and goes on (google/re2:re2/prog.h, CompileSet; re2/dfa.cc, kManyMatch), so no text makes it miss."""
_MARK = re.compile("[«»]")
_FILL = re.compile(r"\{(alnum|alpha|digit|hex|upper|b64url|b64x)(\d+)\}")
_ALPHABETS = {
    "alnum": "q7Rk2Zt9Xb4Mv8Lc1Ws6Np3Hd5Jy0Gf",
    "alpha": "qRkZtXbMvLcWsNpHdJyGf",
    "digit": "7294816350",
    "hex": "7e2b9d4f8c1a6035",
    "upper": "Q7RK2ZT6XB4MV3LCWS5NPHDJYGF",
    "b64url": "q7Rk_2Zt9Xb-4Mv8Lc1Ws6Np3Hd5Jy0Gf",
    "b64x": "q7Rk+2Zt9Xb/4Mv8Lc1Ws6Np3Hd5Jy0Gf",
}


class KeyRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: str
    """Matches the whole name."""
    unless: str = ""
    """Matches a whole value that is no secret."""
    cites: tuple[str, ...] = Field(min_length=1)


class RuleRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=_SLUG, max_length=80)
    kind: str = Field(pattern=_SLUG, max_length=40)
    """What the mask says: [MASKED:kind]."""
    pattern: str
    """Searched in each line; the groups `secret`, `secret_2`, ... are masked."""
    unless: str = ""
    """Matches a whole captured text that is no secret."""
    requires: str = ""
    """Found anywhere in the line, or the rule does not apply."""
    cites: tuple[str, ...] = Field(min_length=1)
    """What defines the format: a document, or repository and path."""
    masks: tuple[str, ...] = Field(min_length=1)
    keeps: tuple[str, ...] = ()


class RedactionFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: dict[str, str] = {}
    """Pieces of patterns, by the name that stands between percent signs in them."""
    keys: tuple[KeyRow, ...]
    rules: tuple[RuleRow, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Find:
    """One secret: bytes `start` to `end` of a line; of overlapping finds the smallest rank names the kind."""

    start: int
    end: int
    kind: str
    rank: int
    counted: bool = True
    """False for a further line of a value that is counted already."""


class Rule:
    """A row, compiled."""

    def __init__(self, row: RuleRow, parts: dict[str, str], rank: int) -> None:
        self.row, self.rank = row, rank
        self.source = "(?m)" + expand(row.pattern, parts)
        self.pattern = compile_bytes(self.source)
        self._requires = compile_bytes(expand(row.requires, parts)) if row.requires else None
        self._unless = compile_bytes(f"(?s)(?:{expand(row.unless, parts)})") if row.unless else None
        names = {name.decode(): index for name, index in self.pattern.groupindex.items()}
        self._groups = [index for name, index in names.items() if re.fullmatch(r"secret(_\d)?", name)]
        if not self._groups or len(self._groups) != len(names):
            raise ValueError("needs the group 'secret' (and 'secret_2', ... if need be), and no other name")

    def find(self, line: bytes) -> Iterator[Find]:
        if self._requires is not None and self._requires.search(line) is None:
            return
        for match in self.pattern.finditer(line):
            for group in self._groups:
                start, end = match.span(group)
                if start < end and not (self._unless and self._unless.fullmatch(line[start:end])):
                    yield Find(start, end, self.row.kind, self.rank)


class Redaction:
    """All rules, searched together in one pass over a line."""

    def __init__(self, file: RedactionFile, openers: Sequence[str] = ()) -> None:
        """`openers` are patterns of lines with which something begins that goes on in the next line. Raises ValueError."""
        self.rules = [Rule(row, file.parts, rank) for rank, row in enumerate(file.rules)]
        self._keys = [
            (
                compile_bytes(expand(row.pattern, file.parts)),
                compile_bytes(f"(?s)(?:{expand(row.unless, file.parts)})") if row.unless else None,
            )
            for row in file.keys
        ]
        options = _options()
        options.max_mem = _SET_BYTES
        self._set = re2.Set.SearchSet(options)
        for source in (*(rule.source for rule in self.rules), *openers):
            self._set.Add(source.encode())
        self._set.Compile()

    def touched(self, text: bytes) -> Sequence[int]:
        """Which rules may find something in the text; numbers from len(rules) on are openers. Empty for clean text, and a
        text of clean lines is clean."""
        return self._set.Match(text) or ()

    def is_key(self, name: str) -> bool:
        """Whether credentials are kept under this name."""
        key = to_bytes(name)
        return any(pattern.fullmatch(key) is not None for pattern, _ in self._keys)

    def is_secret(self, name: str, value: str) -> bool:
        """Whether a value under this name is a credential, and not a placeholder."""
        key, held = to_bytes(name), to_bytes(value)
        for pattern, unless in self._keys:
            if pattern.fullmatch(key) is not None:
                return bool(held.strip()) and (unless is None or unless.fullmatch(held) is None)
        return False


def read_redaction(path: Path, openers: Sequence[str] = ()) -> Redaction:
    """Raises InvalidFileError with every row that does not do by itself what its examples say."""
    file = read_located(RedactionFile, path)
    problems: list[Problem] = []
    seen: set[str] = set()
    for row in file.rules:
        if row.id in seen:
            problems.append(at_id(path, row.id, f"{row.id!r} is given twice; keep one"))
        seen.add(row.id)
        problems += [at_id(path, row.id, said) for said in _mistakes(row, file.parts)]
    try:
        if not problems:
            return Redaction(file, openers)
    except (ValueError, re2.error) as error:
        problems.append(Problem(str(path), 1, 1, f"keys: {_said(error)}"))
    raise InvalidFileError(problems)


def _mistakes(row: RuleRow, parts: dict[str, str]) -> Iterator[str]:
    try:
        rule = Rule(row, parts, 0)
    except (ValueError, re2.error) as error:
        yield _said(error)
        return
    for example in row.masks:
        given, secrets = example_of(example)
        line = to_bytes(given)
        found = {line[find.start : find.end].decode() for find in rule.find(line)}
        if not secrets:
            yield f"'masks' has {example!r}, where no «secret» is marked"
        elif found != set(secrets):
            yield f"masks {sorted(found)} in {example!r}, which marks {secrets}"
    for example in row.keeps:
        line = to_bytes(example_of(example)[0])
        if wrong := [line[find.start : find.end].decode() for find in rule.find(line)]:
            yield f"masks {wrong} in {example!r}, which is to stay as it is"


def example_of(example: str) -> tuple[str, list[str]]:
    """The text of an example, and the secrets that it marks."""
    filled = _FILL.sub(lambda fill: _filled(fill[1], int(fill[2])), example)
    pieces = _MARK.split(filled)
    return "".join(pieces), pieces[1::2]


def expected_of(example: str, kind: str) -> str:
    """The example as it is to look with its secrets masked."""
    filled = _FILL.sub(lambda fill: _filled(fill[1], int(fill[2])), example)
    return re.sub("«[^»]*»", f"[MASKED:{kind}]", filled)


def expand(pattern: str, parts: dict[str, str]) -> str:
    """The pattern with its parts in place. Raises ValueError."""
    for _ in range(10):
        found = re.search("%([A-Z]+)%", pattern)
        if found is None:
            break
        if found[1] not in parts:
            raise ValueError(f"%{found[1]}% is not one of the parts {', '.join(sorted(parts))}")
        pattern = pattern.replace(found[0], parts[found[1]])
    if not pattern.isascii() or r"\A" in pattern or r"\z" in pattern:
        raise ValueError(
            r"patterns are ASCII, and say ^ and $ instead of \A and \z: they are searched in whole texts too"
        )
    return pattern


def compile_bytes(pattern: str) -> Any:
    """For bytes of any encoding. Raises re2.error: RE2 has no look-around and no back-references."""
    return re2.compile(pattern.encode(), _options())


def to_bytes(text: str) -> bytes:
    """Also of text that was read with undecodable bytes in it."""
    return text.encode("utf-8", "surrogatepass")


def to_text(line: bytes) -> str:
    return line.decode("utf-8", "surrogatepass")


def read_text(piece: bytes) -> str:
    """A piece of a line, which may begin or end within a character."""
    return piece.decode("utf-8", "replace")


def at_id(file: Path, name: str, message: str) -> Problem:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.rstrip().endswith(f"id: {name}"):
            return Problem(str(file), number, line.index("id:") + 1, message, line)
    return Problem(str(file), 1, 1, message)


def _filled(alphabet: str, length: int) -> str:
    letters = _ALPHABETS[alphabet]
    return (letters * (length // len(letters) + 1))[:length]


def _said(error: Exception) -> str:
    said = said_by_re2(error)
    return f"not an RE2 pattern: {said}" if isinstance(error, re2.error) else said


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    return options
