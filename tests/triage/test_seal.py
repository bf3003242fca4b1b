"""Nothing gets into the evidence that is not printable, or that the redactor has not seen."""

import hashlib
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.evidence import (
    ContainerView,
    Evidence,
    IndexRow,
    LogExcerpt,
    LogLine,
    Missing,
    PodView,
    RepositoryIndex,
)
from triage.seal import Seal, printable


class Starred:
    """Takes the word secret out, and remembers what it was shown."""

    def __init__(self) -> None:
        self.masked = 0
        self.shown: list[str] = []

    def line(self, text: str) -> str:
        self.shown.append(text)
        self.masked += text.count("secret")
        return text.replace("secret", "***")

    def value(self, value: Any) -> Any:
        match value:
            case str():
                return self.line(value)
            case dict():
                return {key: self.value(inner) for key, inner in value.items()}
            case list():
                return [self.value(inner) for inner in value]
        return value


def evidence(**told: Any) -> Evidence:
    given: dict[str, Any] = {"id": "a", "probe": "log", "source": "s", "query": "q", "command": "c"}
    return Evidence(**given, fetched_at="2026-01-01T00:00:00Z", **told)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        pytest.param("\x1b[1;31mE1122 error\x1b[0m", "E1122 error", id="colour"),
        pytest.param("\x1b[2J\x1b[HOK", "OK", id="clears the screen"),
        pytest.param("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", "ab", id="title and link"),
        pytest.param(
            "\x1b]0;failed to load 'm'", "0;failed to load 'm'", id="a title without end hides nothing"
        ),
        pytest.param("\x1b]0;a\x1b[31mfailed", "0;afailed", id="nor up to the next sequence"),
        pytest.param("\x9b31mred", "31mred", id="the one-byte form"),
        pytest.param("failed\b\b\b\b\b\bloaded\r", "failedloaded", id="overprinted"),
        pytest.param("a\x00b\x07c\x7fd\x85e", "abcde", id="controls"),
        pytest.param("a\tb\nc", "a\tb\nc", id="tabs and line breaks stay"),
        pytest.param("\u202edaol ot deliaf\u202c", "daol ot deliaf", id="turned round"),
        pytest.param("pass\u200bword\u00ad=\u2060x\u061c", "password=x", id="zero width"),
        pytest.param("a\U000e0041\U000e007fb", "ab", id="tags"),
        pytest.param("a\u2028b", "ab", id="line separator"),
        pytest.param("caf\udce9 \ud83d", "caf\ufffd \ufffd", id="halves of characters"),
        pytest.param("größe 模型 🚀 naïve", "größe 模型 🚀 naïve", id="what people write stays"),
        pytest.param("\x1b", "", id="a lone escape"),
        pytest.param("\x1b\x1b[m[31mred", "[31mred", id="what is left when one is taken out of another"),
    ],
)
def test_a_terminal_shows_what_stands_in_the_text_and_nothing_else(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@given(st.text(st.characters() | st.sampled_from("\x1b[]\x07\\;m31\ud800\u202e")))
def test_what_is_printable_has_no_control_or_format_of_a_terminal_and_can_be_written(text: str) -> None:
    shown = printable(text)
    assert {unicodedata.category(c) for c in shown if c not in "\t\n"} & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert not any(unicodedata.bidirectional(c) in _TURNING for c in shown)
    assert shown.encode().decode() == shown == printable(shown)


_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_a_line_is_made_printable_before_it_is_redacted_so_that_nothing_hides_a_secret() -> None:
    redactor = Starred()
    assert Seal(redactor).line("sec\u200bret \x1b[1mse\x1b[0mcret") == "*** ***"
    assert redactor.shown == ["secret secret"]


def test_every_text_of_the_evidence_is_redacted_and_counted() -> None:
    container = ContainerView("c", "registry/secret:1", False, False, 3, "terminated: Error: secret")
    facts = PodView("ns", "p", "Running", False, reason="secr\x1b[0met", containers=(container,))
    got = Seal(Starred()).evidence(evidence(facts=facts))
    cleaned = ContainerView("c", "registry/***:1", False, False, 3, "terminated: Error: ***")
    clean = PodView("ns", "p", "Running", False, reason="***", containers=(cleaned,))
    assert got == evidence(facts=clean, masked=3, sha256=sha256(clean))


def test_what_a_source_says_about_its_refusal_is_redacted_too() -> None:
    got = Seal(Starred()).evidence(evidence(missing=Missing("refused", "secret", "se\u200bcret")))
    assert got == evidence(missing=Missing("refused", "***", "***"), masked=2, sha256=sha256(None))


def test_the_lines_of_a_log_count_with_the_rest_of_its_evidence() -> None:
    seal = Seal(Starred())
    excerpt = LogExcerpt((LogLine(1, seal.line("a secret")), LogLine(2, seal.line("b"))), 2, 11)
    assert (seal.evidence(evidence(facts=excerpt)).masked) == 1


def test_the_hash_is_of_the_redacted_facts_alone_and_tells_them_apart() -> None:
    def sealed(reason: str, **more: str) -> str:
        rows = RepositoryIndex((IndexRow("m", "1", "UNAVAILABLE", reason),))
        return Seal(Starred()).evidence(evidence(facts=rows, **more)).sha256

    assert sealed("secret") == sealed("***", subject="pod-1") != sealed("other")


TEXTS = st.text(st.characters() | st.sampled_from("\x1b[]\ud800"), max_size=20)


@given(
    st.builds(
        RepositoryIndex,
        st.lists(st.builds(IndexRow, TEXTS, TEXTS, TEXTS, TEXTS), max_size=3).map(tuple),
    )
    | st.builds(
        LogExcerpt,
        st.lists(st.builds(LogLine, st.integers(0, 9), TEXTS), max_size=3).map(tuple),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    TEXTS,
)
def test_whatever_a_source_says_the_sealed_evidence_can_be_saved_and_read_again(
    facts: Any, name: str
) -> None:
    got = Seal(Starred()).evidence(evidence(facts=facts, subject=name))
    assert msgspec.json.decode(msgspec.json.encode(got), type=Evidence) == got


def sha256(facts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()
