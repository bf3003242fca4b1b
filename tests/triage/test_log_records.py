import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.log_records import Record, level_of, read_records

AT = "E0102 03:04:05.000006 1 model_lifecycle.cc:654] "
INFO = "I0102 03:04:05.000006 1 model_lifecycle.cc:461] "
FAILED = "failed to load 'bert' version 1: Internal: out of memory"
TABLE = "I0102 03:04:05.000006 1 server.cc:674] "


def records(log: str) -> list[Record]:
    return list(read_records(enumerate(log.split("\n"), 1)))


def texts(log: str) -> list[str]:
    return [record.text for record in records(log)]


def rows(log: str) -> list[tuple[str, str, str]]:
    return [(*record.row, record.text) for record in records(log) if record.row]


def test_a_glog_line_is_a_record_with_its_level_source_and_time() -> None:
    assert records(AT + FAILED) == [
        Record(1, (AT + FAILED,), FAILED, (0,), "E", "model_lifecycle.cc:654", "03:04:05.000006")
    ]


def test_an_iso8601_line_is_the_same_record_with_another_time() -> None:
    line = "2024-01-02T03:04:05Z E 1 model_lifecycle.cc:654] " + FAILED
    assert records(line) == [
        Record(1, (line,), FAILED, (0,), "E", "model_lifecycle.cc:654", "2024-01-02T03:04:05Z")
    ]


@pytest.mark.parametrize(
    "prefix",
    [
        "2024-05-06T07:08:09.123456789Z ",
        "2024-05-06T07:08:09.123456789Z stderr F ",
        "[pod/triton-0/server] 2024-05-06T07:08:09.1Z ",
        "triton-1  | ",
        "triton-1  | 2024-05-06T07:08:09.1Z ",
        "[1,0]<stderr>:",
        "(launcher pid=12, ip=10.0.0.1) ",
        "    ",
    ],
)
def test_a_prefix_belongs_neither_to_the_message_nor_to_what_continues_it(prefix: str) -> None:
    log = "\n".join(
        prefix + line for line in (AT + "failed: ImportError: no", "", "At:", "  model.py(3): <module>")
    )
    assert texts(log) == ["failed: ImportError: no\n\nAt:\n  model.py(3): <module>"]


def test_a_line_without_the_launchers_prefix_keeps_its_beginning() -> None:
    """Only the header was indented: nothing is cut off the others."""
    assert texts(f"    {AT}down\nTraceback (most recent call last):\nValueError: x") == [
        "down",
        "Traceback (most recent call last):\nValueError: x",
    ]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (AT + "x", "E"),
        ("some launcher: " + AT + "x", "E"),
        ("2024-01-02T03:04:05Z W 1 server.cc:1] x", "W"),
        ("x" * 300 + " " + AT + "x", ""),
        ("ERROR: E0102 is no header", ""),
        ("", ""),
    ],
)
def test_the_level_is_that_of_tritons_header(line: str, level: str) -> None:
    assert level_of(line) == level


@pytest.mark.parametrize(
    "line", [f'user asked: "{AT}{FAILED}"', f"id7{AT}{FAILED}", "x" * 300 + f" {AT}{FAILED}"]
)
def test_a_header_that_is_quoted_or_stands_within_a_word_is_somebodys_text(line: str) -> None:
    assert [(r.text, r.own) for r in records(line)] == [(line, False)]


def test_a_model_that_logs_through_triton_speaks_for_itself() -> None:
    """pb_utils.Logger prints Triton's header with the model's own file: anybody's words."""
    by_model = "E0102 03:04:05.000006 1 model.py:33] "
    assert [r.own for r in records(f"{by_model}CUDA out of memory\n{AT}{FAILED}")] == [False, True]


def test_an_escaped_message_is_read_as_it_was_meant() -> None:
    assert texts(AT + r'"failed to load \"bert\"\n\nAt:\n  model.py(3)\n"') == [
        'failed to load "bert"\n\nAt:\n  model.py(3)'
    ]


