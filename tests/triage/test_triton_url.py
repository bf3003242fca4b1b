"""What a Triton server is asked over HTTP, and what each kind of answer is taken for: strict peers on loopback."""

import asyncio
import base64
import contextlib
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from triage.collect import Found, Question
from triage.evidence import (
    IndexRow,
    Missing,
    ModelConfig,
    Readiness,
    RepositoryIndex,
    ServerMetadata,
)
from triage.probes.triton_questions import FOLLOWED_MODELS, MAX_ANSWER_BYTES
from triage.probes.triton_url import check_url, triton_questions
from triage.seal import Seal

INDEX = "POST /v2/repository/index"


class Peer:
    """Answers these requests by `METHOD RAW-PATH`, and fails the test on any other."""

    def __init__(self, answers: dict[str, web.Response]) -> None:
        self.answers = answers
        self.unexpected: list[str] = []
        self.seen: list[web.Request] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        await request.read()
        asked = f"{request.method} {request.raw_path}"
        if asked not in self.answers:
            self.unexpected.append(asked)
            return web.Response(status=500)
        return self.answers[asked]


@asynccontextmanager
async def peer(answers: dict[str, web.Response], host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    triton = Peer(answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", triton.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    shown = f"[{host}]" if ":" in host else host
    triton.url = f"http://{shown}:{runner.addresses[0][1]}"
    try:
        yield triton
    finally:
        await runner.cleanup()
    assert not triton.unexpected


@asynccontextmanager
async def raw_peer(answer: bytes) -> AsyncIterator[str]:
    """Says these bytes to whoever connects, whatever was asked, and hangs up."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        yield f"http://u:pass@127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Plain:
    masked = 0

    def line(self, text: str) -> str:
        return text

    def value(self, value: Any) -> Any:
        return value


async def ask(url: str, name: str, **more: str) -> Found:
    async with aiohttp.ClientSession() as session:
        (question,) = [q for q in triton_questions(url, session, **more) if q.id == name]
        return await question.ask(Seal(Plain()))


async def ask_all(questions: Sequence[Question]) -> dict[str, object]:
    return {question.id: (await question.ask(Seal(Plain()))).facts for question in questions}


def said(body: object, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


async def test_a_server_is_asked_for_its_index_its_version_and_its_readiness_and_nothing_is_changed() -> None:
    rows = [{"name": "a", "version": "1", "state": "READY"}, {"name": "never-loaded"}]
    answers = {
        INDEX: said(rows),
        "GET /v2": said({"name": "triton", "version": "2.51.0", "extensions": ["x"]}),
        "GET /v2/health/ready": web.Response(status=400),
    }
    async with peer(answers) as triton, aiohttp.ClientSession() as session:
        got = await ask_all(triton_questions(triton.url, session))
    assert got == {
        "index": RepositoryIndex((IndexRow("a", "1", "READY"), IndexRow("never-loaded"))),
        "metadata": ServerMetadata("triton", "2.51.0", ("x",)),
        "readiness": Readiness(400),
    }


async def test_a_question_shows_how_to_ask_it_by_hand_without_the_password() -> None:
    async with aiohttp.ClientSession() as session:
        index, *_ = triton_questions(check_url("http://o'neil:s3cret@h:8000/pre"), session, "pod-1")
    assert (index.source, index.query, index.command, index.subject) == (
        "Triton at http://h:8000/pre",
        INDEX,
        """curl -s -u 'o'"'"'neil' -X POST -d '{}' http://h:8000/pre/v2/repository/index""",
        "pod-1",
    )


async def test_credentials_in_the_address_are_sent() -> None:
    async with peer({"GET /v2/health/ready": web.Response()}) as triton:
        found = await ask(triton.url.replace("//", "//me:p%40ss@"), "readiness")
    sent = triton.seen[0].headers["Authorization"]
    assert (found.facts, base64.b64decode(sent.removeprefix("Basic "))) == (Readiness(200), b"me:p@ss")


async def test_an_ipv6_address_is_asked() -> None:
    async with peer({"GET /v2/health/ready": web.Response()}, "::1") as triton:
        assert (await ask(check_url(triton.url + "/"), "readiness")).facts == Readiness(200)


async def test_each_model_that_is_not_ready_is_asked_about_as_a_model_and_by_its_version_where_it_has_one() -> (
    None
):
    """READY, never asked to load, and unloaded on purpose raise none."""
    rows = [
        IndexRow("ok", "1", "READY"),
        IndexRow("never"),
        IndexRow("gone", "1", "UNAVAILABLE", "unloaded"),
        IndexRow("bad", "2", "UNAVAILABLE", "no"),
        IndexRow("slow", "", "LOADING"),
    ]
    assert await follow_ups(rows) == [
        ("readiness:bad", "GET /v2/models/bad/ready"),
        ("config:bad/2", "GET /v2/models/bad/versions/2/config"),
        ("readiness:bad/2", "GET /v2/models/bad/versions/2/ready"),
        ("readiness:slow", "GET /v2/models/slow/ready"),
        ("config:slow", "GET /v2/models/slow/config"),
    ]


async def follow_ups(rows: list[IndexRow], model: str = "") -> list[tuple[str, str]]:
    body = [{"name": r.name, "version": r.version, "state": r.state, "reason": r.reason} for r in rows]
    async with peer({INDEX: said(body)}) as triton:
        return [(q.id, q.query) for q in (await ask(triton.url, "index", model=model)).then]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b", "a%2Fb"),
        ("a:b", "a%3Ab"),
        ("100%", "100%25"),
        ("größe 模型", "gr%C3%B6%C3%9Fe%20%E6%A8%A1%E5%9E%8B"),
        ("a?b#c'd", "a%3Fb%23c%27d"),
        ("%2F..", "%252F.."),
    ],
)
async def test_a_models_name_stays_one_part_of_the_path_as_it_is_sent(name: str, path: str) -> None:
    rows = [{"name": name, "version": "1", "state": "UNAVAILABLE", "reason": "no"}]
    answers = {
        INDEX: said(rows),
        f"GET /v2/models/{path}/ready": web.Response(status=200),
        f"GET /v2/models/{path}/versions/1/ready": web.Response(status=400),
        f"GET /v2/models/{path}/versions/1/config": said({"backend": "onnxruntime", "max_batch_size": 8}),
    }
    async with peer(answers) as triton, aiohttp.ClientSession() as session:
        index = triton_questions(triton.url, session)[0]
        got = await ask_all((await index.ask(Seal(Plain()))).then)
    assert got == {
        f"readiness:{name}": Readiness(200, name),
        f"readiness:{name}/1": Readiness(400, name, "1"),
        f"config:{name}/1": ModelConfig(name, True, "onnxruntime", "", 8),
    }


