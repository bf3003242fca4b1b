"""What the recorder tells of changes that were really made to a real Triton's repository, and when."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from telemetry.rules_dir import rules_dir
from tests.tritons.install import TritonInstall
from tests.tritons.repository import lay_out
from tests.tritons.server import TritonServer
from triage.latency.changes import changes as timeline
from triage.latency.facts import RepositoryChange, RepositoryChanges
from triage.latency.history import History
from triage.latency.look import LatencySources, look_at_latency
from triage.latency.rules import latency_rules_from_folder
from triage.repository.files import FilesOnDisk
from triage.repository.journal import Journal, read_changes
from triage.repository.recorder import Recorder, Sources
from triage.repository.triton import ServedModels
from triage.rules import seals_from_folder

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXPLICIT = ("--model-control-mode=explicit", "--load-model=batching", "--load-model=fast")
DELAY = "dynamic_batching.max_queue_delay_microseconds"


@dataclass
class Watched:
    triton: TritonServer
    repository: Path
    record: Path
    recorder: Recorder

    async def told(self) -> list[tuple[str, str]]:
        """What one more look tells, and that each of it lies between the look before and this one."""
        before = self.recorder.looked
        changes = await self.recorder.look_once()
        now = self.recorder.looked
        assert before is not None
        assert now is not None
        assert all(before.began <= change.after < change.seen_at == now.ended for change in changes)
        return [(change.model, change.what.split(", mtime")[0]) for change in changes]

    def recorded(self, start: float, end: float) -> list[RepositoryChange]:
        found = read_changes(self.record, start, end)
        assert isinstance(found, RepositoryChanges)
        return list(found.changes)


@asynccontextmanager
async def recorder_of(triton: TritonServer, repository: Path, record: Path) -> AsyncIterator[Recorder]:
    make_seal = seals_from_folder(rules_dir())

    def seal(text: str) -> str:
        return str(make_seal().value(text))

    connector = aiohttp.TCPConnector(force_close=True)
    with Journal(record) as journal:
        async with aiohttp.ClientSession(connector=connector) as session:
            sources = Sources(
                ServedModels(triton.url, session, make_seal), FilesOnDisk(repository, seal), seal
            )
            recorder = Recorder(sources, journal, "this Triton")
            await recorder.resume()
            yield recorder


@asynccontextmanager
async def watched(install: TritonInstall, folder: Path) -> AsyncIterator[Watched]:
    """A Triton and a recorder that has looked once."""
    repository = lay_out(folder / "models", "batching", "fast")
    async with (
        TritonServer(install, repository, folder, arguments=EXPLICIT) as triton,
        recorder_of(triton, repository, folder / "record.jsonl") as recorder,
    ):
        assert await recorder.look_once() == ()
        yield Watched(triton, repository, folder / "record.jsonl", recorder)


def set_delay(repository: Path, before: int, now: int) -> None:
    file = repository / "batching" / "config.pbtxt"
    file.write_text(file.read_text().replace(f"microseconds: {before}", f"microseconds: {now}"))


async def test_a_changed_delay_is_told_by_field_once_it_is_loaded_and_by_file_before(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with watched(triton_install, tmp_path) as here:
        began = time.time()
        assert await here.told() == []
        set_delay(here.repository, 5000, 200000)
        ((model, what),) = await here.told()
        assert (model, what.partition(", ")[0]) == ("batching", "file config.pbtxt changed")
        assert await here.told() == []
        await here.triton.load("batching")
        assert await here.told() == [("batching", f"config changed: {DELAY} 5000 -> 200000")]
        assert await here.told() == []
        assert [
            change.what.partition(":")[0].partition(",")[0] for change in here.recorded(began, time.time())
        ] == [
            "file config.pbtxt changed",
            "config changed",
        ]


async def test_versions_and_code_are_told_and_what_was_not_touched_is_not(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with watched(triton_install, tmp_path) as here:
        fast = here.repository / "fast"
        (fast / "2").mkdir()
        code = (fast / "1" / "model.py").read_text()
        (fast / "2" / "model.py").write_text(code)
        assert await here.told() == [("fast", f"file 2/model.py added, {len(code)} bytes")]
        await here.triton.load("fast")
        assert await here.told() == [("fast", "version 2 added: READY")]
        (fast / "1" / "model.py").write_text(code + "# changed\n")
        assert await here.told() == [
            ("fast", f"file 1/model.py changed, {len(code)} bytes -> {len(code) + 10} bytes")
        ]
        await here.triton.unload("batching")
        ((model, what),) = await here.told()
        assert (model, what.split(":")[0].split(" -> ")[0]) == ("batching", "version 1 READY")


async def test_a_restart_removes_nothing_and_what_it_brought_lies_after_the_last_look_before_it(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with watched(triton_install, tmp_path) as here:
        before = here.recorder.looked
        assert before is not None
        await here.triton.stop()
        assert await here.told() == []
        away = here.recorder.looked
        assert away is not None
        assert away.unknown.keys() == {"index", "configs"}
        set_delay(here.repository, 5000, 200000)
        await here.triton.start()
        changes = await here.recorder.look_once()
        file, config = sorted(changes, key=lambda change: change.what, reverse=True)
        assert config.what == f"config changed: {DELAY} 5000 -> 200000"
        assert (config.after, file.after >= away.began) == (before.began, True)


async def test_what_changed_while_the_recorder_was_down_is_told_by_the_next_one(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with watched(triton_install, tmp_path) as here:
        last = here.recorder.looked
        assert last is not None
        here.recorder.journal.__exit__(None, None, None)
        set_delay(here.repository, 5000, 200000)
        await here.triton.load("batching")
        async with recorder_of(here.triton, here.repository, here.record) as next_one:
            changes = await next_one.look_once()
            assert [change.model for change in changes] == ["batching", "batching"]
            assert {change.after for change in changes} == {last.began}
            assert await next_one.look_once() == ()


async def test_p99_shows_a_recorded_change_in_its_timeline(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    rules = latency_rules_from_folder(rules_dir())
    async with watched(triton_install, tmp_path) as here:
        set_delay(here.repository, 5000, 200000)
        await here.triton.load("batching")
        await here.recorder.look_once()
        sources = LatencySources(
            start=time.time() - 600,
            end=time.time(),
            tritons=[here.triton.url],
            metrics=[here.triton.metrics_url],
            capture_seconds=2.0,
            record=str(here.record),
        )
        snapshot = await look_at_latency(sources, "batching", rules, seals_from_folder(rules_dir()))
        (evidence,) = [one for one in snapshot.evidence if one.probe == "repository"]
        assert isinstance(evidence.facts, RepositoryChanges)
        shown = timeline(snapshot.evidence, History(snapshot.evidence, rules.measures, rules.quantities))
        assert f"batching: config changed: {DELAY} 5000 -> 200000" in [
            change.what for change in shown if change.kind == "repository"
        ]