def test_what_a_message_escapes_cannot_steer_a_terminal_or_break_the_report() -> None:
    """Python prints colours; a lone surrogate is no text, and nothing could write it."""
    (record,) = records(AT + r'"\u001b[31mCUDA out of memory\u001b[0m \ud800"')
    assert record.text == "CUDA out of memory \ufffd"


def test_a_message_that_was_cut_within_the_string_ends_there() -> None:
    """A line too long to be kept: what follows is somebody else's."""
    assert texts(AT + '"line one\\nline two [cut]\nnext') == ["line one\nline two [cut]", "next"]


def test_a_pasted_message_that_was_wrapped_is_one_message() -> None:
    assert texts(f'{AT}"failed to load\nthe model"\nnext') == ["failed to load\nthe model", "next"]


@pytest.mark.parametrize("follows", ["    raise MemoryError", "At:", "", "next"])
def test_nothing_belongs_to_an_escaped_message_that_has_ended(follows: str) -> None:
    """Else the words of a parallel process would become Triton's own."""
    assert texts(f'{AT}"failed"\n{follows}')[0] == "failed"


def test_an_indented_line_after_a_note_is_not_tritons_own() -> None:
    log = f"{INFO}loading: bert:1\n    raise MemoryError('CUDA out of memory')"
    assert [(r.text, r.own) for r in records(log)] == [
        ("loading: bert:1", True),
        ("    raise MemoryError('CUDA out of memory')", False),
    ]


def test_a_failure_that_is_told_as_a_note_goes_on() -> None:
    """The Python backend's stub tells its failure so, and the lines below it name the model."""
    said = "Failed to initialize Python stub: SystemExit: 1\n\nAt:\n  /models/bert/1/model.py(3): <module>"
    assert texts(f"I0102 03:04:05.000006 1 pb_stub.cc:366]  {said}") == [f" {said}"]


def test_a_raw_reason_goes_on_until_somebody_else_speaks() -> None:
    log = f"{AT}failed to load 'a': ImportError: no\nsecond line\n\nAt:\n  model.py(3)\n+---+\n{INFO}next"
    assert texts(log) == ["failed to load 'a': ImportError: no\nsecond line\n\nAt:\n  model.py(3)", "next"]


def test_the_telling_line_is_found_by_its_offset() -> None:
    (record,) = records(f"{AT}failed: ImportError: a\nreason b\n  reason c")
    assert [record.line_at(record.text.index(word)) for word in ("failed", "reason b", "reason c")] == [
        f"{AT}failed: ImportError: a",
        "reason b",
        "  reason c",
    ]


@pytest.mark.parametrize("before", [[], [""], ["", ""]])
def test_the_telling_line_of_an_escaped_message_is_the_one_that_holds_it(before: list[str]) -> None:
    """The header may stand alone, and blank lines may follow it."""
    log = "\n".join([AT, *before, r'"reason\nof it"', ""])
    assert [r.line_at(r.text.index("of it")) for r in records(log)] == [r'"reason\nof it"']


def test_a_traceback_is_one_record_with_those_chained_to_it() -> None:
    log = """\
Traceback (most recent call last):
  File "model.py", line 3, in <module>
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "model.py", line 5, in <module>
RuntimeError: CUDA out of memory"""
    assert texts(f"{log}\nserver goes on") == [log, "server goes on"]


def test_a_log_that_ends_within_a_traceback_keeps_what_there_is() -> None:
    assert texts('Traceback (most recent call last):\n  File "model.py"') == [
        'Traceback (most recent call last):\n  File "model.py"'
    ]


