"""List, then watch, against a strict server on loopback; time and sleep are the test's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from telemetry.kube_client import KubernetesClient
from telemetry.listwatch import Backoff, EventType, KubernetesObject, ListWatch
from tests.kube.api_server import (
    ApiServer,
    api_server,
    bookmark,
    error_event,
    event,
    kubeconfig,
    page,
    pod,
    refusal,
    stream,
)

PODS = "/api/v1/namespaces/prod/pods"
LIST = f"{PODS}?limit=500"


def watch_from(version: int) -> str:
    return f"{PODS}?allowWatchBookmarks=true&resourceVersion={version}&watch=true"


class Seen:
    """A sink that writes down what it is told, in words."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def replace(self, objects: Sequence[KubernetesObject]) -> None:
        self.log.append(f"all: {' '.join(o.metadata.name for o in objects)}")

    def apply(self, event_type: EventType, obj: KubernetesObject) -> None:
        self.log.append(f"{event_type} {obj.metadata.name}")


class Story:
    """A running list-and-watch with what it did: what the sink saw, and which delays it asked for."""

    def __init__(self, server: ApiServer, client: KubernetesClient) -> None:
        self.server = server
        self.seen = Seen()
        self.delays: list[float] = []
        self.problems: list[str | None] = []
        self.now = 1000.0
        self.watch = ListWatch(
            client,
            PODS,
            KubernetesObject,
            self.seen,
            backoff=Backoff(uniform=lambda _low, high: high),  # the bound itself, without the jitter
            clock=lambda: self.now,
            sleep=self._sleep,
        )
        self.on_sleep: Callable[[], None] = lambda: None

    async def _sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        self.problems.append(self.watch.problem)
        self.on_sleep()
        await asyncio.sleep(0)

    async def until_the_script_ends(self, *, and_well: bool = False) -> None:
        """`and_well`: and the watch that it ends with has no problem any more."""
        task = asyncio.create_task(self.watch.run())
        waiting = asyncio.create_task(self._ended(and_well))
        await asyncio.wait({task, waiting}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        waiting.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)

    async def _ended(self, and_well: bool) -> None:
        await self.server.done.wait()
        # ASYNC110: the problem is read by whoever asks, and tells nobody when it changes.
        while and_well and self.watch.problem is not None:  # noqa: ASYNC110
            await asyncio.sleep(0)


@asynccontextmanager
async def story(folder: Path, *, watch_idle_seconds: float = 5.0) -> AsyncIterator[Story]:
    async with (
        api_server() as server,
        KubernetesClient(
            kubeconfig=kubeconfig(folder, server.url), watch_idle_seconds=watch_idle_seconds
        ) as client,
    ):
        yield Story(server, client)


