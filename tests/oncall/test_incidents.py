"""Changes of incidents are stored before they count, and none of them is lost to another."""

import asyncio

import msgspec
import pytest

from tests.oncall.memory_record import MemoryRecord
from tests.oncall.test_joining import NOW, told
from triage.oncall.incident import Incident
from triage.oncall.incidents import Incidents
from triage.oncall.record import RecordError


def incidents(record: MemoryRecord) -> Incidents:
    return Incidents(record, lambda: NOW, ("p99", "load-failure"))


async def test_what_cannot_be_stored_is_not_taken() -> None:
    record = MemoryRecord()
    here = incidents(record)
    record.away = True
    with pytest.raises(RecordError):
        await here.take([told("a")])
    assert not here.all()
    assert here.store_problem == "the record is away"
    record.away = False
    assert await here.take([told("a")]) == ("opened",)
    assert list(record.kept.values()) == list(here.all())


async def test_notifications_at_once_open_one_incident() -> None:
    record = MemoryRecord()
    record.slow_seconds = 0.01
    here = incidents(record)
    await asyncio.gather(*(here.take([told(f"a{n}"), told(f"b{n}")]) for n in range(10)))
    (only,) = here.all()
    assert len(only.alerts) == 20
    assert record.kept == {only.name: only}


async def test_an_alert_that_joins_while_the_report_comes_loses_neither() -> None:
    record = MemoryRecord()
    here = incidents(record)
    await here.take([told("a")])
    name = here.all()[0].name
    record.slow_seconds = 0.02

    def reported(one: Incident) -> Incident:
        return msgspec.structs.replace(one, work="done", bundle="b")

    joining = asyncio.create_task(here.take([told("b")]))
    await asyncio.sleep(0.01)  # its value is on the way to the record
    await asyncio.gather(joining, here.change(name, reported))
    (only,) = here.all()
    assert (len(only.alerts), only.work, only.bundle) == (2, "done", "b")
    assert record.kept[name] == only


async def test_what_was_found_out_is_kept_in_memory_until_the_record_is_back() -> None:
    record = MemoryRecord()
    here = incidents(record)
    await here.take([told("a")])
    name = here.all()[0].name
    record.away = True
    await here.change(name, lambda one: msgspec.structs.replace(one, work="done"))
    assert here.all()[0].work == "done"
    assert record.kept[name].work == "waiting"
    await here.check()
    assert record.kept[name].work == "waiting"
    record.away = False
    await here.check()
    assert record.kept[name].work == "done"


async def test_an_incident_that_is_refused_for_good_keeps_nobody_waiting() -> None:
    """Somebody edited it into what the API server does not take."""
    record = MemoryRecord()
    here = incidents(record)
    await here.take([told("a"), told("b", workload="deployment/other")])
    bad, good = (one.name for one in here.all())
    record.refuses = {bad}
    for name in (bad, good):
        await here.change(name, lambda one: msgspec.structs.replace(one, work="done"))
    assert (record.kept[bad].work, record.kept[good].work) == ("waiting", "done")
    await here.check()
    assert here.store_problem == ""
    assert await here.take([told("c", workload="deployment/third")]) == ("opened",)


async def test_what_the_record_answered_too_late_is_the_same_incident_when_it_comes_again() -> None:
    record = MemoryRecord()
    here = incidents(record)
    record.loses_answers = 1
    with pytest.raises(RecordError):
        await here.take([told("a")])
    assert len(record.kept) == 1
    assert await here.take([told("a")]) == ("opened",)
    assert [*record.kept] == [one.name for one in here.all()]


async def test_of_two_that_are_open_for_one_workload_the_later_goes_on_with_the_alerts_of_both() -> None:
    """As two services leave them, each of which knew nothing of the other."""
    records = MemoryRecord(), MemoryRecord()
    for number, record in enumerate(records):
        other = Incidents(record, lambda number=number: NOW + number, ("p99", "load-failure"))  # type: ignore[misc]
        await other.take([told(f"a{number}"), told("both")])
    both = MemoryRecord(*(one for record in records for one in record.kept.values()))
    after = incidents(both)
    await after.load()
    earlier, later = sorted(after.all(), key=lambda one: one.opened_at)
    assert (earlier.state, later.state) == ("resolved", "open")
    assert [alert.fingerprint for alert in later.alerts] == ["a1", "both", "a0"]
    assert await after.take([told("a0")]) == ("unchanged",)
    await after.check()
    assert {one.name: one for one in after.all()} == both.kept


async def test_one_of_an_unknown_tree_is_left_where_it_is() -> None:
    record = MemoryRecord()
    here = incidents(record)
    await here.take([told("a")])
    (one,) = record.kept.values()
    record.kept = {one.name: msgspec.structs.replace(one, tree="nonsense")}
    after = incidents(record)
    await after.load()
    assert not after.all()
    assert record.kept


async def test_a_running_triage_waits_again_after_a_restart() -> None:
    record = MemoryRecord()
    before = incidents(record)
    await before.take([told("a")])
    before.show(
        before.all()[0].name, lambda one: msgspec.structs.replace(one, work="running", progress="3 sources")
    )
    await before.store(before.all()[0].name, lambda one: one)
    after = incidents(record)
    await after.load()
    assert [(one.work, one.progress) for one in after.all()] == [("waiting", "")]


async def test_every_change_is_told() -> None:
    here = incidents(MemoryRecord())
    names: list[str] = []
    here.changed.append(names.append)
    await here.take([told("a")])
    await here.take([told("a")])
    here.show(here.all()[0].name, lambda one: msgspec.structs.replace(one, progress="1 source"))
    assert names == [here.all()[0].name] * 2


async def test_a_record_that_came_back_is_found_to_be_back() -> None:
    record = MemoryRecord()
    here = incidents(record)
    record.away = True
    with pytest.raises(RecordError):
        await here.take([told("a")])
    await here.check()
    assert here.store_problem
    record.away = False
    await here.check()
    assert not here.store_problem
