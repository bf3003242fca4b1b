"""Closed incidents go by age and number, bundles by their bytes, and what is open stays, as long as it is heard of."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.oncall.memory_record import MemoryRecord
from tests.oncall.test_joining import NOW, told
from tests.oncall.values import INCIDENT
from triage.oncall.incident import Alert, Incident
from triage.oncall.incidents import Incidents
from triage.oncall.retention import UNHEARD_SECONDS, Retention, to_remove

DAY = 86_400.0


def ended(name: str, *, days: float = 0, state: str = "closed", **more: Any) -> Incident:
    at = None if state == "open" else NOW - days * DAY
    return msgspec.structs.replace(
        INCIDENT,
        **{"name": name, "workload": f"deployment/{name}", "state": state, "resolved_at": at, **more},
    )


@pytest.mark.parametrize(
    ("incidents", "gone"),
    [
        ([ended("a", days=29), ended("b", days=31)], ["b"]),
        ([ended("a", days=3), ended("b", days=1), ended("c", days=2), ended("d")], ["a", "c"]),
        ([ended("a", state="open"), ended("b", state="resolved", days=99), ended("c", days=1)], ["c"]),
        ([ended(f"open{n}", state="open") for n in range(5)], []),
        ([], []),
    ],
)
def test_the_oldest_closed_ones_go(incidents: list[Incident], gone: list[str]) -> None:
    assert list(to_remove(incidents, NOW, 30 * DAY, 2)) == gone


class Shelf:
    """A retention over a record in memory, whose clock is set."""

    def __init__(self, folder: Path, *incidents: Incident, most: int = 1000, most_bytes: int = 1000) -> None:
        self.now = NOW
        self.record = MemoryRecord(*incidents)
        self.bundles = folder / "bundles"
        self.incidents = Incidents(self.record, lambda: self.now, ("p99", "load-failure"))
        self.retention = Retention(self.incidents, self.bundles, 30 * DAY, most, most_bytes, lambda: self.now)

    def bundle(self, name: str, size: int, *, hours: float) -> str:
        self.bundles.mkdir(exist_ok=True)
        file = self.bundles / name
        file.write_bytes(b"x" * size)
        os.utime(file, (NOW - hours * 3600, NOW - hours * 3600))
        return str(file)

    async def look(self, *, days: float = 0) -> None:
        self.now += days * DAY
        await self.retention.look()

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.bundles.iterdir())


async def test_what_went_is_gone_from_the_record_too_and_leaves_nothing_in_memory(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, ended("old", days=31), ended("new", days=1))
    await shelf.incidents.load()
    shelf.incidents.heard_at("old")
    await shelf.look()
    assert list(shelf.record.kept) == ["new"]
    assert "old" not in {*shelf.incidents._heard, *shelf.incidents._locks}


async def test_a_record_that_is_away_keeps_them(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, ended("old", days=31))
    await shelf.incidents.load()
    shelf.record.away = True
    await shelf.look()
    assert [one.name for one in shelf.incidents.all()] == ["old"]


async def test_bundles_of_no_incident_go_after_an_hour(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    await shelf.look()  # there is no folder yet
    for name, hours in (("fresh", 0.5), ("orphan", 1.5)):
        shelf.bundle(name, 10, hours=hours)
    named = shelf.bundle("named", 10, hours=99)
    shelf.record.kept["a"] = ended("a", state="open", bundle=named)
    await shelf.incidents.load()
    await shelf.look()
    assert shelf.files == ["fresh", "named"]


async def test_past_their_bytes_the_oldest_bundles_go_and_their_incidents_say_so(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for number in range(4):
        file = shelf.bundle(f"b{number}", 400, hours=9 - number)
        shelf.record.kept[f"i{number}"] = ended(f"i{number}", bundle=file)
    await shelf.incidents.load()
    await shelf.look()
    assert shelf.files == ["b2", "b3"]
    assert [Path(one.bundle).name for one in shelf.record.kept.values()] == ["", "", "b2", "b3"]


async def test_what_fires_for_days_and_is_told_the_same_again_stays_open(tmp_path: Path) -> None:
    """Alertmanager repeats what fires; nothing of it is new."""
    shelf = Shelf(tmp_path)
    await shelf.incidents.take([told("a")])
    for _ in range(20):
        await shelf.look(days=0.25)
        assert await shelf.incidents.take([told("a")]) == ("unchanged",)
    assert [one.state for one in shelf.incidents.all()] == ["open"]


async def test_what_is_not_heard_of_for_a_day_has_ended(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    await shelf.incidents.take([told("a")])
    await shelf.look(days=0.9)
    assert [one.state for one in shelf.incidents.all()] == ["open"]
    await shelf.look(days=0.2)
    (one,) = shelf.incidents.all()
    assert (one.state, one.resolved_at, one.unheard) == ("resolved", shelf.now, True)
    assert [(alert.firing, alert.ends_at) for alert in one.alerts] == [(False, shelf.now)]
    shelf.now += 60
    assert await shelf.incidents.take([told("a")]) == ("reopened",)  # it was late, and fires all the same


async def test_after_a_restart_it_is_waited_a_day_from_then_on(tmp_path: Path) -> None:
    alert = Alert(fingerprint="a", name="A", starts_at=NOW - 9 * DAY)
    shelf = Shelf(tmp_path, ended("a", state="open", opened_at=NOW - 9 * DAY, alerts=(alert,)))
    await shelf.incidents.load()
    await shelf.look()
    assert [one.state for one in shelf.incidents.all()] == ["open"]
    await shelf.look(days=UNHEARD_SECONDS / DAY + 0.1)
    assert [one.state for one in shelf.incidents.all()] == ["resolved"]
