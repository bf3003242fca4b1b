import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.log_lines import LineJoiner, read_string

HEADER = "E0102 03:04:05.000006 1 model_lifecycle.cc:654] "


def said(*lines: str) -> list[str]:
    joiner = LineJoiner()
    whole = [line.text for number, raw in enumerate(lines, 1) for line in joiner.feed(number, raw)]
    return whole + [line.text for line in joiner.close()]


@pytest.mark.parametrize(
    "prefix",
    [
        pytest.param("2024-05-06T07:08:09.123456789Z ", id="kubectl --timestamps"),
        pytest.param("2024-05-06T07:08:09.123456789+02:00 stderr F ", id="CRI"),
        pytest.param("[pod/triton-7d9f-x2x/server] ", id="kubectl --prefix"),
        pytest.param(
            "[pod/triton-7d9f-x2x/server] 2024-05-06T07:08:09.1Z ", id="kubectl --prefix --timestamps"
        ),
        pytest.param("[1,0]<stderr>:", id="mpirun --tag-output"),
    ],
)
@pytest.mark.parametrize(
    "text", [HEADER + "failed", "  File model.py, line 3", "2024-05-06T07:08:09Z I 1 server.cc:1] up"]
)
def test_what_a_runtime_or_kubectl_puts_before_a_line_is_taken_off(prefix: str, text: str) -> None:
    assert said(prefix + text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2024-05-06T07:08:09Z E 1 server.cc:1] down", id="Triton's own ISO8601 time"),
        pytest.param("[pod] out of memory", id="somebody's brackets"),
        pytest.param('{"log": {"level": "info"}}', id="another JSON log"),
        pytest.param('{"log":' + "[" * 20_000, id="JSON too deep to read"),
        pytest.param('{"log":7}', id="a number"),
        pytest.param("\N{REPLACEMENT CHARACTER}\x01PNG", id="garbage"),
    ],
)
def test_a_line_of_another_form_stays_as_it_is(text: str) -> None:
    assert said(text) == [text]


def test_a_blank_line_whose_trailing_space_was_trimmed_is_blank() -> None:
    assert said("2024-05-06T07:08:09.1Z", "2024-05-06T07:08:09.1Z stderr F") == ["", ""]


def test_cri_parts_are_joined_by_stream() -> None:
    """stdout writes between the two halves of a line on stderr."""
    assert said(
        "2024-05-06T07:08:09.1Z stderr P failed to ",
        "2024-05-06T07:08:09.2Z stdout F hello",
        "2024-05-06T07:08:09.3Z stderr F load",
    ) == ["hello", "failed to load"]


def test_the_log_may_end_within_a_line() -> None:
    assert said("2024-05-06T07:08:09.1Z stderr P out of mem") == ["out of mem"]


def test_a_joined_line_stands_where_its_first_part_does() -> None:
    joiner = LineJoiner()
    assert list(joiner.feed(7, "2024-05-06T07:08:09.1Z stderr P out ")) == []
    (line,) = joiner.feed(8, "2024-05-06T07:08:09.2Z stderr F of memory")
    assert (line.number, line.raw) == (7, "2024-05-06T07:08:09.1Z stderr P out of memory")


def test_parts_without_an_end_are_given_up_at_a_mebibyte() -> None:
    parts = ["2024-05-06T07:08:09.1Z stderr P " + "x" * 30_000] * 100
    assert [len(line) for line in said(*parts)] == [1_050_000, 1_050_000, 900_000]


def test_docker_parts_are_joined_and_whole_lines_are_not() -> None:
    long = HEADER + "x" * ((16 << 10) - len(HEADER))
    assert said(
        json.dumps({"log": long, "stream": "stderr"}, separators=(",", ":")),
        json.dumps({"log": "tail\n", "stream": "stderr"}, separators=(",", ":")),
        '{"log":"no line break, as fluent-bit writes it","stream":"stderr"}',
        '{"log":"next\\n","stream":"stderr"}',
    ) == [long + "tail", "no line break, as fluent-bit writes it", "next"]


def test_a_docker_line_that_was_cut_still_says_its_beginning() -> None:
    assert said('{"log":"out of memory\\tat ser [cut]') == ["out of memory\tat ser"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (r'"a \"b\"\nc"', 'a "b"\nc'),
        ('"ends within', "ends within"),
        (r'"ends within an escape\u00', r"ends within an escape\u00"),
        (r'"\u001b[31mred\u001b[0m \u202eflip"', "red flip"),
        (r'"lone \ud800"', "lone \ufffd"),
        ('"one" and "two"', None),
        ("plain", None),
        ("", None),
    ],
)
def test_a_json_string_says_printable_text(text: str, told: str | None) -> None:
    assert read_string(text) == told


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["stdout", "stderr"]),
            st.sampled_from("PF"),
            st.text(st.characters(exclude_categories=["Cs"])),
        )
    )
)
def test_no_text_is_lost(parts: list[tuple[str, str, str]]) -> None:
    lines = [f"2024-05-06T07:08:09.1Z {stream} {part} {text}" for stream, part, text in parts]
    joined = "".join(said(*lines))
    assert sorted(joined) == sorted("".join(text for _, _, text in parts))


@given(st.text(st.sampled_from('"\\ud80n{}[]log: \x1b')))
def test_whatever_stands_in_docker_json_is_text_that_can_be_written(text: str) -> None:
    for line in said('{"log":' + text, '{"log":"' + text):
        line.encode()
