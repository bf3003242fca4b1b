"""YAML files checked against a pydantic model, with every mistake at its file, line and column, all at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
_Path = tuple[str | int, ...]
NOT_SHOWN = "not_shown"
"""The type of a model's own error (`PydanticCustomError`) about a value that must not be shown again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{where}\n    {self.source}\n    {' ' * (self.column - 1)}^" if self.source.strip() else where


class InvalidFileError(Exception):
    """A file that must not be used; `problems` are all of its mistakes, in the order of its lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column))
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type["InvalidFileError"], tuple[Sequence[Problem]]]:
        return type(self), (self.problems,)  # a worker process may raise it


def read_located(model: type[Model], path: Path, context: object = None) -> Model:
    """The file as `model`, whose validators see `context`. Raises InvalidFileError; a file that cannot be read is a problem at
    line 1."""
    return parse_located(model, read_text(path), str(path), context)


def read_text(path: Path) -> str:
    """The file's text. Raises InvalidFileError with a problem at line 1."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFileError(
            [Problem(str(path), 1, 1, f"cannot be read as UTF-8 text: {error}")]
        ) from error


def parse_located(model: type[Model], text: str, file: str, context: object = None) -> Model:
    """The text of `file` as `model`. Raises InvalidFileError."""
    lines = text.splitlines()

    def problem(line: int, column: int, message: str) -> Problem:
        return Problem(file, line + 1, column + 1, message, lines[line] if line < len(lines) else "")

    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        if root is None:
            raise InvalidFileError([problem(0, 0, "the file is empty")])
        marks: dict[_Path, yaml.Mark] = {}
        repeated, circular = _collect_marks(root, marks)
        if circular:
            raise InvalidFileError(
                [problem(m.line, m.column, "an alias may not stand inside its own anchor") for m in circular]
            )
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except RecursionError:
        raise InvalidFileError([problem(0, 0, "nested too deeply to be a file of ours")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        raise InvalidFileError([problem(line, column, f"not valid YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:  # of the reader, before there are marks
        said = getattr(error, "reason", "it cannot be read")
        raise InvalidFileError([problem(0, 0, f"not valid YAML: {said}")]) from error
    problems = [
        problem(mark.line, mark.column, f"{key!r} is given twice; keep one") for key, mark in repeated
    ]
    try:
        result = model.model_validate(data, context=context)
    except ValidationError as error:
        for detail in _first_causes(error.errors(include_url=False)):
            mark = _nearest(detail["loc"], marks)
            told = problem(mark.line, mark.column, _say(detail, model, data))
            problems.append(replace(told, source="") if detail["type"] == NOT_SHOWN else told)
        raise InvalidFileError(problems) from error
    if problems:
        raise InvalidFileError(problems)
    return result


class _Loader(yaml.CSafeLoader):
    """Says where a value stands that looks like a date or a number, or is tagged as one, and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, ArithmeticError, LookupError, AttributeError) as error:
            said = "a date or a number that there is not; put it in quotes"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark) from error


def _collect_marks(
    root: yaml.Node, marks: dict[_Path, yaml.Mark]
) -> tuple[list[tuple[str, yaml.Mark]], list[yaml.Mark]]:
    """Fills `marks` with where each value (each key, in a mapping) begins; returns keys given twice, and where a node
    contains itself. An aliased node is walked once, since aliases of aliases unfold without bound."""
    repeated: list[tuple[str, yaml.Mark]] = []
    circular: list[yaml.Mark] = []
    walked: set[int] = set()
    above: set[int] = set()

    def walk(node: yaml.Node, path: _Path) -> None:
        marks.setdefault(path, node.start_mark)
        if id(node) in above:
            circular.append(node.start_mark)
        if id(node) in walked:
            return
        walked.add(id(node))
        above.add(id(node))
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
                if name in seen:
                    repeated.append((name, key.start_mark))
                seen.add(name)
                marks[(*path, name)] = key.start_mark
                walk(value, (*path, name))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                walk(value, (*path, index))
        above.discard(id(node))

    walk(root, ())
    return repeated, circular


def _first_causes(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without lists that are told to be too short for the mistakes inside them."""
    return [
        detail
        for detail in details
        if detail["type"] != "too_short"
        or not any(other["loc"][:-1][: len(detail["loc"])] == detail["loc"] for other in details)
    ]


def _nearest(loc: tuple[str | int, ...], marks: dict[_Path, yaml.Mark]) -> yaml.Mark:
    """The mark of the longest part of `loc` that stands in the file; pydantic adds union tags of its own, which may be called as a
    key is."""
    paths: list[_Path] = [()]
    for part in loc:
        paths = [longer for path in paths if (longer := (*path, part)) in marks] + paths
    return marks[max(paths, key=len)]


def _say(detail: ErrorDetails, model: type[BaseModel], data: object) -> str:
    """The mistake in a person's words, with what would be right."""
    loc, kind = detail["loc"], detail["type"]
    name = str(loc[-1]) if loc else "the file"
    if kind == "extra_forbidden":
        near = get_close_matches(name, _known_fields(model) - {name}, 1)  # it may be right elsewhere
        return f"unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; remove it")
    if kind == "union_tag_not_found":
        return f"{detail['ctx']['discriminator']} is missing here; add it"
    if kind == "missing":
        return f"{name!r} is missing here; add it"
    given = detail["input"]
    said = detail["msg"].removeprefix("Value error, ")
    tellable = isinstance(given, str | int | float | bool) and kind != NOT_SHOWN
    shown = f" (got {given!r:.80})" if tellable else ""
    return f"{name}: {said[:1].lower() + said[1:]}{shown}"


def _known_fields(model: type[BaseModel]) -> set[str]:
    """Every key of the model and of the models inside it: enough to guess what a misspelt key meant."""
    names: set[str] = set()

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            properties = schema.get("properties")
            if isinstance(properties, dict):
                names.update(properties)
            for value in schema.values():
                walk(value)
        elif isinstance(schema, list):
            for value in schema:
                walk(value)

    walk(model.model_json_schema())
    return names
