"""What is sent to `POST /alerts` is stored and answered, or answered with what the sender has to do; whatever it is."""

import asyncio
import gzip
import io
import json
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from telemetry.rules_dir import rules_dir
from tests.oncall.memory_record import MemoryRecord
from tests.oncall.on_call_service import alert, notification
from tests.oncall.test_joining import NOW
from triage.oncall import intake as module
from triage.oncall.alertmanager import Told
from triage.oncall.incidents import Incidents
from triage.oncall.intake import MAX_BODY_BYTES, Intake
from triage.oncall.joining import MOST_OPEN, Done
from triage.rules import seals_from_folder

TOKEN = "alertmanager-may-send-q7Rk2Zt9"
MAY = {"Authorization": f"Bearer {TOKEN}"}
BODY = notification([alert(namespace="prod", workload="web")])
SEALS = seals_from_folder(rules_dir())


@dataclass
class Desk:
    """The port with what stands behind it."""

    client: TestClient[web.Request, web.Application]
    record: MemoryRecord
    incidents: Incidents
    token: Path
    answers: list[tuple[int, Sequence[Done]]]
    logged: list[structlog.typing.EventDict] = field(default_factory=list)

    async def send(self, body: object = BODY, **headers: str) -> int:
        sent = io.BytesIO(json.dumps(body).encode())
        async with self.client.post("/alerts", data=sent, headers={**MAY, **headers}) as answer:
            text = await answer.text()
            assert "Traceback" not in text
            assert TOKEN not in text
            return answer.status


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    record = MemoryRecord()
    incidents = Incidents(record, lambda: NOW, ("p99", "load-failure"))
    token = folder / "token"
    token.write_text(TOKEN + "\n")
    answers: list[tuple[int, Sequence[Done]]] = []

    async def named(told: Sequence[Told]) -> Sequence[Told]:
        return told

    def answered(code: int, done: Sequence[Done]) -> None:
        answers.append((code, done))

    app = Intake(incidents, named, token, answered, SEALS).app()
    with structlog.testing.capture_logs() as logged:
        async with TestClient(TestServer(app)) as client:
            yield Desk(client, record, incidents, token, answers, logged)
    assert TOKEN not in str(logged)


async def test_what_is_taken_is_stored_before_it_is_answered(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        assert await here.send() == 200
        (kept,) = here.record.kept.values()
        assert (kept.namespace, kept.workload, kept.tree) == ("prod", "deployment/web", "load-failure")
        assert here.answers == [(200, ("opened",))]


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \udcff"],
)
async def test_who_has_not_the_token_is_not_heard(tmp_path: Path, given: str) -> None:
    async with desk(tmp_path) as here:
        assert await here.send(Authorization=given) == 401
        assert not here.record.kept


async def test_without_a_token_at_all(tmp_path: Path) -> None:
    async with desk(tmp_path) as here, here.client.post("/alerts", json=BODY) as answer:
        assert answer.status == 401
        assert not here.record.kept


