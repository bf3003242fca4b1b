"""Log signatures: what one line of a log, an index reason, a container state or an event says about a failed load.

Rows are files in `rules/signatures/`, each with its source. Patterns are RE2, which reads any line in linear time: logs are
written by whoever writes the model, and no line may hold up the report. A signature is a claim of the text, not a verdict."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import re2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from telemetry.located_yaml import InvalidFileError, Problem, parse_located, read_text
from telemetry.re2_words import said_by_re2

Category = Literal[
    "repository_layout",
    "model_config",
    "backend_unavailable",
    "file_permissions",
    "artifact_integrity",
    "tensorrt_engine_compatibility",
    "gpu_memory",
    "runtime_version",
    "storage_access",
    "host_resources",
    "dependency_model",
    "warmup_failure",
    "model_code",
    "model_unsupported",
    "load_concurrency",
    "not_a_load_failure",
]
CATEGORIES: tuple[Category, ...] = get_args(Category)

Role = Literal["cause", "noise", "general", "hint", "cascade"]
"""cause: names the mechanism. general: true, but holds only where no cause is named (any exception in a model's Python).
hint: fits the category and proves little. cascade: follows from another failure. noise: harmless, or mute about the
cause, and hides what is general about the line. In this order where several match one text."""
_ROLES: tuple[Role, ...] = get_args(Role)

Origin = Literal["triton", "python", "library", "system", "kubernetes", "client", "repository"]
"""Whose words they are: Triton's core or one of its backends, Python, a library below a backend, the operating system or its
loader, Kubernetes, a client of the server, or what lies in a model repository as this program words it."""


def _compiled_by_re2(pattern: str) -> str:
    try:
        _compile(pattern)
    except re2.error as error:
        said = f"not an RE2 pattern: {said_by_re2(error)}; RE2 has no look-around and no back-references"
        raise ValueError(said) from error
    return pattern


class Signature(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)
    role: Role
    category: Category | None = None
    """What must be changed to make the model load; none for cascade and noise."""
    origin: Origin
    pattern: Annotated[str, AfterValidator(_compiled_by_re2)]
    """Searched in the text after the log prefix. Groups: `model`, `version` (whom it speaks of), `child` (the model that it
    blames), `root` (where the telling line begins, when that is not where the match begins)."""
    says: str = Field(min_length=1)
    """What it means, for somebody who has never seen the line."""
    fix: str = ""
    """What to change, as an instruction; `{model}` and the pattern's other groups may stand in it."""
    cites: tuple[str, ...] = Field(min_length=1)
    """Where it is printed or documented: repository and path, or a document."""
    matches: tuple[str, ...] = Field(min_length=1)
    """Texts, made from the source's own format, that it must match, and whose category it must decide."""
    rejects: tuple[str, ...] = ()
    """Near misses that it must not match."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.role in ("cascade", "noise")) != (self.category is None):
            raise ValueError(f"role {self.role!r} {'takes no' if self.category else 'needs a'} category")
        if self.category not in (None, "not_a_load_failure") and not self.fix:
            raise ValueError("'fix' is missing: say what to change so that the model loads")
        found = _compile(self.pattern)
        for text in self.matches:
            if found.search(text) is None:
                raise ValueError(f"pattern does not match its own example {text!r}")
        for text in self.rejects:
            if found.search(text) is not None:
                raise ValueError(f"pattern matches {text!r}, which it is to reject")
        if self.fix.count("{") != self.fix.count("}"):
            raise ValueError("fix has a brace without its other half")
        known = {*found.groupindex}
        unknown = {name for name in _placeholders(self.fix) if name not in known | {"model"}}
        if unknown:
            raise ValueError(f"fix names {sorted(unknown)}, which the pattern does not capture")
        return self

    @property
    def tells_failure(self) -> bool:
        return self.category not in (None, "not_a_load_failure")


class SignatureFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    area: str = Field(min_length=1)
    """What prints these lines."""
    signatures: tuple[Signature, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Match:
    """One signature found in one text; `start` is the offset at which the telling line begins."""

    signature: Signature
    start: int
    groups: Mapping[str, str]

    @property
    def category(self) -> Category | None:
        return self.signature.category

    @property
    def rank(self) -> tuple[int, int]:
        """Smaller decides: the role, then what stands first."""
        return _ROLES.index(self.signature.role), self.start


class Signatures:
    """All signatures, searched together in one pass over a text."""

    def __init__(self, signatures: Sequence[Signature]) -> None:
        self.all = tuple(signatures)
        self._patterns = [_compile(signature.pattern) for signature in self.all]
        self._set = _search_set([row.pattern for row in self.all])

    def match(self, text: str) -> list[Match]:
        """Every signature found in the text, the one that decides first."""
        text = _encodable(text)
        found = [match for index in self._hits(text) if (match := self._locate(index, text))]
        return sorted(found, key=lambda match: (match.rank, match.signature.id))

    def any(self, text: str) -> bool:
        """Whether any signature is found in the text."""
        return bool(self._set.Match(_encodable(text)))

    def tells_failure(self, line: str) -> bool:
        """Whether the line shows something that keeps a model from loading."""
        return bool(self._failures.Match(_encodable(line)))

    @cached_property
    def _failures(self) -> Any:
        return _search_set([row.pattern for row in self.all if row.tells_failure])

    def skimmer(self, also: Sequence[str] = ()) -> Callable[[str], bool]:
        """Says whether one of the lines of a text may show a failure, or holds one of these RE2 patterns `also`. Many times as
        fast as to ask line by line."""
        rows = [row.pattern.replace(r"\A", "^") for row in self.all if row.tells_failure]
        found = _search_set([f"(?m){pattern}" for pattern in (*rows, *also)])
        return lambda text: bool(found.Match(_encodable(text)))

    def _hits(self, text: str) -> Iterable[int]:
        found: Iterable[int] | None = self._set.Match(text)
        return found or ()

    def _locate(self, index: int, text: str) -> Match | None:
        found = self._patterns[index].search(text)
        if found is None:
            return None
        groups = {name: value for name, value in found.groupdict().items() if value is not None}
        group = self._patterns[index].groupindex["root"] if "root" in groups else 0
        matched = found.group(group)
        start = (
            found.start(group) + len(matched) - len(matched.lstrip())
        )  # a pattern may begin with a line break
        return Match(self.all[index], start, groups)


def load_signatures(folder: Path) -> Signatures:
    """Every row of the folder. Raises InvalidFileError with the mistakes of all files."""
    return parse_signatures(
        {str(file): read_text(file) for file in sorted(folder.glob("*.yaml"))}, str(folder)
    )


def parse_signatures(texts: Mapping[str, str], where: str, *, decided: bool = False) -> Signatures:
    """The rows of these files' texts. Raises InvalidFileError with the mistakes of all; `where` is told if there is none.

    decided: these very rows were found to decide their examples before, and are not tried against each other again."""
    rows: list[Signature] = []
    homes: dict[str, str] = {}
    problems: list[Problem] = []
    if not texts:
        problems.append(Problem(where, 1, 1, "no signatures here: expected at least one *.yaml"))
    for file, text in texts.items():
        try:
            content = parse_located(SignatureFile, text, file)
        except InvalidFileError as error:
            problems += error.problems
            continue
        for row in content.signatures:
            if row.id in homes:
                problems.append(
                    at_row(file, text, row.id, f"{row.id!r} is already a signature of {homes[row.id]}")
                )
            homes.setdefault(row.id, file)
            rows.append(row)
    if not problems:
        signatures = Signatures(rows)
        problems = (
            []
            if decided
            else [
                at_row(homes[row.id], texts[homes[row.id]], row.id, said)
                for row, said in _undecided(signatures)
            ]
        )
    if problems:
        raise InvalidFileError(problems)
    return signatures


def _undecided(signatures: Signatures) -> Iterator[tuple[Signature, str]]:
    """Examples whose category another signature would decide."""
    for row in signatures.all:
        for text in row.matches:
            first = signatures.match(text)[0].signature
            if first.category != row.category:
                yield row, f"{first.id!r} ({first.category}) decides the example {text!r}, not {row.id!r}"


def at_row(file: str, text: str, name: str, message: str) -> Problem:
    """The problem at the row with this id, the last where it is given twice; else at the key of this name."""
    lines, quoted = text.splitlines(), re.escape(name)
    row = re.compile(rf"""(?:^\s*-?\s*|[{{,]\s*)(id:\s*["']?{quoted}["']?)\s*(?:[,}}#]|$)""")
    key = re.compile(rf"""(?:^\s*|[{{,]\s*)(["']?{quoted}["']?\s*:)""")
    for pattern, numbers in ((row, range(len(lines) - 1, -1, -1)), (key, range(len(lines)))):
        for number in numbers:
            if found := pattern.search(lines[number]):
                return Problem(file, number + 1, found.start(1) + 1, message, lines[number])
    return Problem(file, 1, 1, message)


def _placeholders(text: str) -> list[str]:
    return [part.split("}")[0] for part in text.split("{")[1:]]


def _encodable(text: str) -> str:
    """The text with a question mark for half a character: a JSON string in a log may hold one, and RE2 reads UTF-8."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _search_set(patterns: Sequence[str]) -> Any:
    """The patterns as one automaton. Raises `re2.error` where they need more memory than it may have; while searching it
    forgets states rather than fail (re2/dfa.cc: a many-match search never gives up for slowness)."""
    found = re2.Set.SearchSet(_options())
    for pattern in patterns:
        found.Add(pattern)
    found.Compile()
    return found


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20  # the 800 rows of today need a fraction
    return options


def _compile(pattern: str) -> Any:
    return re2.compile(pattern, _options())
