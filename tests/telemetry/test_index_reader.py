"""The index loop against servers on loopback that fail in every way one can; a bad one costs only itself."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import aiohttp
import pytest
from aiohttp import web

from telemetry.http_body import scrape_session
from telemetry.index_reader import IndexReader, IndexSettings
from telemetry.repository_index import VersionKey
from telemetry.target import Phase, PodKey, Target

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = VersionKey("m", "1")


def index(**states: str) -> bytes:
    return json.dumps(
        [{"name": name, "version": "1", "state": state} for name, state in states.items()]
    ).encode()


class Triton:
    """A strict server: it knows one question, and how it is put."""

    def __init__(self) -> None:
        self.reply: Reply | bytes = index(m="READY")
        self.asked = 0
        self.url = ""
        self.closing = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert await request.json() == {}
        assert request.headers["Connection"] == "close"
        assert request.headers["Accept-Encoding"] == "identity"
        self.asked += 1
        return web.Response(body=self.reply) if isinstance(self.reply, bytes) else await self.reply(request)

    async def hang(self, request: web.Request) -> web.StreamResponse:
        await self.closing.wait()
        return web.Response()


@asynccontextmanager
async def triton() -> AsyncIterator[Triton]:
    server = Triton()
    app = web.Application()
    app.router.add_post("/v2/repository/index", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = site.name
    try:
        yield server
    finally:
        server.closing.set()
        await runner.cleanup()


def target(name: str, url: str | None, *, uid: str = "u") -> Target:
    return Target(PodKey("prod", name, uid), None, url, Phase.RUNNING, ready=True)


@dataclass
class Fleet:
    a: Triton
    b: Triton
    session: aiohttp.ClientSession
    targets: dict[PodKey, Target] = field(default_factory=dict)
    now: float = 100.0

    def __post_init__(self) -> None:
        self.know(target("a", self.a.url), target("b", self.b.url))
        settings = IndexSettings(timeout=0.5)
        self.reader = IndexReader(lambda: self.targets, lambda: settings, self.session, lambda: self.now)

    def know(self, *targets: Target) -> None:
        self.targets = {each.key: each for each in targets}

    async def look(self) -> Mapping[str, Mapping[VersionKey, str] | None]:
        """The states by pod after one more round, 15 s later; None where nobody answered."""
        self.now += 15
        await self.reader.look_at_all()
        return {
            key.pod: {version: row.state for version, row in models.listed().items()}
            if models.answered
            else None
            for key, models in self.reader.pods.items()
        }


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(triton()) for _ in range(2)]
        yield Fleet(a, b, await stack.enter_async_context(scrape_session()))


async def test_each_pods_states_are_known_after_a_round(fleet: Fleet) -> None:
    fleet.b.reply = index(m="LOADING", n="READY")
    assert await fleet.look() == {
        "a": {KEY: "READY"},
        "b": {KEY: "LOADING", VersionKey("n", "1"): "READY"},
    }


async def _refuses(request: web.Request) -> web.StreamResponse:
    return web.Response(status=403, text='{"error": "This API is restricted"}')


async def _redirects(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b"[" * 65536)
    except (ConnectionError, asyncio.CancelledError):
        return response


async def _breaks(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("bad", [_refuses, _redirects, _endless, _breaks, Triton.hang, b"<html>", b"{}"])
async def test_a_pod_that_does_not_answer_has_no_states_and_costs_only_itself(
    fleet: Fleet, bad: Reply | bytes | Callable[..., Awaitable[web.StreamResponse]]
) -> None:
    await fleet.look()
    fleet.a.reply = fleet.a.hang if bad is Triton.hang else bad
    assert await fleet.look() == {"a": None, "b": {KEY: "READY"}}
    fleet.a.reply = index(m="READY")
    assert await fleet.look() == {"a": {KEY: "READY"}, "b": {KEY: "READY"}}
    loads = [models.versions[KEY].loads for models in fleet.reader.pods.values()]
    assert loads == [0, 0], "what was not seen is no load"


async def test_pods_that_are_gone_or_go_lose_their_states_and_one_without_an_address_is_not_asked(
    fleet: Fleet,
) -> None:
    await fleet.look()
    going = replace(target("a", fleet.a.url), phase=Phase.TERMINATING)
    fleet.know(going, target("c", None))
    assert await fleet.look() == {}
    assert fleet.a.asked == 1


async def test_a_container_that_stopped_is_not_asked_and_loads_anew(fleet: Fleet) -> None:
    await fleet.look()
    stopped = replace(target("a", fleet.a.url), phase=Phase.STOPPED)
    fleet.know(stopped)
    assert await fleet.look() == {"a": None}
    fleet.know(replace(stopped, phase=Phase.RUNNING, restarts=1))
    assert await fleet.look() == {"a": {KEY: "READY"}}
    assert fleet.reader.pods[stopped.key].versions[KEY].loads == 1
    assert fleet.a.asked == 2


async def test_a_restart_between_two_looks_is_seen_by_its_count(fleet: Fleet) -> None:
    await fleet.look()
    again = replace(target("a", fleet.a.url), restarts=1)
    fleet.know(again)
    await fleet.look()
    history = fleet.reader.pods[again.key].versions[KEY]
    assert (history.loads, history.unloads) == (1, 0)


async def test_a_pod_that_began_in_sight_has_loaded_what_it_shows_first(fleet: Fleet) -> None:
    born = replace(target("a", fleet.a.url), born_in_sight=True)
    fleet.know(replace(born, phase=Phase.STARTING))
    assert await fleet.look() == {"a": None}
    fleet.know(born)
    await fleet.look()
    assert fleet.reader.pods[born.key].versions[KEY].loads == 1


async def test_rounds_go_on_and_settings_are_asked_again(fleet: Fleet) -> None:
    asked = [0]

    def settings() -> IndexSettings:
        asked[0] += 1
        return IndexSettings(interval=0.01, timeout=0.5)

    reader = IndexReader(lambda: fleet.targets, settings, fleet.session, lambda: fleet.now)
    running = asyncio.create_task(reader.run())
    async with asyncio.timeout(5):
        while fleet.a.asked < 3:  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.01)
    running.cancel()
    assert asked[0] >= 3
