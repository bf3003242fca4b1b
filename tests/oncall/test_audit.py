"""The audit record is only ever appended, for its owner alone, and what a disk does not take is in the log."""

import asyncio
import json
import stat
from pathlib import Path

import structlog

from triage.oncall.audit import Audit


def lines(folder: Path) -> list[dict[str, object]]:
    (file,) = folder.glob("audit-*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_each_fact_is_a_line(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit")
    await audit.append("read", "web", [{"query": "a\nb"}, {"query": "c"}])
    await Audit(tmp_path / "audit").append("posted", "web", [{"part": "root"}])  # after a restart
    told = lines(tmp_path / "audit")
    assert [(line["what"], line["incident"]) for line in told] == [("read", "web")] * 2 + [("posted", "web")]
    assert told[0]["query"] == "a\nb"
    assert str(told[0]["at"]).endswith("Z")
    (file,) = (tmp_path / "audit").glob("*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o700


async def test_lines_of_several_at_once_stay_whole(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    facts = [{"text": "x" * 10_000}] * 5
    await asyncio.gather(*(audit.append("read", str(number), facts) for number in range(20)))
    assert len(lines(tmp_path)) == 100


async def test_what_cannot_be_written_is_in_the_log_and_told_as_a_problem(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file where the folder should be")
    audit = Audit(tmp_path / "audit")
    with structlog.testing.capture_logs() as logged:
        await audit.append("read", "web", [{"query": "q"}])
    assert '"query":"q"' in logged[0]["lines"][0]
    assert audit.problem
    (tmp_path / "audit").unlink()
    await audit.append("read", "web", [{"query": "q"}])
    assert not audit.problem
