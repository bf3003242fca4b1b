"""A log's head and tail, and the kubelet's refusals, against a strict server on loopback."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from aiohttp import web

from telemetry import container_log
from telemetry.container_log import ContainerLog, LogOutcome, read_log
from telemetry.kube_client import KubernetesClient
from telemetry.kubernetes_api import KubernetesError
from tests.kube.api_server import ApiServer, Reply, api_server, kubeconfig, refusal
from tests.kube.canned_api import CannedApi

LOG = "/api/v1/namespaces/prod/pods/llm-0/log?container=triton"
READ = LogOutcome.READ


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[tuple[ApiServer, KubernetesClient]]:
    async with (
        api_server() as server,
        KubernetesClient(kubeconfig=kubeconfig(folder, server.url)) as client,
    ):
        yield server, client


def text(body: str | bytes) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body.encode() if isinstance(body, str) else body, content_type="text/plain")

    return reply


def stamp(second: int, zone: str = "Z") -> str:
    return f"2026-11-22T12:00:{second:02}.000000001{zone}"


def written(*lines: str) -> bytes:
    """As the API server sends them with `timestamps=true`, a second apart."""
    return "".join(f"{stamp(second)} {line}\n" for second, line in enumerate(lines)).encode()


LINES = [f"line {number}" for number in range(9)]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def read(
    folder: Path, *replies: tuple[str, Reply], limit_bytes: int, tail_lines: int = 2
) -> ContainerLog:
    async with connected(folder) as (server, client):
        for query, reply in replies:
            server.expect(f"{LOG}&limitBytes={limit_bytes}{query}&timestamps=true", reply)
        return await read_log(
            client, "prod", "llm-0", "triton", limit_bytes=limit_bytes, tail_lines=tail_lines
        )


async def test_a_short_log_is_read_at_once_without_its_times(tmp_path: Path) -> None:
    body = written("one", "", "2026-11-22T12:00:00Z is text") + b"%s not UTF-8: \xff\n" % stamp(3).encode()
    assert await read(tmp_path, ("", text(body)), limit_bytes=1000) == ContainerLog(
        READ,
        "one\n\n2026-11-22T12:00:00Z is text\nnot UTF-8: \N{REPLACEMENT CHARACTER}\n",
        begins_at=NOON,
        ends_at=NOON + timedelta(seconds=3),
    )


async def test_an_empty_log_is_read(tmp_path: Path) -> None:
    """Nothing written yet, or the pod is not scheduled."""
    assert await read(tmp_path, ("", text("")), limit_bytes=1000) == ContainerLog(READ)


async def test_the_nodes_own_zone_is_understood(tmp_path: Path) -> None:
    body = f"{stamp(0, '+02:00')} text\n"
    log = await read(tmp_path, ("", text(body)), limit_bytes=1000)
    assert (log.head, log.begins_at) == ("text\n", datetime(2026, 11, 22, 10, tzinfo=UTC))


async def test_a_long_log_gives_its_head_and_its_tail_with_a_gap(tmp_path: Path) -> None:
    body = written(*LINES)
    head = body[: 38 * 3 + 34]
    assert await read(
        tmp_path,
        ("", text(head)),
        ("&tailLines=2", text(body[38 * 7 :])),
        limit_bytes=len(head),
    ) == ContainerLog(
        READ,
        head="line 0\nline 1\nline 2\nlin",
        tail="line 7\nline 8\n",
        gap=True,
        begins_at=NOON,
        ends_at=NOON + timedelta(seconds=8),
    )


class Node(CannedApi):
    """A container's log of these lines, limited as a kubelet limits it."""

    def __init__(self, *lines: str) -> None:
        super().__init__({})
        self.log = written(*lines)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        assert query
        lines = self.log.splitlines(keepends=True)[-int(query.get("tailLines", "0")) :]
        return b"".join(lines)[: int(query["limitBytes"])]


async def test_a_tail_that_begins_in_the_head_is_joined_to_it() -> None:
    """Wherever the head was cut behind the tail's first time; before that it may be that lines are missing."""
    node = Node(*LINES)
    line = len(node.log) // len(LINES)
    for limit in range(4 * line, len(node.log) + 2):
        log = await read_log(node, "prod", "llm-0", "triton", limit_bytes=limit, tail_lines=3)
        if limit >= 6 * line + len(stamp(0)) + 1:
            assert (log.head, log.tail, log.gap) == ("".join(f"{line}\n" for line in LINES), "", False), limit
        else:
            assert (log.head[:28], log.tail, log.gap) == (
                "line 0\nline 1\nline 2\nline 3\n",
                "line 6\nline 7\nline 8\n",
                True,
            ), limit


async def test_equal_lines_do_not_close_a_gap() -> None:
    """Neither do times that begin alike, as all do."""
    node = Node(*["same"] * 9)
    line = len(node.log) // 9
    for limit in range(3 * line, 4 * line):
        log = await read_log(node, "prod", "llm-0", "triton", limit_bytes=limit, tail_lines=2)
        assert (log.head[:15], log.tail, log.gap) == ("same\nsame\nsame\n", "same\nsame\n", True), limit
        assert log.head[15:] in "same"


