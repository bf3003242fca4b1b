"""What a repository index says, as Triton 2.51 answers it and as somebody hostile may."""

import json

import pytest

from telemetry.repository_index import (
    MOST_VERSIONS,
    IndexRow,
    ModelState,
    RepositoryIndex,
    Unavailable,
    VersionKey,
    parse_index,
)

ERROR = "Internal: ModuleNotFoundError: No module named 'nothing_there'\n\nAt:\n  /models/bad/2/model.py(1): <module>\n"


def test_every_version_with_a_state_is_read_and_a_model_never_asked_for_has_none() -> None:
    """As the real server answers after `bad` failed to load with its second version."""
    body = json.dumps(
        [
            {"name": "bad", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"},
            {"name": "bad", "version": "2", "state": "UNAVAILABLE", "reason": ERROR},
            {"name": "broken"},
            {"name": "fast", "version": "1", "state": "READY"},
            {"name": "slow", "version": "1", "state": "UNLOADING"},
        ]
    ).encode()
    assert parse_index(body) == RepositoryIndex(
        {
            VersionKey("bad", "1"): IndexRow(ModelState.UNAVAILABLE, "unloaded"),
            VersionKey("bad", "2"): IndexRow(ModelState.UNAVAILABLE, ERROR),
            VersionKey("fast", "1"): IndexRow(ModelState.READY),
            VersionKey("slow", "1"): IndexRow(ModelState.UNLOADING),
        }
    )


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (IndexRow(ModelState.UNAVAILABLE, ERROR), Unavailable.FAILED),
        (IndexRow(ModelState.UNAVAILABLE, "unloaded"), Unavailable.UNLOADED),
        (IndexRow(ModelState.UNAVAILABLE), Unavailable.UNTOLD),
        (IndexRow(ModelState.LOADING), Unavailable.UNTOLD),
        (IndexRow(ModelState.READY, "unloaded"), Unavailable.UNTOLD),
    ],
)
def test_only_an_errors_text_tells_a_failed_load(row: IndexRow, why: Unavailable) -> None:
    assert row.unavailable is why


def test_what_no_triton_lists_is_left_out_and_counted() -> None:
    rows = [
        {"name": "", "version": "1", "state": "READY"},
        {"name": "m" * 256, "version": "1", "state": "READY"},
        {"name": "m", "version": "1" * 256, "state": "READY"},
        {"name": "m", "version": "1", "state": "EXCELLENT"},
        {"name": "m", "version": "1"},
        {"name": 'good\n\x00"{}', "version": "1", "state": "READY"},
    ]
    index = parse_index(json.dumps(rows).encode())
    assert list(index.rows) == [('good\n\x00"{}', "1")]
    assert index.left_out == 5


def test_of_an_errors_text_the_beginning_is_kept() -> None:
    [row] = parse_index(
        json.dumps([{"name": "m", "version": "1", "state": "UNAVAILABLE", "reason": "x" * 10**6}]).encode()
    ).rows.values()
    assert row == IndexRow(ModelState.UNAVAILABLE, "x" * 300)


def test_a_repository_without_end_is_cut_and_says_how_much_is_missing() -> None:
    rows = [{"name": f"m{n}", "version": "1", "state": "READY"} for n in range(MOST_VERSIONS + 7)]
    index = parse_index(json.dumps([*rows, rows[0]]).encode())
    assert (len(index.rows), index.left_out) == (MOST_VERSIONS, 7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"error": "no"}',
        b"[1]",
        b'[{"version": "1"}]',
        b'[{"name": 1}]',
        b"[" * 100_000,
        b'[{"name":"\\ud800"}]',
        b'[{"name":"\xff"}]',
        b'[{"name":"m","version":null}]',
    ],
)
def test_what_is_no_index_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a repository index"):
        parse_index(body)
