"""Label selectors, read exactly as Kubernetes reads them.

`parse_selector` follows `labels.Parse` of k8s.io/apimachinery v0.36.3 token by token, including what
surprises: an absent key satisfies `!=` and `notin`, `k=` and `k in ()` ask for the empty value, `in` and
`notin` are values where a value is expected, and no selector at all means everything. Two things are stricter:
length and number of requirements are bounded, and a NUL byte is refused, because there it silently ends the selector
and what follows would be ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_SELECTOR_CHARS = 4096
MAX_REQUIREMENTS = 32
"""Different ones. Each is tried on every model of every pod: a thousand of them would hold up everybody's answers for seconds."""
MAX_NAME_CHARS = 63
MAX_PREFIX_CHARS = 253


class SelectorError(ValueError):
    """A label selector that Kubernetes would not accept: says what, where, and what is accepted."""


class Operator(StrEnum):
    """How a requirement relates a key to its values."""

    EQUALS = "="
    DOUBLE_EQUALS = "=="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    GREATER_THAN = ">"
    LESS_THAN = "<"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. `values` is sorted and without doubles: one for `=`, `!=`, `>` and
    `<`, none for existence."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str], names: frozenset[str] = frozenset()) -> bool:
        """True if the labels satisfy this condition; `>` and `<` never match what is no 64-bit integer. `names`: other
        values by which the label's owner goes, which count in equality and in sets."""
        value = labels.get(self.key)
        if value is not None and value not in self.values and not names.isdisjoint(self.values):
            value = next(name for name in self.values if name in names)
        match self.operator:
            case Operator.EQUALS | Operator.DOUBLE_EQUALS | Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_EQUALS | Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.GREATER_THAN | Operator.LESS_THAN:
                have, bound = _int64(value), _int64(self.values[0])
                if have is None or bound is None:
                    return False
                return have > bound if self.operator is Operator.GREATER_THAN else have < bound

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all hold, sorted by key; none at all selects everything. `str()` is
    canonical: the text that Kubernetes prints, and it parses to the same selector."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True if every requirement holds for these labels."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def exact_labels(self) -> dict[str, str]:
        """The labels that this selector pins to a single value."""
        return {
            requirement.key: requirement.values[0]
            for requirement in self.requirements
            if requirement.operator in (Operator.EQUALS, Operator.DOUBLE_EQUALS, Operator.IN)
            and len(requirement.values) == 1
        }

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING = Selector()


def parse_selector(text: str) -> Selector:
    """The selector that this text spells; raises `SelectorError`."""
    if len(text) > MAX_SELECTOR_CHARS:
        raise SelectorError(
            f"label selector is {len(text)} characters long; at most {MAX_SELECTOR_CHARS} are accepted"
        )
    if "\0" in text:
        raise SelectorError(f"label selector: found a NUL byte at character {text.index(chr(0)) + 1}")
    return Selector(tuple(sorted(_Parser(text).selector(), key=lambda requirement: requirement.key)))


_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!(),<>]|[^ \t\r\n=!(),<>]+)")
_SYMBOLS = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">"))
_BINARY = {str(operator): operator for operator in Operator if operator not in ("exists", "!")}
_END = ""
"""The token after the last one: no other token is empty."""