async def test_a_character_cut_in_two_is_left_out(tmp_path: Path) -> None:
    body = written("é", "x", "y")
    log = await read(
        tmp_path, ("", text(body[:32])), ("&tailLines=1", text(body[-33:])), limit_bytes=32, tail_lines=1
    )
    assert (log.head, log.tail, log.gap) == ("", "y\n", True)


async def test_a_tail_of_long_lines_is_shortened_until_its_end_is_there(tmp_path: Path) -> None:
    lines = written(*["x" * 70] * 8)
    log = await read(
        tmp_path,
        ("", text(lines[:300])),
        ("&tailLines=4", text(lines[-102 * 4 :][:300])),
        ("&tailLines=1", text(lines[-102:])),
        limit_bytes=300,
        tail_lines=4,
    )
    assert (log.tail, log.gap) == ("x" * 70 + "\n", True)


REFUSALS = {
    'previous terminated container "triton" in pod "llm-0" not found': LogOutcome.NO_PREVIOUS,
    'container "triton" in pod "llm-0" is waiting to start: PodInitializing': LogOutcome.NOT_STARTED,
    'container "triton" in pod "llm-0" is waiting to start: trying and failing to pull image': LogOutcome.NOT_STARTED,
    'container "triton" in pod "llm-0" is not available': LogOutcome.NOT_STARTED,
    'container "triton" in pod "llm-0" is terminated': LogOutcome.GONE,
    'pod "llm-0" cannot be found - no logs available': LogOutcome.GONE,
    "unable to retrieve container logs for containerd://9f": LogOutcome.GONE,
    'failed to try resolving symlinks in path "/var/log/pods/0.log": lstat: no such file or directory': LogOutcome.GONE,
}


@pytest.mark.parametrize(("words", "outcome"), REFUSALS.items())
async def test_the_kubelets_refusal_is_an_outcome_with_its_words(
    tmp_path: Path, words: str, outcome: LogOutcome
) -> None:
    async with connected(tmp_path) as (server, client):
        server.expect(f"{LOG}&limitBytes=9&previous=true&timestamps=true", refusal(400, "BadRequest", words))
        log = await read_log(client, "prod", "llm-0", "triton", previous=True, limit_bytes=9)
    assert log == ContainerLog(outcome, words=words)


async def test_a_refusal_under_status_200_is_no_log(tmp_path: Path) -> None:
    words = "unable to retrieve container logs for containerd://9f"
    body = words + "\n"
    assert await read(tmp_path, ("", text(body)), limit_bytes=1000) == ContainerLog(
        LogOutcome.GONE, words=words
    )


async def test_a_container_may_write_a_refusals_words(tmp_path: Path) -> None:
    body = written("unable to retrieve container logs for containerd://9f")
    assert (await read(tmp_path, ("", text(body)), limit_bytes=1000)).outcome is READ


@pytest.mark.parametrize(
    ("status", "words", "said"),
    [
        (
            400,
            "container tritn is not valid for pod llm-0",
            'cannot get pods/log "llm-0" in namespace "prod": 400 container tritn',
        ),
        (403, "forbidden", "grant this identity the right to get pods/log"),
        (404, 'pods "llm-0" not found', '404 pods "llm-0" not found'),
        (500, "dial tcp 10.0.0.3:10250: connect: connection refused", "500 dial tcp"),
    ],
)
async def test_other_failures_are_the_callers(tmp_path: Path, status: int, words: str, said: str) -> None:
    with pytest.raises(KubernetesError) as got:
        await read(tmp_path, ("", refusal(status, "Some", words)), limit_bytes=9)
    assert (got.value.status, got.value.detail) == (status, words)
    assert said in str(got.value)


async def test_lines_since_a_time_are_asked_for_to_the_second_and_can_keep_their_times(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as (server, client):
        asked = f"{LOG}&limitBytes=1000&sinceTime=2026-11-22T12:00:00Z&timestamps=true"
        server.expect(asked, text(written("one", "two")))
        since = datetime(2026, 11, 22, 13, 0, 0, 900_000, timezone(timedelta(hours=1)))
        found = await read_log(
            client, "prod", "llm-0", "triton", since=since, times=True, limit_bytes=1000, tail_lines=2
        )
    assert found == ContainerLog(
        READ, f"{stamp(0)} one\n{stamp(1)} two\n", begins_at=NOON, ends_at=NOON + timedelta(seconds=1)
    )


async def test_a_head_of_many_lines_is_joined_to_its_tail_in_one_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To compare what follows each of the 40,000 lines of 4 MB takes seconds, and nobody else's answer is heard meanwhile."""
    compared = []
    continues = container_log._continues

    def counting(rest: list[str], tail: list[str]) -> bool:
        compared.append(len(rest))
        return continues(rest, tail)

    monkeypatch.setattr(container_log, "_continues", counting)
    node = Node(*(f"line {number}" for number in range(50)))
    log = await read_log(node, "prod", "llm-0", "triton", limit_bytes=len(node.log) - 60, tail_lines=20)
    assert log.head.splitlines() == [f"line {number}" for number in range(50)]
    assert len(compared) <= 2
