"""The states and counts of a real Triton's models, through the reader and the page that Prometheus scrapes."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry, generate_latest

from autoscaler.model_metrics import BIRTH_SECONDS, ModelCollector
from telemetry.http_body import scrape_session
from telemetry.index_reader import IndexReader, IndexSettings
from telemetry.target import Phase, PodKey, Target
from tests.local_process import eventually
from tests.tritons.install import TritonInstall
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonRefused, TritonServer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.accuracy]
FAILS = "import nothing_there\n"
POD = PodKey("prod", "triton-0", "")


@dataclass
class Watched:
    """A Triton in explicit mode with one model loaded, and what is shown of it."""

    server: TritonServer
    repository: Path
    reader: IndexReader
    registry: CollectorRegistry

    async def states(self) -> dict[str, str]:
        """By `model/version`, after one more look; with the reason where there is one."""
        await self.reader.look_at_all()
        text = generate_latest(self.registry).decode()
        rows = [line for line in text.splitlines() if line.startswith("triton_model_state{")]
        told = [dict(re.findall(r'(\w+)="([^"]*)"', row)) for row in rows]
        return {
            f"{each['model']}/{each['version']}": f"{each['state']} {each['reason']}".strip() for each in told
        }

    async def until(self, model: str, state: str) -> None:
        async def reached() -> bool:
            return (await self.states()).get(model) == state

        await eventually(reached, seconds=20)

    def counts(self, model: str, version: str = "1") -> tuple[float, ...]:
        """Loads, failed loads, unloads."""
        labels = {
            "namespace": POD.namespace,
            "pod": POD.pod,
            "workload": "",
            "model": model,
            "version": version,
        }
        names = ("loads", "load_failures", "unloads")
        found = [self.registry.get_sample_value(f"triton_model_{name}_total", labels) for name in names]
        return tuple(-1 if value is None else value for value in found)

    def up(self) -> float | None:
        labels = {"namespace": POD.namespace, "pod": POD.pod, "workload": ""}
        return self.registry.get_sample_value("triton_model_index_up", labels)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(
    triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Watched]:
    folder = tmp_path_factory.mktemp("index")
    repository = lay_out(folder / "models", "fast", "slow", Model("fast", name="bad", versions=(1, 2)))
    (repository / "bad" / "2" / "model.py").write_text(FAILS)
    arguments = ["--model-control-mode=explicit", "--load-model=fast"]
    async with (
        TritonServer(triton_install, repository, folder, arguments=arguments) as server,
        scrape_session() as session,
    ):
        target = Target(POD, server.metrics_url, server.url, Phase.RUNNING, ready=True)
        clock = asyncio.get_running_loop().time
        reader = IndexReader(lambda: {POD: target}, IndexSettings, session, clock)
        registry = CollectorRegistry()
        registry.register(
            ModelCollector(lambda: {POD: target}, lambda: reader.pods, lambda: clock() + BIRTH_SECONDS)
        )
        await reader.look_at_all()
        yield Watched(server, repository, reader, registry)


async def test_a_load_and_an_unload_are_seen_and_a_model_never_asked_for_has_no_state(
    watched: Watched,
) -> None:
    assert await watched.states() == {"fast/1": "READY"}
    await watched.server.load("slow")
    assert (await watched.states())["slow/1"] == "READY"
    assert watched.counts("slow") == (1, 0, 0)
    await watched.server.unload("slow")
    await watched.until("slow/1", "UNAVAILABLE unloaded")
    assert watched.counts("slow") == (1, 0, 1)
    assert watched.counts("fast") == (0, 0, 0)


async def test_a_failed_load_is_seen_and_the_version_given_up_with_it_has_not_failed(
    watched: Watched,
) -> None:
    """Triton loads all versions of a model or none."""
    with pytest.raises(TritonRefused, match="nothing_there"):
        await watched.server.load("bad")
    await watched.until("bad/1", "UNAVAILABLE unloaded")
    assert (await watched.states())["bad/2"] == "UNAVAILABLE failed"
    assert (watched.counts("bad", "1")[1], watched.counts("bad", "2")) == (0, (0, 1, 0))
    await watched.states()
    assert watched.counts("bad", "2") == (0, 1, 0), "it failed once, however often one looks"


async def test_a_failed_model_stays_failed_when_it_is_unloaded_and_goes_with_its_folder(
    watched: Watched,
) -> None:
    """So that is how a person says that it is not wanted any more: it is taken out of the repository."""
    await watched.server.unload("bad")
    assert (await watched.states())["bad/2"] == "UNAVAILABLE failed"
    folder = watched.repository / "bad"
    folder.rename(watched.repository.parent / "bad")
    assert not {"bad/1", "bad/2"} & set(await watched.states())
    (watched.repository.parent / "bad").rename(folder)
    assert (await watched.states())["bad/2"] == "UNAVAILABLE failed"
    assert watched.counts("bad", "2") == (0, 1, 0)


async def test_a_failed_reload_leaves_the_version_ready_and_shows_nothing(watched: Watched) -> None:
    model = watched.repository / "bad" / "2" / "model.py"
    shutil.copy(watched.repository / "bad" / "1" / "model.py", model)
    await watched.server.load("bad")
    before = await watched.states(), watched.counts("bad", "2")
    assert before[0]["bad/2"] == "READY"
    model.write_text(FAILS)
    with pytest.raises(TritonRefused, match="nothing_there"):
        await watched.server.load("bad")
    assert (await watched.states(), watched.counts("bad", "2")) == before


async def test_a_server_that_hangs_has_no_states_and_the_same_ones_after(watched: Watched) -> None:
    before = await watched.states()
    assert watched.up() == 1
    watched.server.pause()
    try:
        assert await watched.states() == {}
        assert watched.up() == 0
    finally:
        watched.server.resume()
    assert await watched.states() == before
