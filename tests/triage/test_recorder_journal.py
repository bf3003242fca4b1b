"""The record on disk: what a kill, a full disk, a second recorder and a rotation leave."""

import os
from pathlib import Path

import pytest

from triage.evidence import Missing
from triage.latency.facts import RepositoryChanges
from triage.repository.fingerprints import Known, Look, after_look
from triage.repository.journal import Journal, JournalError, read_changes, read_lines, rotated
from triage.repository.record import Line, Told, known_from, line_of


def line(at: float, what: str = "") -> Line:
    return Line(at - 1, at, changes=(Told("m", what, at - 2),) if what else ())


def told(file: Path) -> list[str]:
    got = read_changes(file, 0.0, 1e6)
    assert isinstance(got, RepositoryChanges)
    return [change.what for change in got.changes]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "record.jsonl"


def test_lines_are_appended_run_after_run_and_only_the_owner_may_read_them(file: Path) -> None:
    for number in (1, 2):
        with Journal(file) as journal:
            assert journal.begin_line() is (number == 1)
            journal.append(line(10.0 * number, f"change {number}"))
    assert told(file) == ["change 1", "change 2"]
    assert os.stat(file).st_mode & 0o777 == 0o600


def test_after_a_kill_in_the_middle_of_a_line_the_next_one_stands_alone(file: Path) -> None:
    with Journal(file) as journal:
        journal.append(line(10.0, "kept"))
        journal.append(line(20.0, "cut"))
    os.truncate(file, file.stat().st_size - 7)
    assert told(file) == ["kept"]
    with Journal(file) as journal:
        journal.append(line(30.0, "after it"))
    assert told(file) == ["kept", "after it"]


def test_a_second_recorder_is_refused_and_one_after_it_is_not(file: Path) -> None:
    with Journal(file), pytest.raises(JournalError, match="another recorder writes to it"), Journal(file):
        pass
    with Journal(file):
        pass


def test_a_full_file_is_rotated_and_both_are_read_in_order(file: Path) -> None:
    with Journal(file, rotate_bytes=300) as journal:
        for number in range(8):
            journal.begin_line()
            journal.append(line(10.0 * number, f"change {number}"))
    assert rotated(file).exists()
    assert file.stat().st_size <= 400
    shown = told(file)
    assert shown == [f"change {number}" for number in range(8 - len(shown), 8)]
    assert len(shown) > 3


def test_what_is_known_outlives_the_file_in_which_it_was_said(file: Path) -> None:
    """Each file begins with all that is known."""
    known = Known()
    with Journal(file, rotate_bytes=500) as journal:
        for number in range(40):
            look = Look(number, number + 0.5, {"m": {"1": "READY"}}, folders={"m": {}}, folders_began=number)
            journal.append(line_of(known, look, (), full=journal.begin_line()))
            known = after_look(known, look)
    assert known_from(read_lines(file)) == known
    rotated(file).unlink()
    assert known_from(read_lines(file)) == known


def test_killed_between_the_two_steps_of_a_rotation_nothing_is_lost(file: Path) -> None:
    with Journal(file) as journal:
        journal.append(line(10.0, "kept"))
    os.rename(file, rotated(file))
    assert told(file) == ["kept"]


def test_a_first_line_larger_than_a_file_does_not_make_each_line_a_first_one(file: Path) -> None:
    with Journal(file, rotate_bytes=10) as journal:
        journal.append(line(10.0, "x" * 5000))
        assert journal.begin_line() is False


def test_a_device_is_no_place_for_a_record() -> None:
    with pytest.raises(JournalError, match="not a regular file"), Journal(Path("/dev/full")):
        pass


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone", "not_found"),
        (".", "refused"),
        ("pipe", "refused"),
        ("empty", "not_found"),
        ("page", "not_found"),
    ],
)
def test_what_is_no_record_is_missing_with_its_reason(tmp_path: Path, name: str, reason: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "page").write_text("<html>\n")
    got = read_changes(tmp_path / name, 0.0, 1.0)
    assert isinstance(got, Missing)
    assert got.reason == reason


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"cannot write the record .*/gone/r\.jsonl: No such file"):
        Journal(tmp_path / "gone" / "r.jsonl").__enter__()