class _Parser:
    """Recursive descent over the tokens; one method a rule, each stops after what it read."""

    def __init__(self, text: str) -> None:
        self._tokens = [(found.group(1), found.start(1)) for found in _TOKEN.finditer(text)]
        self._tokens.append((_END, len(text)))
        self._position = 0

    def selector(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        different: set[Requirement] = set()
        while self._peek() != _END:
            requirements.append(self._requirement())
            different.add(requirements[-1])
            if len(different) > MAX_REQUIREMENTS:
                raise SelectorError(
                    f"label selector: more than {MAX_REQUIREMENTS} requirements; list values with in (...)"
                )
            separator = self._take()
            if separator == _END:
                break
            if separator != ",":
                raise self._error("',' or the end of the selector")
            if self._peek() == _END:
                self._take()
                raise self._error("a label key after ','")
        return requirements

    def _requirement(self) -> Requirement:
        negated = self._peek() == "!"
        if negated:
            self._take()
        key = self._take()
        if not _is_word(key):
            raise self._error("a label key" if negated else "a label key or '!'")
        self._check(key_problem(key), f"label key {_quote(key)}")
        if negated:
            return Requirement(key, Operator.DOES_NOT_EXIST)
        if self._peek() in (_END, ","):
            return Requirement(key, Operator.EXISTS)
        operator = _BINARY.get(self._take())
        if operator is None:
            raise self._error(f"one of {', '.join(_BINARY)} after label key {_quote(key)}")
        values = self._value_set() if operator in (Operator.IN, Operator.NOT_IN) else (self._exact_value(),)
        if operator in (Operator.GREATER_THAN, Operator.LESS_THAN) and _int64(values[0]) is None:
            raise SelectorError(
                f"label selector: {_quote(key)} {operator} {_quote(values[0])} compares with no integer;"
                " a 64-bit decimal integer is accepted"
            )
        return Requirement(key, operator, values)

    def _exact_value(self) -> str:
        if self._peek() in (_END, ","):
            return ""
        value = self._take()
        if not _is_word(value):
            raise self._error("a label value")
        self._check(value_problem(value), f"label value {_quote(value)}")
        return value

    def _value_set(self) -> tuple[str, ...]:
        if self._take() != "(":
            raise self._error("'('")
        values = {self._set_member()}
        while (separator := self._take()) != ")":
            if separator != ",":
                raise self._error("',' or ')'")
            values.add(self._set_member())
        return tuple(sorted(values))

    def _set_member(self) -> str:
        """A value, or the empty one that stands before `,` and `)`."""
        if self._peek() in (",", ")"):
            return ""
        value = self._take()
        if not _is_word(value):
            raise self._error("a label value, ',' or ')'")
        self._check(value_problem(value), f"label value {_quote(value)}")
        return value

    def _peek(self) -> str:
        return self._tokens[self._position][0]

    def _take(self) -> str:
        token = self._tokens[self._position][0]
        self._position += 1
        return token

    def _error(self, accepted: str) -> SelectorError:
        """About the token just taken."""
        token, offset = self._tokens[self._position - 1]
        found = "the end" if token == _END else f"{_quote(token)} at character {offset + 1}"
        return SelectorError(f"label selector: found {found}, expected {accepted}")

    def _check(self, problem: str | None, what: str) -> None:
        if problem is not None:
            offset = self._tokens[self._position - 1][1]
            raise SelectorError(f"label selector: {what} at character {offset + 1} {problem}")


_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?\Z")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}\Z")
_NAME_SYNTAX = "letters, digits, '-', '_' and '.', starting and ending with a letter or digit"


def key_problem(key: str) -> str | None:
    """What makes this no label key, to be read after the key's name, or None."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return "has more than one '/': an optional DNS prefix, '/' and a name are accepted"
    if slash and not prefix:
        return "has an empty prefix before '/'"
    if len(prefix) > MAX_PREFIX_CHARS:
        return f"has a prefix of more than {MAX_PREFIX_CHARS} characters"
    if slash and not _DNS_SUBDOMAIN.match(prefix):
        return "has a prefix that is no DNS name: lower-case letters, digits, '-' and '.' are accepted"
    if len(name) > MAX_NAME_CHARS:
        return f"has a name of more than {MAX_NAME_CHARS} characters"
    if not _NAME.match(name):
        return f"is no label key: {_NAME_SYNTAX} are accepted"
    return None


def value_problem(value: str) -> str | None:
    """What makes this no label value, to be read after the value, or None."""
    if len(value) > MAX_NAME_CHARS:
        return f"has more than {MAX_NAME_CHARS} characters"
    if value and not _NAME.match(value):
        return f"is no label value: {_NAME_SYNTAX} are accepted (no '/' and no ':')"
    return None


def _is_word(token: str) -> bool:
    return token != _END and token not in _SYMBOLS


def _int64(text: str | None) -> int | None:
    if text is None or not _INTEGER.match(text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _quote(text: str) -> str:
    """At most 40 characters, control characters escaped: the message may end in somebody's terminal."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")
