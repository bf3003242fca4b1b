"""What a record says when it is read back: the same as was known when it was written, and no more."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.evidence import Missing
from triage.latency.facts import RepositoryChange, RepositoryChanges
from triage.repository.compare import compare
from triage.repository.fingerprints import Config, File, Known, Look, after_look
from triage.repository.record import (
    Line,
    Told,
    changes_within,
    decode_lines,
    encode_line,
    is_due,
    known_from,
    line_of,
)

AWAY = {"index": "connection refused", "configs": "the index is unknown"}
SEEN = Look(100.0, 101.0, {"m": {"1": "READY"}}, {"m": Config("aa", {"x": "1"})})


def line(at: float, *changes: Told, away: bool = False) -> Line:
    return Line(at - 1, at, unknown=AWAY if away else {}, changes=changes)


_models = st.sampled_from(["a", "b"])
_files = st.dictionaries(
    st.sampled_from(["1/x", "1/y"]), st.builds(File, st.integers(0, 3), st.just(1), st.just(1), st.just("aa"))
)


@st.composite
def _looks(draw: st.DrawFn) -> list[Look]:
    looks, at = [], 100.0
    for _ in range(draw(st.integers(1, 8))):
        states = st.dictionaries(st.sampled_from(["1", "2"]), st.sampled_from(["READY", "UNAVAILABLE"]))
        index = draw(st.none() | st.dictionaries(_models, states))
        unknown = dict(AWAY) if index is None else {}
        configs = {}
        for model, versions in (index or {}).items():
            if "READY" in versions.values():
                if draw(st.booleans()):
                    configs[model] = Config(draw(st.sampled_from("pq")), {"f": draw(st.sampled_from("12"))})
                else:
                    unknown[f"config {model}"] = "timeout"
        folders = draw(st.none() | st.dictionaries(_models, _files))
        if folders is not None and draw(st.booleans()):
            refused = draw(st.sampled_from(["a", "b", "z"]))
            unknown[f"files {refused}"] = "Permission denied"
            folders.pop(refused, None)
        looks.append(
            Look(at, at + 1, index, configs, folders, at - 1 if folders is not None else None, unknown)
        )
        at += draw(st.sampled_from([10.0, 400.0]))
    return looks


@given(_looks(), st.sets(st.integers(0, 7)))
def test_what_is_read_back_is_what_was_known(looks: list[Look], full: set[int]) -> None:
    known, written = Known(), b""
    for number, look in enumerate(looks):
        changes = compare(known, look)
        written += encode_line(line_of(known, look, changes, full=number in full))
        known = after_look(known, look)
    assert known_from(decode_lines(written.split(b"\n"))) == known


@given(_looks())
def test_what_was_not_written_leaves_what_is_read_back_older_and_never_other(looks: list[Look]) -> None:
    known, written, written_at = Known(), b"", None
    for look in looks:
        changes = compare(known, look)
        if is_due(known, look, changes, written_at):
            written += encode_line(line_of(known, look, changes))
            written_at = look.ended
        known = after_look(known, look)
    back = known_from(decode_lines(written.split(b"\n")))
    assert (back.index, back.configs, back.folders, back.listed) == (
        known.index,
        known.configs,
        known.folders,
        known.listed,
    )
    assert back.index_at <= known.index_at
    assert all(back.configs_at[model] <= at for model, at in known.configs_at.items())


@pytest.mark.parametrize(
    ("look", "due"),
    [
        (Look(130.0, 131.0, SEEN.index, SEEN.configs), False),
        (Look(400.0, 401.0, SEEN.index, SEEN.configs), True),  # five minutes later
        (Look(50.0, 51.0, SEEN.index, SEEN.configs), True),  # a clock that was set back
        (Look(130.0, 131.0, unknown=AWAY), True),
        (Look(130.0, 131.0, {"m": {"1": "READY", "2": "READY"}}, SEEN.configs), True),
    ],
)
def test_a_line_is_written_when_something_changed_and_as_a_heartbeat(look: Look, due: bool) -> None:
    known = after_look(Known(), SEEN)
    assert is_due(known, look, compare(known, look), written_at=101.0) is due


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_line_cut_by_a_kill_is_ignored_and_the_next_run_sees_its_change_again(cut: int) -> None:
    known = after_look(Known(), SEEN)
    now = Look(130.0, 131.0, SEEN.index, {"m": Config("bb", {"x": "2"})})
    written = (
        encode_line(line_of(Known(), SEEN, ()))
        + encode_line(line_of(known, now, compare(known, now)))[: -cut * 9]
    )
    lines = decode_lines(written.split(b"\n"))
    assert known_from(lines) == known
    (change,) = compare(known_from(lines), msgspec.structs.replace(now, began=200.0, ended=201.0))
    assert (change.after, change.seen_at) == (100.0, 201.0)


def test_a_record_of_somebody_else_has_no_lines() -> None:
    text = b'{"a": 1}\n[]\nnot json\n{"began": 1e999, "at": 1}\n\xff\n' + b"[" * 100_000
    assert decode_lines(text.split(b"\n")) == []


CHANGE = Told("m", "config changed: x 1 -> 2", 1990.0)


@pytest.mark.parametrize(
    ("start", "end", "there"),
    [
        (1900.0, 2100.0, True),
        (1995.0, 2100.0, True),  # it may have been before the window, or in it
        (1900.0, 1995.0, True),
        (2001.0, 2100.0, False),
        (1900.0, 1989.0, False),
    ],
)
def test_a_change_is_told_where_it_may_lie_in_the_window(start: float, end: float, there: bool) -> None:
    lines = [line(1000.0), line(2000.0, CHANGE), line(3000.0)]
    changes = (RepositoryChange(2000.0, 1990.0, "m", "config changed: x 1 -> 2"),) if there else ()
    assert changes_within(lines, start, end) == RepositoryChanges(999.0, 3000.0, changes)


@pytest.mark.parametrize(
    ("lines", "reason", "said"),
    [
        ([], "not_found", "no line that can be read"),
        ([line(5000.0)], "not_found", "the record begins at 1970-01-01 01:23:19 UTC, after the window"),
        ([line(500.0)], "not_found", "the record sees until 1970-01-01 00:08:20 UTC, before the window"),
        ([line(500.0), line(2000.0, away=True)], "not_found", "since then: connection refused"),
        ([line(2000.0, away=True)], "unreachable", "connection refused"),
    ],
)
def test_that_nothing_changed_is_said_only_where_the_record_saw(
    lines: Sequence[Line], reason: str, said: str
) -> None:
    got = changes_within(lines, 1900.0, 2100.0)
    assert isinstance(got, Missing)
    assert (got.reason, said in got.detail) == (reason, True)


def test_a_change_of_files_is_told_while_triton_is_away() -> None:
    told = Told("m", "file 1/model.py changed, 9 bytes", 1990.0)
    got = changes_within([line(1000.0), line(2000.0, told, away=True)], 1900.0, 2100.0)
    assert isinstance(got, RepositoryChanges)
    assert [change.what for change in got.changes] == ["file 1/model.py changed, 9 bytes"]
