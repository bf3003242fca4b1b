"""Changed configuration and rules: taken over whole or not at all, and no question falls into a gap."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from autoscaler.answer import Answer, Value
from autoscaler.config import keep_server, parse_config
from autoscaler.generation import Generation, Generations
from autoscaler.own_metrics import OwnMetrics
from autoscaler.reload import Files, Loaded, Reloader
from autoscaler.selector import EVERYTHING
from telemetry.located_yaml import InvalidFileError
from telemetry.rules_dir import rules_dir
from tests.kube.canned_api import CannedApi
from tests.local_process import eventually

RATE = "triton_request_rate"


@dataclass
class Seen:
    """What the reloader said of the files."""

    adopted: list[Loaded]
    refused: list[InvalidFileError]


@dataclass
class Volume:
    """A ConfigMap as the kubelet mounts it: the files are links through `..data`, which is swapped whole."""

    folder: Path
    swaps: int = 0

    def write(self, config: str, rules: Path | None = None) -> None:
        self.swaps += 1
        data = self.folder / f"..{self.swaps}"
        (data / "signals").mkdir(parents=True)
        (data / "config.yaml").write_text(config)
        for rule in (rules or rules_dir() / "signals").glob("*.yaml"):
            shutil.copy(rule, data / "signals")
        link = self.folder / "..tmp"
        link.symlink_to(data.name)
        os.replace(link, self.folder / "..data")
        for name in ("config.yaml", "signals"):
            if not (self.folder / name).exists():
                (self.folder / name).symlink_to(f"..data/{name}")

    @property
    def files(self) -> Files:
        return Files(self.folder / "config.yaml", self.folder / "signals")


def _config(pod: str = "a", url: str = "http://127.0.0.1:9/metrics", more: str = "") -> str:
    return f"targets: {{static: [{{pod: {pod}, metrics_url: '{url}'}}]}}\n{more}"


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    volume = Volume(tmp_path)
    volume.write(_config())
    return volume


@pytest.fixture
def seen() -> Seen:
    return Seen([], [])


@pytest.fixture
def reloader(volume: Volume, seen: Seen) -> Reloader:
    loaded = volume.files.read()
    return Reloader(volume.files, loaded.digest, seen.adopted.append, seen.refused.append)


async def _look(reloader: Reloader, times: int = 2) -> None:
    for _ in range(times):
        await reloader.look()


async def test_unchanged_files_are_not_read_again(reloader: Reloader, seen: Seen) -> None:
    await _look(reloader, 3)
    assert (seen.adopted, seen.refused) == ([], [])


async def test_a_swapped_volume_is_taken_at_the_second_look_that_finds_it(
    reloader: Reloader, volume: Volume, seen: Seen
) -> None:
    volume.write(_config("b"))
    await _look(reloader, 1)
    assert seen.adopted == []
    await _look(reloader, 3)
    assert [loaded.config.targets.static[0].pod for loaded in seen.adopted] == ["b"]


async def test_a_file_that_is_being_written_is_left_alone(
    reloader: Reloader, volume: Volume, seen: Seen
) -> None:
    """Half of it would be valid YAML."""
    for pods in ("b", "b, c", "b, c, d"):
        (volume.folder / "..data" / "config.yaml").write_text(_config(pods.split(", ")[-1]))
        await _look(reloader, 1)
    assert seen.adopted == []
    await _look(reloader, 1)
    assert [loaded.config.targets.static[0].pod for loaded in seen.adopted] == ["d"]


async def test_a_broken_configuration_and_a_broken_rule_are_refused_once_with_every_mistake(
    reloader: Reloader, volume: Volume, seen: Seen, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(rules_dir() / "signals", broken)
    (broken / f"{RATE}.yaml").write_text("name: x\n")
    volume.write("targets: {}\nscrap: 1\n", broken)
    await _look(reloader, 5)
    (error,) = seen.refused
    assert {Path(problem.file).name for problem in error.problems} == {"config.yaml", f"{RATE}.yaml"}
    assert seen.adopted == []
    volume.write(_config())
    await _look(reloader)
    assert [loaded.config for loaded in seen.adopted] == [parse_config(_config())]


async def test_files_that_are_gone_are_refused_and_come_back(
    reloader: Reloader, volume: Volume, seen: Seen
) -> None:
    (volume.folder / "..data").unlink()
    await _look(reloader)
    assert len(seen.refused) == 1
    volume.swaps += 1
    volume.write(_config("c"))
    await _look(reloader)
    assert len(seen.adopted) == 1


def test_ports_stay_until_a_restart_and_all_else_changes() -> None:
    old = parse_config(_config(more="server: {port: 1}\n"))
    new = parse_config(_config("b", more="server: {port: 2, service: {name: x}}\npod_labels: [team]\n"))
    kept, changed = keep_server(new, old)
    assert changed == ("server.port", "server.service")
    assert (kept.server, kept.pod_labels, kept.targets) == (old.server, ("team",), new.targets)
    assert keep_server(old, old) == (old, ())


async def _is(value: bool) -> bool:
    return value


# A generation takes over


class Triton:
    """A metrics page on which `rate` requests a second complete."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.url = ""

    async def page(self, request: web.Request) -> web.Response:
        done = int(self.rate * time.monotonic())
        labels = '{model="m",version="1"}'
        return web.Response(
            text=f"nv_inference_request_success{labels} {done}\nnv_inference_request_failure{labels} 0\n"
            f"nv_inference_pending_request_count{labels} 0\n"
        )


