"""What is taken for what, of a Prometheus that answers, refuses, hangs or is none: strict peers on loopback."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from telemetry.prometheus import (
    MAX_ANSWER_BYTES,
    THREADS,
    PrometheusAccess,
    PrometheusError,
    PrometheusSource,
    check_prometheus_url,
)

Answer = Callable[[web.Request], Any]
AT = 1_700_000_000.0


def vector(*values: str, **more: Any) -> web.Response:
    rows = [{"metric": {"pod": f"p{n}"}, "value": [AT, value]} for n, value in enumerate(values)]
    return web.json_response({"status": "success", "data": {"resultType": "vector", "result": rows}, **more})


@asynccontextmanager
async def peer(answer: Answer) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Its address, and what it was asked; every request gets this answer."""
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        await request.post()
        made = answer(request)
        found: web.StreamResponse = await made if asyncio.iscoroutine(made) else made
        return found

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def refusal(answer: Answer, access: PrometheusAccess | None = None) -> PrometheusError:
    async with peer(answer) as (url, _), PrometheusSource(url, access) as source:
        with pytest.raises(PrometheusError) as raised:
            await source.query("up", AT)
    return raised.value


async def test_nan_and_the_infinities_are_no_values_and_zero_is_one() -> None:
    async with (
        peer(lambda _: vector("NaN", "+Inf", "-Inf", "0", "1e3")) as (url, _),
        PrometheusSource(url) as source,
    ):
        answer = await source.query("up", AT)
    assert [one.points for one in answer.series] == [
        ((AT, None),),
        ((AT, None),),
        ((AT, None),),
        ((AT, 0.0),),
        ((AT, 1000.0),),
    ]


async def test_warnings_of_a_partial_answer_are_kept_apart_from_hints() -> None:
    told = {"warnings": ["receive series: store-2 unavailable"], "infos": ["metric might not be a counter"]}
    async with peer(lambda _: vector("1", **told)) as (url, _), PrometheusSource(url) as source:
        answer = await source.query("up", AT)
    assert answer.warnings == ("receive series: store-2 unavailable",)
    assert answer.infos == ("metric might not be a counter",)


async def test_one_answers_warnings_are_not_the_nexts() -> None:
    answers = iter([vector("1", warnings=["partial"]), vector("1")])
    async with peer(lambda _: next(answers)) as (url, _), PrometheusSource(url) as source:
        assert (await source.query("up", AT)).warnings == ("partial",)
        assert (await source.query("up", AT)).warnings == ()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, "Unauthorized", "forbidden"),
        (403, "<html>no</html>", "forbidden"),
        (404, "404 page not found", "refused"),
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}, "refused"),
        (422, {"status": "error", "errorType": "execution", "error": "too many samples"}, "refused"),
        (503, {"status": "error", "errorType": "timeout", "error": "query timed out"}, "timeout"),
        (504, "gateway timeout", "timeout"),
        (502, "bad gateway", "unreachable"),
        (503, "no healthy upstream", "unreachable"),
        (429, "slow down", "refused"),
        (200, "<html>log in</html>", "parse_error"),
        (200, {"status": "success", "data": {"result": 5}}, "parse_error"),
        (200, {"status": "success"}, "parse_error"),
        (200, {"status": "error", "error": "odd"}, "parse_error"),
        (
            200,
            '{"status": "success", "data": {"result": [{"metric": {}, "value": [1, "x"]}]}}',
            "parse_error",
        ),
        (200, "[" * 100_000, "parse_error"),
        (200, b"\xff\xfe", "parse_error"),
    ],
)
async def test_each_refusal_has_its_reason_and_is_asked_once(status: int, body: Any, reason: str) -> None:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    async with (
        peer(lambda _: web.Response(status=status, body=raw)) as (url, seen),
        PrometheusSource(url) as source,
    ):
        with pytest.raises(PrometheusError) as raised:
            await source.query("up", AT)
    assert raised.value.reason == reason
    assert raised.value.remedy
    assert len(seen) == 1


async def test_nobody_at_the_address_is_told_in_the_systems_words() -> None:
    async with PrometheusSource("http://u:secret@127.0.0.1:9") as source:
        with pytest.raises(PrometheusError) as raised:
            await source.query("up", AT)
    assert raised.value.reason == "unreachable"
    assert raised.value.detail == "http://127.0.0.1:9 cannot be reached: Connection refused"


async def test_a_peer_that_hangs_costs_its_deadline_and_no_more() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return vector("1")

    async with peer(hang) as (url, _), PrometheusSource(url) as source:
        began = time.monotonic()
        with pytest.raises(PrometheusError) as raised:
            await source.query("up", AT, timeout_seconds=0.3)
        assert raised.value.reason == "timeout"
        assert time.monotonic() - began < 10


