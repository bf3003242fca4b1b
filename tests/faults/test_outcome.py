"""What a record of a row is judged to be, and how that is told."""

import json
from dataclasses import replace

from tests.faults.adapters import spec_of
from tests.faults.oracle import Look
from tests.faults.outcome import Judgement, Outcome, Record, Step, judge
from tests.faults.page import RECORDED, pages
from tests.faults.table import between_marks, cell, from_json, short, to_json

SPEC = spec_of(2.0)
SYNC = 2.0
LOOKS = tuple(Look(at, (1.96,) * 4, 4) for at in range(100))


def record(*steps: tuple[float, int, bool]) -> Record:
    """The load came at 5, the fault lasts from 20 to 40, and it is watched until 60."""
    return Record(tuple(Step(*step) for step in steps), LOOKS, 5, 20, 40, 60)


def outcome(did: Judgement) -> Outcome:
    return Outcome("nan", "KEDA", "Prometheus: NaN", did, 7, "external metrics API: no | value")


def test_a_fleet_that_held_is_told_so() -> None:
    did = judge(record((0, 4, True), (23, 4, False), (41, 4, True)), SPEC, SYNC)
    assert did == Judgement(((0.0, 4),), (), (), (), 17.0, 20.0, 1.0, 20.0)
    assert cell(outcome(did)) == "held"


def test_a_fleet_that_shrank_is_told_in_bold_with_how_long_it_took_to_come_back() -> None:
    did = judge(record((0, 4, True), (21, 1, True), (49, 4, True)), SPEC, SYNC)
    assert did == Judgement(((0.0, 4), (1.0, 1), (29.0, 4)), ((1.0, 4, 1),), (), (), 0.0, 20.0, 9.0, 20.0)
    assert cell(outcome(did)) == "**4 → 1** from 1 s on, right 9 s after"


def test_a_fleet_that_never_came_back_is_not_right() -> None:
    did = judge(record((0, 4, True), (21, 1, True)), SPEC, SYNC)
    assert did.right_after is None
    assert cell(outcome(did)) == "**4 → 1** from 1 s on, not right within 20 s after"


def test_a_scale_down_before_the_fault_is_wrong_too() -> None:
    did = judge(record((0, 8, True), (4, 4, True), (10, 3, True), (15, 4, True)), SPEC, SYNC)
    assert did.replicas == ((0.0, 4),)
    assert (did.wrong_downs, did.wrong_before) == ((), ((-10.0, 4, 3),))


def test_a_value_that_is_away_to_the_end_is_not_right_either() -> None:
    assert judge(record((0, 4, True), (23, 4, False)), SPEC, SYNC).right_after is None


def test_what_is_written_is_read_again() -> None:
    did = judge(record((0, 4, True), (21, 1, True), (49, 4, True)), SPEC, SYNC)
    told = json.loads(json.dumps(to_json([outcome(did)], {"hpa_sync_seconds": SYNC})))
    assert from_json(told) == [outcome(did)]


def test_a_system_that_was_not_asked_is_not_told_right() -> None:
    did = judge(record((0, 4, True)), SPEC, SYNC)
    idle = replace(outcome(did), row="idle", system="scrape", says="the load ends")
    assert "| Prometheus: NaN | asks none | unmoved |" in short([idle, outcome(did)])


def test_the_table_stands_between_its_marks() -> None:
    text = "a\n<!-- faults: made by `make faults` -->\nold\n<!-- faults end -->\nb\n"
    assert between_marks(text, "new") == text.replace("old", "new")


def test_the_pages_show_the_recorded_run() -> None:
    """Nobody edits the numbers."""
    for file, text in pages(json.loads(RECORDED.read_text())).items():
        assert file.read_text() == text, (
            f"{file} is not what {RECORDED} says: run `python -m tests.faults.page`"
        )