@asynccontextmanager
async def _serving(*tritons: Triton) -> AsyncIterator[None]:
    runners = []
    for triton in tritons:
        app = web.Application()
        app.router.add_get("/metrics", triton.page)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        triton.url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
        runners.append(runner)
    yield
    for runner in runners:
        await runner.cleanup()


def _short_rules(folder: Path) -> Path:
    """The request rate alone, over two seconds."""
    folder.mkdir()
    text = (rules_dir() / "signals" / f"{RATE}.yaml").read_text()
    assert "window: 30s" in text
    (folder / f"{RATE}.yaml").write_text(text.replace("window: 30s", "window: 2s"))
    return folder


def _rate(answer: Answer) -> float:
    assert isinstance(answer, Value), answer
    return answer.value


class Filling(Generation):
    """Its windows are full when the test says so."""

    filled = False

    @property
    def full(self) -> bool:
        return self.filled


@pytest.mark.parametrize("wanted_instead", [True, False], ids=["another", "what is at work"])
async def test_what_is_wanted_at_the_moment_at_which_another_is_full_is_what_takes_over(
    tmp_path: Path, wanted_instead: bool
) -> None:
    """Files that change twice within a window: the first change must neither win nor swallow the second."""
    (tmp_path / "config.yaml").write_text(_config())
    loaded = Files(tmp_path / "config.yaml", rules_dir() / "signals").read()
    async with aiohttp.ClientSession() as session:
        present, first, second = (
            Filling(loaded.config, loaded.rows, CannedApi({}), session, OwnMetrics()) for _ in range(3)
        )
        generations, taken_over = Generations(present), asyncio.Event()
        running = asyncio.create_task(generations.run())
        generations.replace(first, taken_over.set)
        await asyncio.sleep(0.1)
        first.filled = second.filled = True
        generations.replace(second if wanted_instead else None, taken_over.set)
        if wanted_instead:
            await asyncio.wait_for(taken_over.wait(), 10)
        else:
            await asyncio.sleep(1)
        assert generations.current is (second if wanted_instead else present)
        assert taken_over.is_set() is wanted_instead
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_every_question_is_answered_while_one_configuration_takes_over_from_another(
    tmp_path: Path,
) -> None:
    """Ten requests a second on one Triton, then forty on the other: no answer in between is anything else. A scrape that a busy
    machine makes late is bridged by max_age, and is no gap."""
    rules, slow, fast = _short_rules(tmp_path / "rules"), Triton(10), Triton(40)
    models = "models: [{name: m}]\nscrape: {interval: 250ms, timeout: 200ms, max_age: 30s}\n"
    async with _serving(slow, fast), aiohttp.ClientSession(auto_decompress=False) as session:

        def generation(triton: Triton) -> Generation:
            (tmp_path / "config.yaml").write_text(_config(url=triton.url, more=models))
            loaded = Files(tmp_path / "config.yaml", rules).read()
            return Generation(loaded.config, loaded.rows, CannedApi({}), session, OwnMetrics())

        generations = Generations(generation(slow))
        running = asyncio.create_task(generations.run())
        await eventually(lambda: _is(generations.current.full), seconds=120)
        taken_over = asyncio.Event()
        first, called_off, successor = generations.current, generation(fast), generation(fast)
        generations.replace(called_off)
        await asyncio.sleep(0.3)
        generations.replace(successor, taken_over.set)
        while not taken_over.is_set():
            assert generations.current is first
            assert _rate(generations.answer("default", RATE, EVERYTHING, explain=False)) < 20
            await asyncio.sleep(0.05)
        assert generations.current is successor
        assert _rate(generations.answer("default", RATE, EVERYTHING, explain=False)) > 25
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert called_off.source.last_round_at is not None, "it had begun, and was called off"


def test_gpu_exporters_are_among_the_files_that_may_change(tmp_path: Path) -> None:
    rules = Path(shutil.copytree(rules_dir(), tmp_path / "rules"))
    files, exporters = Files(tmp_path / "config.yaml", rules / "signals"), rules / "gpu_exporters"
    files.config.write_text(_config())
    before = files.read()
    assert [each.name for each in before.exporters] == ["dcgm-exporter", "triton-gpu-agent"]
    file = exporters / "triton_gpu_agent.yaml"
    file.write_text(file.read_text().replace("preference: 2", "preference: 3"))
    assert files.digest() != before.digest
    assert files.read().exporters != before.exporters
    file.write_text("name: Wrong\n")
    with pytest.raises(InvalidFileError, match="triton_gpu_agent"):
        files.read()