async def test_an_answer_that_drips_ends_with_the_deadline_too() -> None:
    """No pause is longer than the deadline: only the whole is."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    error = None
    async with peer(drip) as (url, _), PrometheusSource(url) as source:
        try:
            await source.query("up", AT, timeout_seconds=0.4)
        except PrometheusError as raised:
            error = raised
    assert error is not None
    assert error.reason == "timeout"


async def test_more_calls_than_threads_all_come_home_and_never_too_many_at_once() -> None:
    now, most = 0, 0

    async def slow(_: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1
        return vector("1")

    async with peer(slow) as (url, _), PrometheusSource(url) as source:
        answers = await asyncio.gather(*(source.query(f"up{n}", AT) for n in range(30)))
    assert len(answers) == 30
    assert most == THREADS


async def test_who_waits_for_a_turn_has_all_of_the_deadline_left_for_the_answer() -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.6)
        return vector("1")

    async with peer(slow) as (url, _), PrometheusSource(url, timeout_seconds=2.0) as source:
        await source.query("up", AT)  # threads import what they need
        answers = await asyncio.gather(*(source.query(f"up{n}", AT) for n in range(5 * THREADS)))
    assert len(answers) == 5 * THREADS


async def test_a_client_library_that_cannot_be_imported_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that died of it left its calls to their deadlines."""
    monkeypatch.setitem(sys.modules, "telemetry.prometheus_session", None)
    began = time.monotonic()
    async with PrometheusSource("http://127.0.0.1:9") as source:
        with pytest.raises(ImportError):
            await source.query("up", AT)
    assert time.monotonic() - began < 5


async def test_an_answer_without_end_is_refused() -> None:
    body = b" " * (MAX_ANSWER_BYTES + 2)
    error = await refusal(lambda _: web.Response(body=body))
    assert error.reason == "refused"
    assert "32 MB" in error.detail


async def test_a_redirect_is_not_followed_and_credentials_go_nowhere_else(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    async with peer(lambda _: vector("1")) as (other, seen):
        error = await refusal(
            lambda _: web.Response(status=302, headers={"Location": f"{other}/login?next=s3cret"}),
            PrometheusAccess(bearer_token_file=token),
        )
    assert seen == []
    assert error.reason == "refused"
    assert other in error.detail
    assert "s3cret" not in str(error)


async def test_token_tenant_and_user_are_sent_as_given_and_the_token_is_read_anew(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    access = PrometheusAccess(bearer_token_file=token, headers={"X-Scope-OrgID": "team-a"})
    async with peer(lambda _: vector("1")) as (url, seen):
        async with PrometheusSource(url, access) as source:
            await source.query("up", AT)
            token.write_text("two")
            await source.query("up", AT)
        async with PrometheusSource(url.replace("//", "//me:p%40ss@")) as source:
            assert source.shown_url == url
            await source.query("up", AT)
    sent = [request.headers.get("Authorization") for request in seen]
    assert sent == ["Bearer one", "Bearer two", "Basic bWU6cEBzcw=="]
    assert [request.headers.get("X-Scope-OrgID") for request in seen] == ["team-a", "team-a", None]


async def test_a_token_that_is_not_there_is_no_access_and_nothing_is_asked(tmp_path: Path) -> None:
    access = PrometheusAccess(bearer_token_file=tmp_path / "none")
    async with peer(lambda _: vector("1")) as (url, seen), PrometheusSource(url, access) as source:
        with pytest.raises(PrometheusError) as raised:
            await source.query("up", AT)
    assert raised.value.reason == "forbidden"
    assert seen == []


async def test_times_are_sent_to_the_millisecond_and_a_long_query_in_the_body() -> None:
    async with peer(lambda _: vector()) as (url, seen), PrometheusSource(f"{url}/prefix") as source:
        await source.query_range("up", 10.5, 20.25, 0.5, timeout_seconds=3)
        await source.query("x" * 5000, AT)
    short, long = seen
    assert (short.method, short.path) == ("GET", "/prefix/api/v1/query_range")
    assert dict(short.query) == {
        "query": "up",
        "start": "10.5",
        "end": "20.25",
        "step": "0.5",
        "timeout": "3s",
    }
    assert (long.method, long.query_string) == ("POST", "")
    assert (await long.post())["query"] == "x" * 5000


@pytest.mark.parametrize(
    "wrong",
    ["localhost:9090", "ftp://p", "http://", "http://p:9090/graph?g0=1", "http://p p", "http://u:se?cret@p"],
)
def test_an_address_that_is_none_is_told_without_its_password(wrong: str) -> None:
    with pytest.raises(ValueError, match="no address of a Prometheus") as raised:
        check_prometheus_url(wrong)
    assert "cret" not in str(raised.value)


def test_an_address_may_have_a_path() -> None:
    assert check_prometheus_url("https://mimir/prometheus/") == "https://mimir/prometheus"