async def test_of_many_failing_models_the_asked_one_is_followed_first_then_those_with_a_reason() -> None:
    rows = [IndexRow(f"busy{n}", "1", "LOADING") for n in range(30)]
    rows += [IndexRow(f"bad{n}", "1", "UNAVAILABLE", "no") for n in range(100)]
    followed = [name for name, _ in await follow_ups(rows, "bad77")][::3]
    assert followed == ["readiness:bad77", *(f"readiness:bad{n}" for n in range(FOLLOWED_MODELS - 1))]


@pytest.mark.parametrize("status", [400, 404, 503])
async def test_a_version_that_is_not_loaded_has_no_configuration(status: int) -> None:
    rows = [{"name": "m", "version": "1", "state": "UNAVAILABLE", "reason": "no"}]
    config = "GET /v2/models/m/versions/1/config"
    answers = {INDEX: said(rows), config: said({"error": "no"}, status)}
    async with peer(answers) as triton, aiohttp.ClientSession() as session:
        index = triton_questions(triton.url, session)[0]
        _, question, _ = (await index.ask(Seal(Plain()))).then
        assert await question.ask(Seal(Plain())) == Found(ModelConfig("m", loaded=False))


WRONG_PORT = "is this Triton's HTTP port? The metrics port and gRPC do not answer this"
RESTRICTED = "ask from where --http-restricted-api lets you, or through the pod's own port"
STARTING = "the server is starting or stopping: ask again, or give its log"


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        (
            said({"error": "restricted"}, 403),
            Missing("forbidden", "the repository index: HTTP 403 restricted", RESTRICTED),
        ),
        (
            web.Response(status=401, body=b"Zugriff verweigert f\xfcr"),
            Missing("forbidden", "the repository index: HTTP 401 Zugriff verweigert f\ufffdr", RESTRICTED),
        ),
        (web.Response(status=503), Missing("not_started", "the repository index: HTTP 503", STARTING)),
        (
            web.Response(status=404, text="<html>no</html>"),
            Missing("refused", "the repository index: HTTP 404 <html>no</html>", WRONG_PORT),
        ),
        (
            web.Response(status=302, headers={"Location": "http://127.0.0.1:1/elsewhere"}),
            Missing("refused", "the repository index: HTTP 302", WRONG_PORT),
        ),
        (
            web.Response(status=500, body=b"[" * 100_000),
            Missing("refused", "the repository index: HTTP 500 " + "[" * 300, WRONG_PORT),
        ),
        (
            said({"error": ["odd"]}, 500),
            Missing("refused", "the repository index: HTTP 500 ['odd']", WRONG_PORT),
        ),
    ],
)
async def test_what_the_server_refuses_is_missing_with_its_own_words(
    answer: web.Response, missing: Missing
) -> None:
    async with peer({INDEX: answer}) as triton:
        assert await ask(triton.url, "index") == Found(missing)


