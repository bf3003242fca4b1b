"""What changed between the two looks at a live Triton, and that the later one counts."""

from tests.triage.latency.evidence import Part, evidence, incident
from triage.evidence import Evidence, IndexRow, RepositoryIndex
from triage.latency.answers import answer
from triage.latency.facts import ModelSettings
from triage.latency.kinds import Setting

FIRST, LATER = "2026-11-18T12:00:00Z", "2026-11-18T12:00:30Z"
BETWEEN = "between 12:00:00 and 12:00:30"


def index(id: str, at: str, **states: str) -> Evidence:
    rows = tuple(IndexRow(name, "1", state) for name, state in states.items())
    return evidence(id, "index", RepositoryIndex(rows), fetched_at=at)


def settings(id: str, at: str, **more: object) -> Evidence:
    facts = ModelSettings("m", **more)  # type: ignore[arg-type]
    return evidence(id, "settings", facts, fetched_at=at)


def told(*parts: Part) -> list[tuple[str, str, float]]:
    return [(c.kind, c.what, c.at - c.earliest) for c in incident(*parts).changes]


LOOKS = (index("index", FIRST, m="READY"), index("index/later", LATER, m="READY"))


def test_what_is_served_after_the_capture_and_was_not_before_was_loaded_in_between() -> None:
    first = index("index", FIRST, went="READY", stays="READY", broke="READY")
    later = index("index/later", LATER, came="READY", stays="READY", broke="UNAVAILABLE")
    assert told(first, later) == [
        ("load", f"came version 1: gone -> READY, {BETWEEN}", 31.0),
        ("unload", f"broke version 1: READY -> UNAVAILABLE, {BETWEEN}", 31.0),
        ("unload", f"went version 1: READY -> gone, {BETWEEN}", 31.0),
    ]


def test_settings_that_changed_say_from_what_to_what() -> None:
    first = settings("settings:m", FIRST, dynamic_batching=True)
    later = settings("settings/later:m", LATER, max_queue_delay_ms=5.0, preferred_batch_sizes=(4, 8))
    assert told(*LOOKS, first, later) == [
        (
            "load",
            "settings of m: dynamic batching on -> off; preferred batch sizes none -> 4, 8;"
            f" max queue delay ms 0.0 -> 5.0, {BETWEEN}",
            31.0,
        )
    ]


def test_the_later_settings_count_and_are_the_evidence() -> None:
    first, later = settings("settings:m", FIRST), settings("settings/later:m", LATER, preserve_ordering=True)
    test = Setting(kind="setting", field="preserve_ordering")
    for order in ((first, later), (later, first)):
        found = answer(test, incident(*LOOKS, *order, model="m"))
        assert (found.value, found.evidence) == ("yes", ("settings/later:m",))


def test_nothing_changed_where_both_looks_are_alike_or_there_was_only_one() -> None:
    assert told(*LOOKS, settings("settings:m", FIRST)) == []
    assert told(LOOKS[0], settings("settings:m", FIRST)) == []
