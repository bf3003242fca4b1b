"""What Slack has is kept, and what is told no more is forgotten."""

from pathlib import Path

import msgspec
import pytest

from tests.oncall.memory_record import MemoryRecord
from tests.oncall.values import INCIDENT, NOW
from triage.oncall.audit import Audit
from triage.oncall.incident import Posted
from triage.oncall.incidents import Incidents
from triage.oncall.own_metrics import OncallMetrics
from triage.oncall.posting import PostedIncidents, PostLog
from triage.slack.outbox import RecordAway

NAME = INCIDENT.name


async def loaded(record: MemoryRecord) -> Incidents:
    here = Incidents(record, lambda: NOW, ("p99", "load-failure"))
    await here.load()
    return here


async def test_what_slack_has_is_in_the_record_before_it_counts() -> None:
    record = MemoryRecord(INCIDENT)
    here = await loaded(record)
    await PostedIncidents(here).note(NAME, "root", Posted(digest="d", ts="1"), "C1")
    assert record.kept[NAME].posted == {"root": Posted(digest="d", ts="1")}
    assert record.kept[NAME].channel == "C1"
    record.away = True
    with pytest.raises(RecordAway):
        await PostedIncidents(here).note(NAME, "details", Posted(digest="d"), "C1")
    assert "details" not in here.all()[0].posted


async def test_an_alert_that_flaps_for_weeks_fits_into_the_record() -> None:
    here = await loaded(MemoryRecord(INCIDENT))
    posted = PostedIncidents(here)
    await posted.note(NAME, "root", Posted(digest="r", ts="1"), "C1")
    for times in range(1, 200):
        await here.change(NAME, lambda one, times=times: msgspec.structs.replace(one, reopened=times))  # type: ignore[misc]
        for part in (f"reopened-{times}", f"resolved-{times}"):
            await posted.note(NAME, part, Posted(digest="d", ts="2"), "C1")
    kept = here.all()[0].posted
    assert len(kept) <= 15
    assert {"root", "reopened-199", "resolved-199", "reopened-198"} <= kept.keys()


async def test_each_post_is_counted_and_audited(tmp_path: Path) -> None:
    metrics = OncallMetrics()
    log = PostLog(await loaded(MemoryRecord(INCIDENT)), metrics, Audit(tmp_path))
    log.posted("posted", NAME, "root", "")
    log.posted("failed", NAME, "details", "invalid_blocks")
    await log._write()
    lines = written(tmp_path)
    assert len(lines) == 2
    assert '"why":"invalid_blocks"' in lines[1]
    for name, labels in (("posts_total", {"outcome": "posted"}), ("first_line_seconds_count", {})):
        assert metrics.registry.get_sample_value(f"triton_triage_{name}", labels) == 1


def written(folder: Path) -> list[str]:
    return [line for file in folder.glob("audit-*.jsonl") for line in file.read_text().splitlines()]
