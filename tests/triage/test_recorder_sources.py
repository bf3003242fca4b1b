"""What a look says of sources that hang, fail, or refuse: unknown, and never that something is gone."""

import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest

from telemetry.rules_dir import rules_dir
from tests.triage.latency.peers import Reply, peer
from triage.repository.files import FilesOnDisk
from triage.repository.fingerprints import Folder
from triage.repository.recorder import Sources
from triage.repository.triton import ServedModels
from triage.rules import seals_from_folder

INDEX, CONFIG = "POST /v2/repository/index", "GET /v2/models/m/config"
READY = Reply(b'[{"name": "m", "version": "1", "state": "READY", "reason": ""}]')
M = Reply(b'{"name": "m"}')
make_seal = seals_from_folder(rules_dir())


@asynccontextmanager
async def sources(
    files: FilesOnDisk | None = None, index: Reply = READY, **more: Reply
) -> AsyncIterator[Sources]:
    """Of a Triton on loopback that serves `m`, and is asked for no other's configuration."""
    replies = {INDEX: [index]} | ({CONFIG: [more.get("config", M)]} if index is READY else {})
    async with peer(replies) as triton, aiohttp.ClientSession() as session:
        yield Sources(ServedModels(triton.url, session, make_seal), files, files_seconds=0.2)


class Held(FilesOnDisk):
    """A reading that a file system holds until `release`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, str)
        self.release = threading.Event()
        self.readings = 0

    def _model(self, root: Path, entry: os.DirEntry[str], model: str) -> Folder | None:
        self.readings += 1
        self.release.wait(30)
        return super()._model(root, entry, model)


@contextmanager
def held(root: Path) -> Iterator[Held]:
    (root / "m").mkdir()
    files = Held(root)
    try:
        yield files
    finally:
        files.release.set()


async def test_a_hung_file_system_leaves_files_unknown_and_triton_seen_and_is_asked_once(
    tmp_path: Path,
) -> None:
    with held(tmp_path) as files:
        async with sources(files) as looked_at:
            for _ in range(2):
                look = await looked_at.look()
                assert (look.folders, look.unknown) == (
                    None,
                    {"files": "their reading takes longer than a look"},
                )
                assert set(look.configs) == {"m"}
            assert files.readings == 1
            looked_at.files_seconds = 30.0
            files.release.set()
            assert (await looked_at.look()).folders == {"m": {}}


async def test_files_whose_reading_outlasts_a_look_are_of_when_it_began(tmp_path: Path) -> None:
    with held(tmp_path) as files:
        async with sources(files) as looked_at:
            first = await looked_at.look()
            looked_at.files_seconds = 30.0
            files.release.set()
            later = await looked_at.look()
    assert later.folders_began is not None
    assert first.began <= later.folders_began <= first.ended


async def test_a_repository_that_is_gone_is_unknown(tmp_path: Path) -> None:
    async with sources(FilesOnDisk(tmp_path / "gone", str)) as looked_at:
        look = await looked_at.look()
    assert (look.folders, look.unknown) == (None, {"files": f"{tmp_path}/gone: No such file or directory"})


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (Reply(b"", 503), "the repository index: HTTP 503"),
        (Reply(b'{"error": "model repository /x is gone"}', 500), "model repository /x is gone"),
        (Reply(b"<html>"), "the answer is not Triton's"),
    ],
)
async def test_an_index_that_is_not_told_is_unknown_and_so_are_the_configurations(
    index: Reply, said: str
) -> None:
    async with sources(index=index) as looked_at:
        look = await looked_at.look()
    assert (look.index, look.configs) == (None, {})
    assert said in look.unknown["index"]
    assert look.unknown["configs"] == "the index is unknown"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Reply(b'{"error": "restricted"}', 403), "the configuration of m: HTTP 403 restricted"),
        (Reply(b"[]"), "the configuration of m: not a model configuration: it has no name"),
    ],
)
async def test_a_refused_configuration_is_unknown_beside_a_known_index(config: Reply, said: str) -> None:
    async with sources(config=config) as looked_at:
        look = await looked_at.look()
    assert (look.index, look.configs) == ({"m": {"1": "READY"}}, {})
    assert look.unknown == {"config m": said, "configs": said}


async def test_a_model_that_is_not_loaded_has_no_configuration_and_is_not_asked() -> None:
    never = Reply(
        b'[{"name": "m"}, {"name": "n", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}]'
    )
    async with sources(index=never) as looked_at:
        look = await looked_at.look()
    assert (look.index, look.configs, look.unknown) == (
        {"m": {}, "n": {"1": "UNAVAILABLE: unloaded"}},
        {},
        {},
    )
