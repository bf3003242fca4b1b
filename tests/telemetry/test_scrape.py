"""The scrape loop against real servers on loopback that fail in every way a target can; bad ones cost only themselves."""

import asyncio
import gc
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest
from aiohttp import web

from telemetry.http_body import PlainPages, scrape_session
from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets
from tests.telemetry.timeline import FAMILIES, SUCCESS, WINDOW, M, model

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGE = model(10, failure=0, pending=0)
PLAIN_CONFIG = '{"name": "m"}'


class Triton:
    """A strict server: it answers what it was told to, writes down what was asked, and knows nothing else."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.page: Reply | str = PAGE
        self.configs: dict[str, Reply | str] = {"m": PLAIN_CONFIG}
        self.url = ""
        self.closing = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/metrics":
            return await self._reply(self.page, request)
        name = request.path.removeprefix("/v2/models/").removesuffix("/config")
        return await self._reply(self.configs[name], request)

    async def _reply(self, reply: Reply | str, request: web.Request) -> web.StreamResponse:
        return web.Response(text=reply) if isinstance(reply, str) else await reply(request)

    async def hang(self, request: web.Request) -> web.StreamResponse:
        await self.closing.wait()
        return web.Response()

    def configs_asked(self) -> int:
        return sum(path.endswith("/config") for path in self.asked)


@asynccontextmanager
async def triton() -> AsyncIterator[Triton]:
    server = Triton()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
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


@dataclass
class Fleet:
    """Two Tritons, a and b, a scraper over them, and its clock."""

    a: Triton
    b: Triton
    targets: Targets
    session: aiohttp.ClientSession
    now: float = 100.0

    def __post_init__(self) -> None:
        self.be_patient(0.8)

    def be_patient(self, timeout: float) -> None:
        """For what is slow on a busy machine; what was scraped before is forgotten."""
        self.scraper = Scraper(
            self.targets,
            FAMILIES,
            [WINDOW],
            ScrapeSettings(interval=5.0, timeout=timeout),
            PlainPages(self.session),
            lambda: self.now,
        )

    def change(self, pod: str, **fields: object) -> None:
        by_key = dict(self.targets.by_key)
        key = PodKey("prod", pod, "")
        by_key[key] = replace(by_key[key], **fields)  # type: ignore[arg-type]
        self.targets.replace(by_key)

    async def round(self) -> dict[str, PodState]:
        """One scrape of all, five seconds after the last."""
        await self.scraper.scrape_all()
        self.now += 5
        return self.known()

    def states(self, pod: str) -> list[PodState]:
        """The pod as it stands, and what it was before it last stopped."""
        return [state for state in self.scraper.pods("prod") if state.target.key.pod == pod]

    def standing(self, pod: str) -> list[tuple[Phase, float | None]]:
        """Phase and second of the last sample."""
        return [
            (state.target.phase, state.windows[WINDOW].at if state.windows else None)
            for state in self.states(pod)
        ]

    def known(self) -> dict[str, PodState]:
        return {state.target.key.pod: state for state in self.scraper.pods("prod")}


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(triton()) for _ in range(2)]
        session = await stack.enter_async_context(scrape_session())
        targets = Targets()
        targets.replace({t.key: t for t in (_target("a", a), _target("b", b))})
        yield Fleet(a, b, targets, session)


def _target(name: str, server: Triton) -> Target:
    return Target(PodKey("prod", name, ""), f"{server.url}/metrics", server.url, Phase.RUNNING, ready=True)


async def _reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _error(request: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text=PAGE)


async def _redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def _latin(request: web.Request) -> web.StreamResponse:
    return web.Response(body='m{a="é"} 1\n'.encode("latin-1"))


_BOMB = gzip.compress(b"# nothing\n" * 5_000_000, 9)


async def _bomb(request: web.Request) -> web.StreamResponse:
    """50 kB that would be 50 MB."""
    return web.Response(body=_BOMB, headers={"Content-Encoding": "gzip"})


async def _compressed(request: web.Request) -> web.StreamResponse:
    return web.Response(body=gzip.compress(PAGE.encode()), headers={"Content-Encoding": "gzip"})


async def _cut_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000"})
    await response.prepare(request)
    await response.write(PAGE.encode())
    assert request.transport is not None
    request.transport.close()
    return response


async def _bad_chunks(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno chunk\r\n")
    request.transport.close()
    return web.Response()


async def _not_http(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"220 smtp.example ESMTP\r\n")
    request.transport.close()
    return web.Response()


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"# more\n" * 100_000)


_garbage = iter(range(10**6))


async def _moving_garbage(request: web.Request) -> web.StreamResponse:
    return web.Response(text=f"m {next(_garbage)} of 12\n")


FORMAT = "sends a page that is not in the Prometheus text format"


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (None, "timed out"),
        (_reset, "connection broke"),
        (_error, "answers HTTP 500"),
        (_redirect, "answers HTTP 302"),
        (_latin, "sends a page that is not UTF-8 text"),
        (_bomb, "sends a page that is not UTF-8 text"),
        (_compressed, "sends a page that is not UTF-8 text"),
        (_cut_body, "connection broke"),
        (_bad_chunks, "connection broke"),
        (_not_http, "connection broke"),
        (_moving_garbage, FORMAT),
        ("", FORMAT),
        (PAGE[:-1], FORMAT),
        (PAGE + PAGE, "shows a series twice"),
        (PAGE.replace(" 10", " NaN"), "shows a counter that is NaN, infinite or negative"),
        (PAGE.replace(" 10", " Nan"), "shows a counter that is NaN, infinite or negative"),
        ("# a comment\n" * 50_000, "sends more than 50000 lines"),
        (
            "".join(model(1, name=f"m{n}") for n in range(2001)),
            "shows more than 2000 model versions and GPUs",
        ),
    ],
)
async def test_a_bad_target_costs_only_itself_and_says_the_same_at_every_scrape(
    fleet: Fleet, reply: Reply | str | None, failure: str
) -> None:
    await fleet.round()
    fleet.a.page = fleet.a.hang if reply is None else reply
    first, second = await fleet.round(), await fleet.round()
    assert [first["a"].failure, second["a"].failure, second["b"].failure] == [failure, failure, None]
    assert (second["a"].windows[WINDOW].at, second["b"].windows[WINDOW].at) == (100.0, 110.0)
    assert "/elsewhere" not in fleet.a.asked


async def test_many_mute_targets_do_not_delay_the_others(fleet: Fleet) -> None:
    """Waiting for one after the other, a hundred at a time, 500 of them would take five timeouts."""
    timeout = 0.8
    fleet.be_patient(timeout)
    fleet.a.page = fleet.a.hang
    mute = _target("a", fleet.a)
    keys = [PodKey("prod", f"mute-{n}", "") for n in range(500)]
    fleet.targets.replace({**fleet.targets.by_key, **{key: replace(mute, key=key) for key in keys}})
    await fleet.round()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    states = await fleet.round()
    assert (states["mute-7"].failure, states["b"].failure) == ("timed out", None)
    assert loop.time() - begun < 4 * timeout


async def test_pages_as_large_as_they_may_be_hold_up_nobody(fleet: Fleet) -> None:
    """Ten at once, of models never seen before: seconds of reading. In processor time of the loop's own thread: how long others on
    the machine keep it from running is not its doing, nor is what a garbage collection finds of thousands of tests before."""
    fleet.be_patient(30.0)
    gc.collect()
    gc.freeze()
    fleet.a.page = "".join(model(n, name=f"m{n}", failure=0, pending=n) for n in range(16_000))
    large = _target("a", fleet.a)
    keys = [PodKey("prod", f"large-{n}", "") for n in range(10)]
    fleet.targets.replace({**fleet.targets.by_key, **{key: replace(large, key=key) for key in keys}})
    longest, begun = 0.0, time.thread_time()

    async def watch_the_loop() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)

    watching = asyncio.create_task(watch_the_loop())
    states = await fleet.round()
    watching.cancel()
    took = time.thread_time() - begun
    gc.unfreeze()
    assert states["large-7"].failure == "shows more than 2000 model versions and GPUs"
    assert states["b"].failure is None
    assert longest < took / 8, f"{longest:.2f} s of {took:.2f} s"


async def test_an_endless_page_is_cut_off(fleet: Fleet) -> None:
    fleet.a.page = _endless
    states = await fleet.round()
    assert states["a"].failure in ("timed out", "sends more than 8388608 bytes")
    assert states["b"].failure is None


async def test_a_target_that_nobody_listens_for_is_unreachable(fleet: Fleet) -> None:
    fleet.change("a", metrics_url="http://127.0.0.1:9/metrics")
    assert (await fleet.round())["a"].failure == "connection refused or unreachable"


async def test_a_pod_that_answers_has_windows_and_facts(fleet: Fleet) -> None:
    state = (await fleet.round())["a"]
    assert (state.failure, state.models, state.windows[WINDOW].rows[M].increase[SUCCESS]) == (
        None,
        {"m": ModelFacts(queue_delay_us=0, instances=0)},
        0.0,
    )


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.STOPPED, Phase.TERMINATING])
async def test_only_a_running_pod_is_asked(fleet: Fleet, phase: Phase) -> None:
    fleet.change("a", phase=phase)
    await fleet.round()
    assert (fleet.a.asked, fleet.b.asked[:1]) == ([], ["/metrics"])


async def test_a_container_that_stopped_departs_and_the_next_one_begins_anew(fleet: Fleet) -> None:
    """What it did is set aside as stopped until it slides out of the window. While the next one loads it has no last contribution
    that could expire, and it is born in sight: its counters count from zero."""
    await fleet.round()
    fleet.change("a", phase=Phase.STOPPED)
    await fleet.round()
    fleet.change("a", phase=Phase.RUNNING, ready=False)
    fleet.a.page = _reset
    await fleet.round()
    assert fleet.standing("a") == [(Phase.RUNNING, None), (Phase.STOPPED, 100.0)]
    fleet.a.page = model(4, failure=0, pending=0)
    await fleet.round()
    window = fleet.states("a")[0].windows[WINDOW]
    assert (window.full, window.rows[M].increase[SUCCESS]) == (True, 4.0)
    for _ in range(5):
        await fleet.round()
    assert [phase for phase, _ in fleet.standing("a")] == [Phase.RUNNING]


async def test_a_models_configuration_is_read_once(fleet: Fleet) -> None:
    for _ in range(3):
        await fleet.round()
    assert fleet.a.asked == ["/metrics", "/v2/models/m/config", "/metrics", "/metrics"]


async def test_a_model_that_was_unloaded_is_asked_for_again_when_it_returns(fleet: Fleet) -> None:
    await fleet.round()
    fleet.a.page = model(failure=0)
    for _ in range(8):
        await fleet.round()
    assert fleet.known()["a"].models == {}
    fleet.a.configs["m"] = '{"name": "m", "model_transaction_policy": {"decoupled": true}}'
    fleet.a.page = model(0, failure=0, pending=0)
    assert (await fleet.round())["a"].models == {
        "m": ModelFacts(decoupled=True, queue_delay_us=0, instances=0)
    }


_NESTED = '{"name": "m", "other": ' + "[" * 100_000


@pytest.mark.parametrize("config", [_error, "not json", "[]", '{"name": 3}', "{}", _NESTED, None])
async def test_an_unreadable_configuration_is_unknown_and_asked_for_more_and_more_rarely(
    fleet: Fleet, config: Reply | str | None
) -> None:
    """The page counts all the same."""
    fleet.a.configs["m"] = fleet.a.hang if config is None else config
    states = [(await fleet.round())["a"] for _ in range(14)]
    assert fleet.a.configs_asked() == 3  # at 0 s, 10 s and 30 s, and next at 70 s
    assert {(state.failure, len(state.models)) for state in states} == {(None, 0)}
    fleet.a.configs["m"] = PLAIN_CONFIG
    assert (await fleet.round())["a"].models == {"m": ModelFacts(queue_delay_us=0, instances=0)}


async def test_a_model_may_have_any_name(fleet: Fleet) -> None:
    fleet.a.page = model(1, name="a/b ?#%")
    fleet.a.configs["a/b ?#%"] = '{"name": "x"}'
    assert (await fleet.round())["a"].models == {"a/b ?#%": ModelFacts(queue_delay_us=0, instances=0)}


async def test_a_target_that_disappears_departs_until_its_window_has_passed(fleet: Fleet) -> None:
    """At once, not at the next round: between the two its work must be neither lost nor counted twice."""
    await fleet.round()
    kept = dict(fleet.targets.by_key)
    fleet.targets.replace({k: t for k, t in kept.items() if k.pod == "b"})
    assert fleet.standing("a") == [(Phase.TERMINATING, 100.0)]
    for _ in range(5):
        await fleet.round()
        assert fleet.standing("a") == [(Phase.TERMINATING, 100.0)]
    await fleet.round()
    assert fleet.standing("a") == []
    fleet.targets.replace(kept)
    assert [state.windows for state in fleet.states("a")] == [{}]


async def test_another_namespace_shows_nothing(fleet: Fleet) -> None:
    await fleet.round()
    assert list(fleet.scraper.pods("other")) == []