async def test_tritons_own_error_over_a_repository_is_evidence_and_a_gateways_page_is_none() -> None:
    error = "failed to open directory /models: Permission denied"
    async with peer({INDEX: said({"error": error}, 500)}) as triton:
        assert await ask(triton.url, "index") == Found(RepositoryIndex((), error))
    async with peer({INDEX: web.Response(status=500, text=error)}) as triton:
        missing = Missing("refused", f"the repository index: HTTP 500 {error}", WRONG_PORT)
        assert await ask(triton.url, "index") == Found(missing)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"null",
        b'[{"version": "1"}]',
        b'[{"name": "a"}',
        b'[{"name": "\xff"}]',
        b'[{"name": "\\ud800"}]',
        b"[" * 100_000,
        b'[{"name": "a", "state": ["READY"]}]',
        b"\x1f\x8b\x08\x00",
    ],
)
@pytest.mark.parametrize("path", ["index", "metadata"])
async def test_a_200_that_is_not_tritons_is_no_answer(path: str, body: bytes) -> None:
    answers = {INDEX: web.Response(body=body), "GET /v2": web.Response(body=body)}
    async with peer(answers) as triton:
        found = await ask(triton.url, path)
    assert isinstance(found.facts, Missing)
    assert (found.facts.reason, found.facts.detail.partition(": ")[0]) == (
        "parse_error",
        "the answer is not Triton's",
    )


async def test_what_comes_packed_although_it_was_not_asked_for_is_not_unpacked() -> None:
    """A few bytes may unpack to gigabytes."""
    packed = web.Response(body=gzip.compress(b"[]"), headers={"Content-Encoding": "gzip"})
    async with peer({INDEX: packed}) as triton:
        found = await ask(triton.url, "index")
    assert isinstance(found.facts, Missing)
    assert found.facts.reason == "parse_error"


@pytest.mark.parametrize("status", [301, 302, 404, 405, 500, 502])
async def test_a_status_that_triton_never_gives_as_readiness_is_no_answer(status: int) -> None:
    """So a wrong port or a gateway's error does not make a server or a model not ready."""
    async with peer({"GET /v2/health/ready": web.Response(status=status)}) as triton:
        found = await ask(triton.url, "readiness")
    assert found == Found(Missing("refused", f"readiness: HTTP {status}", WRONG_PORT))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x00\x00\x18\x04\x00\x00\x00\x00\x00\x00\x04\x00\x40\x00\x00", id="gRPC"),
        pytest.param(b"", id="closed at once"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[", id="closed early"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", id="a header without end"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="no chunk"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
    ],
)
async def test_a_peer_that_speaks_no_http_to_the_end_is_unreachable(body: bytes) -> None:
    """And its answer does not bring the password of the address into the evidence."""
    async with raw_peer(body) as url:
        found = await ask(url, "index")
    assert isinstance(found.facts, Missing)
    assert (found.facts.reason, "pass" in found.facts.detail) == ("unreachable", False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://" + "a" * 70 + ".invalid", "https://127.0.0.1:1", "http://[::1]:1"]
)
async def test_nobody_there_is_unreachable(url: str) -> None:
    found = await ask(check_url(url), "metadata")
    assert isinstance(found.facts, Missing)
    assert found.facts.reason == "unreachable"


async def test_an_answer_without_end_is_left_when_it_is_too_large() -> None:
    async with raw_peer(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (MAX_ANSWER_BYTES * 2)) as url:
        found = await ask(url, "index")
    said = f"an answer of more than {MAX_ANSWER_BYTES} bytes"
    assert found == Found(Missing("truncated", said, "ask it by hand"))