async def test_a_watch_begins_where_the_last_page_of_the_list_ends(tmp_path: Path) -> None:
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(pod("a"), version=7, following="next"))
        told.server.expect(f"{PODS}?continue=next&limit=500", page(pod("b"), version=7))
        told.server.expect(watch_from(7), stream(event("ADDED", pod("c", 8)), event("DELETED", pod("a", 9))))
        told.server.expect(watch_from(9), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.seen.log == ["all: a b", "ADDED c", "DELETED a"]
        assert told.watch.synced
        assert told.watch.last_contact == 1000.0


async def test_an_empty_list_may_be_null_and_still_replaces_everything(tmp_path: Path) -> None:
    async with story(tmp_path) as told:

        async def null_items(request: web.Request) -> web.Response:
            return web.json_response({"metadata": {"resourceVersion": "3"}, "items": None})

        told.server.expect(LIST, null_items)
        told.server.expect(watch_from(3), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.seen.log == ["all: "]


async def test_a_bookmark_moves_the_version_on_while_nothing_changes(tmp_path: Path) -> None:
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(pod("a"), version=7))
        told.server.expect(watch_from(7), stream(bookmark(90)))
        told.server.expect(watch_from(90), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.seen.log == ["all: a"]


@pytest.mark.parametrize("where", ["in the watch", "as its answer"])
async def test_a_version_that_is_gone_means_list_again(tmp_path: Path, where: str) -> None:
    in_the_watch = stream(error_event(410, "Expired"))
    gone = in_the_watch if where == "in the watch" else refusal(410, "Expired", "too old")
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(pod("a"), version=7))
        told.server.expect(watch_from(7), gone)
        told.server.expect(LIST, page(pod("b"), version=50))
        told.server.expect(watch_from(50), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.seen.log == ["all: a", "all: b"]
        assert told.delays == [0.5]


async def test_a_server_that_closes_at_once_is_asked_ever_more_seldom(tmp_path: Path) -> None:
    """Though each watch sends a bookmark first: 2,340 requests a second were measured from a client that took
    that for health."""
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(version=1))
        for version in range(1, 10):
            told.server.expect(watch_from(version), stream(bookmark(version + 1)))
        told.server.expect(watch_from(10), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        assert told.problems[-1] == f"the server ends watches of {PODS} at once"


async def test_only_a_watch_that_lasted_lets_the_back_off_begin_anew(tmp_path: Path) -> None:
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(version=1))
        for _ in range(3):
            told.server.expect(watch_from(1), stream())

        async def lasting(request: object) -> object:
            told.now += 300
            return await stream()(request)  # type: ignore[arg-type]

        told.server.expect(watch_from(1), lasting)  # type: ignore[arg-type]
        told.server.expect(watch_from(1), stream())
        told.server.expect(watch_from(1), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.delays == [0.5, 1, 2, 0.5, 1]


async def test_a_list_that_works_does_not_excuse_a_watch_that_does_not(tmp_path: Path) -> None:
    async with story(tmp_path) as told:
        for _ in range(3):
            told.server.expect(LIST, page(pod("a"), version=7))
            told.server.expect(watch_from(7), refusal(500, "InternalError", "no"))
        await told.until_the_script_ends()
        assert told.delays[:2] == [0.5, 1]


@pytest.mark.parametrize(
    "line",
    [
        b"{not json}\n",
        b'{"type": "ADDED"}\n',
        b'{"type": "ADDED", "object": {"metadata": {"name": 3}}}\n',
        b'{"type": "PATCHED", "object": {"metadata": {"name": "x"}}}\n',
        b"\xff\xfe\n",
    ],
)
async def test_a_malformed_line_may_have_been_a_deletion_so_all_is_listed_again(
    tmp_path: Path, line: bytes
) -> None:
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(pod("a"), version=7))
        told.server.expect(watch_from(7), stream(event("ADDED", pod("b", 8)), line, event("ADDED", pod("c"))))
        told.server.expect(LIST, page(pod("a"), version=9))
        told.server.expect(watch_from(9), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.seen.log == ["all: a", "ADDED b", "all: a"]
        assert told.delays == [0.5]


async def test_a_watch_that_falls_silent_is_given_up_and_resumed_from_its_version(tmp_path: Path) -> None:
    async with story(tmp_path, watch_idle_seconds=0.05) as told:
        told.server.expect(LIST, page(pod("a"), version=7))
        told.server.expect(watch_from(7), stream(bookmark(8), then_hang=True))
        told.server.expect(watch_from(8), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.seen.log == ["all: a"]
        assert told.problems == [
            f'cannot watch pods in namespace "prod": no answer in time from {told.server.url}'
        ]


async def test_an_event_cut_off_in_its_middle_is_not_lost(tmp_path: Path) -> None:
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(version=7))
        told.server.expect(watch_from(7), stream(b'{"type": "ADDED", "object": {"metadata"'))
        told.server.expect(watch_from(7), stream(event("ADDED", pod("b", 8))))
        told.server.expect(watch_from(8), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.seen.log == ["all: ", "ADDED b"]


async def test_a_missing_right_is_named_and_asked_for_again(tmp_path: Path) -> None:
    said = 'pods is forbidden: User "x" cannot list resource "pods"'
    async with story(tmp_path) as told:
        told.server.expect(LIST, refusal(403, "Forbidden", said))
        told.server.expect(LIST, page(pod("a"), version=7))
        told.server.expect(watch_from(7), stream(then_hang=True))
        await told.until_the_script_ends(and_well=True)
        assert told.problems == [
            f'cannot list pods in namespace "prod": 403 {said};'
            ' grant this identity the right to list pods in namespace "prod"'
        ]
        assert told.seen.log == ["all: a"]
        assert told.watch.problem is None


async def test_a_watch_that_is_refused_stays_told_though_the_list_works_and_is_logged_once(
    tmp_path: Path,
) -> None:
    said = 'pods is forbidden: User "x" cannot watch resource "pods"'
    problem = (
        f'cannot watch pods in namespace "prod": 403 {said};'
        ' grant this identity the right to watch pods in namespace "prod"'
    )
    during: list[str | None] = []
    async with story(tmp_path) as told:

        async def list_again(request: web.Request) -> web.StreamResponse:
            during.append(told.watch.problem)
            return await page(pod("a"), version=7)(request)

        for _ in range(3):
            told.server.expect(LIST, list_again)
            told.server.expect(watch_from(7), refusal(403, "Forbidden", said))
        told.server.expect(LIST, list_again)
        told.server.expect(watch_from(7), stream(then_hang=True))
        with capture_logs() as logs:
            await told.until_the_script_ends(and_well=True)
    assert during == [None, problem, problem, problem]
    assert told.problems == [problem] * 3
    assert [(entry["event"], entry.get("cause")) for entry in logs] == [
        ("watch fails", problem),
        ("watch goes on", None),
    ]


async def test_watches_that_end_at_once_are_one_trouble_until_one_lasts(tmp_path: Path) -> None:
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(version=1))
        for _ in range(3):
            told.server.expect(watch_from(1), stream())

        async def lasting(request: web.Request) -> web.StreamResponse:
            told.now += 10
            return await stream(then_hang=True)(request)

        told.server.expect(watch_from(1), lasting)
        with capture_logs() as logs:
            await told.until_the_script_ends(and_well=True)
    assert [entry["event"] for entry in logs] == ["watch fails", "watch goes on"]


async def test_an_expired_page_starts_the_list_again_and_shows_nothing_half(tmp_path: Path) -> None:
    async with story(tmp_path) as told:
        told.server.expect(LIST, page(pod("a"), version=7, following="next"))
        told.server.expect(f"{PODS}?continue=next&limit=500", refusal(410, "Expired", "token expired"))
        told.server.expect(LIST, page(pod("b"), version=9))
        told.server.expect(watch_from(9), stream(then_hang=True))
        await told.until_the_script_ends()
        assert told.seen.log == ["all: b"]


def test_back_off_has_full_jitter() -> None:
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high / 2

    backoff = Backoff(first_seconds=1, most_seconds=3, uniform=uniform)
    assert [backoff.next_seconds() for _ in range(3)] == [0.5, 1.0, 1.5]
    assert bounds == [(0, 1), (0, 2), (0, 3)]
