"""Files with mistakes: all at once, each with its line and column and what would be right; never a traceback."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from telemetry.durations import Seconds, parse_duration
from telemetry.located_yaml import InvalidFileError, Problem, parse_located, read_located


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    every: Seconds = 1.0


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    parts: tuple[Part, ...]
    port: int = 1


class Text(BaseModel):
    kind: Literal["text"]
    words: tuple[str, ...] = Field(min_length=1)


class Number(BaseModel):
    kind: Literal["number"]
    number: float
    among: tuple[float, ...]


class Either(BaseModel):
    value: Annotated[Text | Number, Field(discriminator="kind")]


def problems(text: str, model: type[BaseModel] = Whole) -> list[str]:
    with pytest.raises(InvalidFileError) as caught:
        parse_located(model, text, "f.yaml")
    return [f"{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


def test_a_right_file_is_its_model() -> None:
    whole = parse_located(Whole, "parts:\n- name: a\n  every: 500ms\n", "f.yaml")
    assert whole == Whole.model_construct(parts=(Part.model_construct(name="a", every=0.5),), port=1)


def test_every_mistake_is_told_at_once_in_the_order_of_the_lines() -> None:
    text = "parts:\n- nam: a\n  every: 5\n- name: 3\nport: many\nport: 2\nprot: 1\n"
    assert problems(text) == [
        "2:3: 'name' is missing here; add it",
        "2:3: unknown key 'nam'; did you mean 'name'?",
        "3:3: every: expected a duration above zero, such as 500ms, 5s, 2m or 1h (got 5)",
        "4:3: name: input should be a valid string (got 3)",
        "6:1: 'port' is given twice; keep one",
        "7:1: unknown key 'prot'; did you mean 'port'?",
    ]


def test_a_key_that_is_right_elsewhere_is_not_offered_for_itself() -> None:
    assert problems("parts: []\nname: a\n") == ["2:1: unknown key 'name'; remove it"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{kind: text, words: [1]}", "1:29: 0: input should be a valid string (got 1)"),
        ("{kind: text, words: []}", "1:21: words: tuple should have at least 1 item after validation, not 0"),
        ("{kind: number, number: 1, among: [a]}", "1:42: 0: input should be a valid number, unable to parse"),
        ("{number: 1}", "1:1: 'kind' is missing here; add it"),
    ],
)  # fmt: skip
def test_a_mistake_in_one_of_several_kinds_is_told_once_and_where_it_stands(value: str, problem: str) -> None:
    assert [told[: len(problem)] for told in problems(f"value: {value}\n", Either)] == [problem]


def test_a_mistake_shows_the_persons_own_line() -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse_located(Whole, "parts: []\n  \nprot: 1\n", "f.yaml")
    assert str(caught.value) == "f.yaml:3:1: unknown key 'prot'; did you mean 'port'?\n    prot: 1\n    ^"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("hello\n", "1:1: the file: input should be a valid dictionary or instance of Whole (got 'hello')"),
        ("- 1\n", "1:1: the file: input should be a valid dictionary or instance of Whole"),
        ("parts: [\n", "2:1: not valid YAML: did not find expected node content"),
        ("parts:\n\t- name: a\n", "2:1: not valid YAML: found character that cannot start any token"),
        ("parts: []\n---\nparts: []\n", "2:1: not valid YAML: but found another document"),
        ("parts: !!python/object:os.system []\n", "1:8: not valid YAML: could not determine a constructor for the tag"),
        ("parts: []\n? [a]\n: 1\n", "2:3: not valid YAML: found unhashable key"),
        ("parts: *nowhere\n", "1:8: not valid YAML: found undefined alias"),
        ("parts: []\nport: 1 \x07\n", "1:1: not valid YAML: control characters are not allowed"),
        (f"parts: {'[' * 3000}{']' * 3000}\n", "1:1: nested too deeply to be a file of ours"),
        ("parts: []\nport: 2026-13-45\n", "2:7: not valid YAML: a date or a number that there is not; put it in quotes"),
        (f"parts: []\nport: {'9' * 5000}\n", "2:7: not valid YAML: a date or a number that there is not"),
        ("parts: [!!timestamp now]\n", "1:9: not valid YAML: a date or a number that there is not"),
        ("parts: &a [*a]\n", "1:8: an alias may not stand inside its own anchor"),
    ],
)  # fmt: skip
def test_what_is_not_a_file_of_ours_is_a_problem_with_a_place(text: str, problem: str) -> None:
    assert [told[: len(problem)] for told in problems(text)] == [problem]


def test_aliases_of_aliases_cost_no_time() -> None:
    """A file of ten lines that would unfold to a thousand million nodes."""
    lines = ["a0: &a0 [1]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert "unknown key 'a0'" in problems("parts: []\n" + "\n".join(lines) + "\n")[0]


@pytest.mark.parametrize("name", ["yes", "1.0", "0123", "null", "2026-01-01"])
def test_a_name_that_yaml_reads_as_something_else_is_refused_and_not_guessed(name: str) -> None:
    assert problems(f"parts:\n- name: {name}\n")[0].startswith("2:3: name: input should be a valid string")


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"parts: \xe9\n")
    for name in ("nowhere.yaml", "latin.yaml"):
        with pytest.raises(InvalidFileError, match="cannot be read as UTF-8 text"):
            read_located(Whole, tmp_path / name)


def test_problems_are_in_the_order_of_files_and_lines() -> None:
    mixed = [Problem("b", 1, 1, "x"), Problem("a", 10, 1, "y"), Problem("a", 9, 2, "z")]
    assert [p.message for p in InvalidFileError(mixed).problems] == ["z", "y", "x"]


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("5s", 5), ("1.5m", 90), ("2h", 7200)])
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["5", 5, True, None, "-5s", "0s", "5 s", "5S", "1d", "s", "1e3s", "infs", ""]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="500ms, 5s, 2m or 1h"):
        parse_duration(text)