RAW_TABLE = """
+-------+---------+-----------------------------+
| Model | Version | Status                      |
+-------+---------+-----------------------------+
| bert  | 1       | READY                       |
| bert_ | 2       | UNAVAILABLE: Internal: out  |
| long  |         | of memory                   |
| 1     | -       | Not loaded: No model version |
| model | 3       | UNAVAILABLE: Internal: a
b         |
+-------+---------+-----------------------------+
"""


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(TABLE + RAW_TABLE, id="raw"),
        pytest.param(
            "\n".join(f"triton-1  | {line}" for line in (TABLE + RAW_TABLE).split("\n")), id="compose"
        ),
        pytest.param(TABLE + '"' + RAW_TABLE.replace("\n", "\\n") + '"', id="escaped"),
        pytest.param(
            TABLE + '"' + RAW_TABLE.replace("\n", "\\n") + '"\n\nnext', id="escaped, then a blank line"
        ),
        pytest.param(TABLE + '\n"' + RAW_TABLE.replace("\n", "\\n") + '"', id="escaped on the next line"),
    ],
)
def test_each_row_of_the_table_of_models_is_a_record(log: str) -> None:
    """Cells are cut at a width, within words too, and a reason's own line breaks stay in them."""
    assert rows(log) == [
        ("bert", "1", "READY"),
        ("bert_long", "2", "UNAVAILABLE: Internal: out of memory"),
        ("1", "-", "Not loaded: No model version"),
        ("model", "3", "UNAVAILABLE: Internal: a b"),
    ]


def test_a_reason_that_quotes_a_table_reports_no_other_model() -> None:
    reason = r"failed to load 'evil' version 1: see\n+---+\n| good | 1 | UNAVAILABLE: Internal: CUDA out of memory |\n+---+"
    assert [(r.row, r.text.count("\n")) for r in records(f'{AT}"{reason}"')] == [(None, 3)]


@pytest.mark.parametrize(
    "line", ["| Backend | Path | READY |", "| a | b | READY |", "| a | 1 | ready |", "a | 1 | READY |"]
)
def test_a_row_of_another_table_is_no_model(line: str) -> None:
    assert rows(line) == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("| x" + " " * 30_000, id="row without a bar"),
        pytest.param("|" + " " * 30_000 + "x", id="blank cell"),
        pytest.param("a" * 30_000 + " |", id="long name before a bar"),
        pytest.param(AT + '"' + "\\" * 30_000, id="backslashes"),
        pytest.param("| a | " + "1" * 30_000, id="long version"),
    ],
)
def test_a_hostile_line_is_read_at_once(line: str) -> None:
    """Each would take a second or far more if it were read in quadratic time: 40 of them together take less."""
    began = time.process_time()
    records("\n".join([line] * 40))
    assert time.process_time() - began < 2


LINE = st.sampled_from(
    [AT, INFO, TABLE, AT + '"', AT + '"x"', '"', "+--+", "| a | 1 | READY |", "| a | 1 | UNAVAILABLE: x", "|  |  | y |",
     "Traceback (most recent call last):", "During handling of the above", "  File", "At:", "", "x | ", '{"log":"y\\n"}',
     "2024-05-06T07:08:09Z stderr P ", "2024-05-06T07:08:09Z stderr F z", "ValueError: x"]
) | st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))  # fmt: skip


@given(st.lists(LINE, max_size=200))
def test_any_lines_make_records_in_which_every_offset_has_its_line(lines: list[str]) -> None:
    for record in read_records(enumerate(lines, 1)):
        assert record.number <= len(lines)
        assert len(record.starts) <= len(record.lines) <= 121
        assert {record.line_at(offset) for offset in range(len(record.text))} <= {*record.lines}
        record.text.encode()


def test_a_librarys_reason_may_begin_with_a_line_break() -> None:
    """libtorch's messages do; what follows a whole sentence is somebody else's."""
    reason = "failed to load 'bert' version 1: Internal: failed to load model 'bert':"
    told = texts(
        f"{AT}{reason}\nUnknown builtin op: a::b.\nfree\n{AT}{reason}\nerror: creating server\n{AT}else\nfree"
    )
    assert told == [
        f"{reason}\nUnknown builtin op: a::b.",
        "free",
        reason,
        "error: creating server",
        "else",
        "free",
    ]


def test_a_row_is_tritons_own_in_a_table_and_anybodys_behind_other_lines() -> None:
    row = "| a | 1 | UNAVAILABLE: Internal: x |"
    border = "+---+---+---+"

    def own(*lines: str) -> list[bool]:
        return [record.own for record in read_records(enumerate(lines, 1)) if record.row]

    assert own(row, row) == [True, True]  # an excerpt
    assert own(AT + "up", border, "| Model | Version | Status |", border, row, border) == [True]
    assert own(AT + "up", row) == [False]
    assert own(AT + "up", border, row, "text", row) == [True, False]