async def test_a_token_counts_as_soon_as_it_is_rotated(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        here.token.write_text("the next one\n")
        assert await here.send() == 401
        assert await here.send(Authorization="Bearer the next one") == 200


@pytest.mark.parametrize("state", ["gone", "empty", "a folder"])
async def test_where_the_token_is_not_known_the_alert_has_to_come_again(tmp_path: Path, state: str) -> None:
    """A 4xx would be dropped, and it is not the sender's mistake."""
    async with desk(tmp_path) as here:
        here.token.unlink()
        if state == "empty":
            here.token.write_text("\n")
        if state == "a folder":
            here.token.mkdir()
        for given in (MAY["Authorization"], "Bearer ", "Bearer wrong"):
            assert await here.send(Authorization=given) == 503
        assert not here.record.kept


async def test_a_body_that_is_too_large_is_refused_with_the_setting_that_helps(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        for body in (io.BytesIO(b"x" * (MAX_BODY_BYTES + 1)), parts(b"x" * 65536, 200)):
            async with here.client.post("/alerts", data=body, headers=MAY) as answer:
                assert answer.status == 413
                assert "max_alerts" in await answer.text()


async def test_a_compressed_body_is_bounded_by_what_it_unpacks_to(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        packed = {**MAY, "Content-Encoding": "gzip", "Content-Type": "application/json"}
        good = gzip.compress(json.dumps(BODY).encode())
        async with here.client.post("/alerts", data=good, headers=packed) as answer:
            assert answer.status == 200
        bomb = gzip.compress(b" " * (200 << 20))
        async with here.client.post("/alerts", data=bomb, headers=packed) as answer:
            assert answer.status == 413
        async with here.client.post("/alerts", data=b"no gzip at all", headers=packed) as answer:
            assert answer.status == 400


async def test_a_body_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BODY_SECONDS", 0.2)
    async with desk(tmp_path) as here:
        assert here.client.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", here.client.port)
        head = f"POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + b"2\r\n{ \r\n")
        assert b" 503 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_a_sender_that_breaks_off_is_no_mistake_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk(tmp_path) as here:
        assert here.client.port is not None
        for body in (b"5\r\n{\r\n", b""):
            _, writer = await asyncio.open_connection("127.0.0.1", here.client.port)
            head = f"POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        assert await here.send() == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_the_body_is_said_to_be_does_not_matter(tmp_path: Path, kind: str) -> None:
    async with desk(tmp_path) as here:
        headers = {**MAY, "Content-Type": kind}
        async with here.client.post("/alerts", data=json.dumps(BODY).encode(), headers=headers) as answer:
            assert answer.status == 200


async def test_other_methods_and_paths_are_refused(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        async with here.client.get("/alerts", headers=MAY) as answer:
            assert answer.status == 405
        for path in ("/", "/alerts/", "/../alerts/x", "/metrics"):
            async with here.client.post(path, json=BODY, headers=MAY) as answer:
                assert answer.status == 404


@pytest.mark.parametrize(
    "body", [[], {}, {**BODY, "version": "3"}, {**BODY, "alerts": None}, {**BODY, "alerts": [{}]}]
)
async def test_what_is_no_notification_of_version_4_never_will_be_right(tmp_path: Path, body: object) -> None:
    async with desk(tmp_path) as here:
        assert await here.send(body) == 400
        assert here.answers == [(400, ())]


async def test_thousands_of_alerts_are_one_answer(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        many = [
            alert(f"A{number}", namespace="prod", workload=f"web-{number % 50}", fingerprint=f"{number:x}")
            for number in range(5000)
        ]
        assert await here.send(notification(many, truncated=7)) == 200
        assert len(here.incidents.all()) == 50
        assert {one.truncated_alerts for one in here.incidents.all()} == {7}


async def test_what_cannot_be_kept_has_to_come_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        here.record.away = True
        assert await here.send() == 503
        here.record.away = False
        assert await here.send() == 200
        assert len(here.record.kept) == 1


async def test_past_the_bound_of_open_incidents_the_rest_has_to_come_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        many = [alert(namespace="prod", workload=f"web-{number}") for number in range(MOST_OPEN + 2)]
        assert await here.send(notification(many)) == 503
        assert len(here.record.kept) == MOST_OPEN
        ended = [{**many[0], "status": "resolved", "endsAt": "2026-11-30T03:00:00Z"}, *many[-2:-1]]
        assert await here.send(notification(ended)) == 200


async def test_what_is_not_ours_is_answered_and_told_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        others = [alert(f"Disk{n % 30}", tree="disk", namespace="prod") for n in range(500)]
        others.append({**others[0], "labels": {"alertname": "NoLabels"}})
        assert await here.send(notification(others)) == 200
        assert not here.record.kept
        assert {done for _, each in here.answers for done in each} == {"not_ours"}
        told = [event for event in here.logged if event["event"].startswith("alert")]
        assert len(told) == 21
        assert told[0]["alerts"] == 17
        assert told[-1]["others"] == 11


async def test_a_mistake_of_ours_is_told_and_the_alert_has_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(told: Iterable[Told], truncated: int = 0) -> Sequence[Done]:
        raise LookupError("nobody thought of this")

    async with desk(tmp_path) as here:
        monkeypatch.setattr(here.incidents, "take", breaks)
        assert await here.send() == 500
        assert here.answers == [(500, ())]
        assert "nobody thought of this" in str(here.logged)


async def test_what_alerts_say_is_hostile(tmp_path: Path) -> None:
    """Nothing of it breaks anything, and all that is kept is short."""
    many = [
        alert("\x1b[2J\u202e\x00", namespace="prod", workload="web", fingerprint="1"),
        alert("x" * (1 << 20), namespace="prod", workload="web", fingerprint="2"),
        alert(namespace="prod", workload="web", **{f"label_{n}": "v" for n in range(10_000)}),
        alert(namespace="..", workload="web"),
        alert(namespace="prod", workload=".."),
        alert("名前", namespace="prod", workload="web", fingerprint="ü" * 500),
        alert(namespace="prod", workload="web", starts="0001-01-01T00:00:00+14:00"),
        alert(namespace="prod", workload="web", starts="9999-12-31T23:59:59-12:00"),
        alert(namespace="prod", workload="web", starts="2026-11-30T02:41:00Z", ends="2020-01-01T00:00:00Z"),
        {**alert(namespace="prod", workload="web"), "fingerprint": "", "status": "nonsense"},
    ]
    async with desk(tmp_path) as here:
        assert await here.send(notification(many)) == 200
        for one in here.record.kept.values():
            assert all(len(each.name) <= 300 and each.name.isprintable() for each in one.alerts)
        assert {one.workload for one in here.record.kept.values()} == {"deployment/web", ""}


async def parts(part: bytes, number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield part
