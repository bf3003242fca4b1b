"""What a Triton's log tells of its life, and when: from lines as Triton 2.51 prints them."""

from datetime import UTC, datetime

import pytest

from triage.evidence import LogLine
from triage.latency.server_log import Told, is_known, read_server_log

FETCHED = "2026-11-18T12:00:00Z"
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp()


def own(source: str, message: str) -> str:
    """As since 24.05: the message is a JSON string."""
    return f'{source}] "{message}"'


LOADING = own("model_lifecycle.cc:472", "loading: m:3")
LOADED = own("model_lifecycle.cc:839", "successfully loaded 'm'")
UNLOADING = own("model_lifecycle.cc:597", "unloading: m:3")
UNLOADED = own("model_lifecycle.cc:624", "successfully unloaded 'm' version 3")
SERVES = own("http_server.cc:4713", "Started HTTPService at 0.0.0.0:8000")
STARTS = own("pinned_memory_manager.cc:277", "Pinned memory pool is created at '0x7f' with size 268435456")
STOPS = own("server.cc:307", "Waiting for in-flight requests to complete.")
DEAD = "Stub process 'm_0_0' is not healthy."
STUB = own(
    "python_be.cc:1321", f"Failed to process the request(s) for model instance 'm_0_0', message: {DEAD}"
)
ARENA = (
    "2026-11-18 11:50:00.000 [E:onnxruntime:log, bfc_arena.cc:376] BFCArena::AllocateRawInternal Failed to"
    " allocate memory for requested buffer of size 268435456"
)


def line(second: int, said: str, level: str = "I") -> str:
    """In the minute before noon."""
    return f"{level}1118 11:59:{second:02}.000000 1 {said}"


def told(*lines: str, over: bool = False) -> list[Told]:
    return read_server_log([LogLine(n, text) for n, text in enumerate(lines, 1)], FETCHED, over=over)


def at(second: int) -> float:
    return NOON - 60 + second


def test_a_load_lasts_from_its_first_line_to_the_one_that_says_how_it_went() -> None:
    failed = own("model_lifecycle.cc:654", "failed to load 'm' version 3: Internal: no file")
    assert told(line(10, LOADING), line(22, LOADED)) == [Told("load", at(10), at(22), "loads", "m", "3")]
    assert told(line(10, LOADING), line(13, failed, "E")) == [
        Told("load", at(10), at(13), "fails to load", "m", "3", "Internal: no file")
    ]


def test_a_load_that_is_not_over_goes_on_until_it_was_looked_at_and_one_of_a_dead_process_until_its_last_word() -> (
    None
):
    lines = (line(10, LOADING), line(15, own("model.cc:1", "still at it")))
    assert told(*lines) == [Told("load", at(10), NOON, "begins to load", "m", "3", open=True)]
    assert told(*lines, over=True) == [Told("load", at(10), at(15), "begins to load", "m", "3", open=True)]


def test_success_ends_the_load_of_all_versions_and_of_that_model_alone() -> None:
    other = LOADING.replace("m:3", "n:1")
    found = told(
        line(10, LOADING), line(11, LOADING.replace("m:3", "m:4")), line(12, other), line(20, LOADED)
    )
    assert [(one.model, one.began, one.ended, one.open) for one in found] == [
        ("m", at(10), at(20), False),
        ("n", at(12), NOON, True),
    ]


def test_what_a_server_loads_before_it_serves_is_no_load_while_serving() -> None:
    assert told(line(1, STARTS), line(2, LOADING), line(3, LOADED), line(4, SERVES)) == []
    assert told(line(2, LOADING), line(3, LOADED), line(4, SERVES)) == []  # its first lines are rotated away
    assert told(line(1, STARTS), line(2, LOADING)) == []  # it still starts
    again = told(line(1, STARTS), line(2, LOADING), line(3, LOADED), line(4, SERVES), line(5, LOADING))
    assert [one.began for one in again] == [at(5)]


def test_a_load_of_the_life_before_counts_until_the_next_life_begins() -> None:
    found = told(line(10, LOADING), line(20, STARTS), line(30, LOADING), line(40, SERVES))
    assert found == [Told("load", at(10), at(20), "begins to load", "m", "3", open=True)]


def test_an_unload_counts_unless_the_server_stops() -> None:
    unload = (line(10, UNLOADING), line(12, UNLOADED))
    assert told(*unload) == [Told("unload", at(10), at(12), "is unloaded", "m", "3")]
    assert told(line(12, UNLOADED)) == [Told("unload", at(12), at(12), "is unloaded", "m", "3")]
    assert [one.kind for one in told(line(9, STOPS), *unload)] == ["stop"]


def test_a_dead_backend_process_is_told_once_from_its_first_failure_to_its_last() -> None:
    found = told(line(10, STUB, "E"), line(11, STUB, "E"), line(40, STUB, "E"))
    assert found == [Told("backend_death", at(10), at(40), "the process of m_0_0 is dead", "m")]


def test_a_failed_allocation_names_the_library_that_says_so() -> None:
    found = told(ARENA)
    assert [(one.kind, one.began, one.says) for one in found] == [
        ("out_of_memory", NOON - 600, "bfc_arena.cc cannot allocate memory")
    ]


@pytest.mark.parametrize("said", [LOADING, UNLOADED, STUB, STOPS])
def test_a_line_that_anybody_may_have_printed_tells_nothing(said: str) -> None:
    message = said.partition("] ")[2]
    assert told(f"2026-11-18T11:59:10.000000000Z {message}", line(10, f"model.py:12] {message}")) == []


def test_the_runtimes_stamp_comes_before_the_processs_own_which_may_be_in_another_zone() -> None:
    local = "I1118 13:59:10.000000 1 " + LOADED
    assert [one.began for one in told(f"2026-11-18T11:59:10.000000000Z {local}")] == [at(10)]


def test_a_time_in_a_message_is_not_the_lines_own() -> None:
    named = LOADING.replace("m:3", "of-2020-01-01T00:00:00Z-m:3")
    assert [one.began for one in told(line(10, named))] == []  # and no model has such a name
    failed = own("model_lifecycle.cc:654", "failed to load 'm' version 3: since 2020-01-01T00:00:00Z")
    assert [one.began for one in told(line(10, failed, "E"))] == [at(10)]


@pytest.mark.parametrize("said", [SERVES, STARTS, STOPS, STUB, ARENA])
def test_the_lines_that_are_looked_for_are_kept(said: str) -> None:
    assert is_known(said)
