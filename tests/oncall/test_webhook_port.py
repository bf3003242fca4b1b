"""The webhook over TLS: who has no certificate that the client CA signed is not heard, and a new certificate counts at once."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import structlog
import trustme
from aiohttp import web

from telemetry.listen import listen
from tests.oncall.memory_record import MemoryRecord
from tests.oncall.test_intake import BODY, SEALS
from tests.oncall.test_joining import NOW
from triage.oncall import webhook_tls
from triage.oncall.alertmanager import Told
from triage.oncall.config import TlsSection
from triage.oncall.incidents import Incidents
from triage.oncall.intake import Intake
from triage.oncall.webhook_tls import TlsFiles

SERVERS, CLIENTS = trustme.CA(), trustme.CA()


def lay(
    folder: Path, server: trustme.LeafCert | None = None, clients: trustme.CA | None = CLIENTS
) -> TlsSection:
    """The files of a server; without `clients` nobody has to show a certificate."""
    leaf = server or SERVERS.issue_cert("127.0.0.1")
    (folder / "crt").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    (folder / "key").write_bytes(leaf.private_key_pem.bytes())
    if clients is None:
        return TlsSection(certificate=str(folder / "crt"), key=str(folder / "key"))
    (folder / "ca").write_bytes(clients.cert_pem.bytes())
    return TlsSection(certificate=str(folder / "crt"), key=str(folder / "key"), client_ca=str(folder / "ca"))


@asynccontextmanager
async def port(files: TlsFiles) -> AsyncIterator[str]:
    """The intake behind it, with no token: the certificate is what counts."""
    record = MemoryRecord()

    async def named(told: Sequence[Told]) -> Sequence[Told]:
        return told

    intake = Intake(
        Incidents(record, lambda: NOW, ("p99", "load-failure")), named, None, lambda code, done: None, SEALS
    )
    async with AsyncExitStack() as stack:
        number = await listen(stack, intake.app(), "127.0.0.1", 0, files.context)
        yield f"https://127.0.0.1:{number}/alerts"


def client(*, signed_by: trustme.CA | None, servers: trustme.CA = SERVERS) -> ssl.SSLContext:
    context = ssl.create_default_context()
    servers.configure_trust(context)
    if signed_by is not None:
        signed_by.issue_cert("alertmanager@example.org").configure_cert(context)
    return context


async def send(url: str, context: ssl.SSLContext) -> int:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
        http.post(url, json=BODY, ssl=context) as answer,
    ):
        return answer.status


async def test_who_shows_a_certificate_of_the_client_ca_is_heard(tmp_path: Path) -> None:
    async with port(TlsFiles(lay(tmp_path))) as url:
        assert await send(url, client(signed_by=CLIENTS)) == 200


@pytest.mark.parametrize("signed_by", [None, trustme.CA(), SERVERS], ids=["none", "foreign", "the servers'"])
async def test_who_shows_none_or_another_is_not_heard(tmp_path: Path, signed_by: trustme.CA | None) -> None:
    async with port(TlsFiles(lay(tmp_path))) as url:
        with pytest.raises(aiohttp.ClientError):
            await send(url, client(signed_by=signed_by))
        with pytest.raises(aiohttp.ClientError):
            await send(url.replace("https", "http"), client(signed_by=None))
        assert await send(url, client(signed_by=CLIENTS)) == 200


async def test_without_a_client_ca_only_the_server_shows_one(tmp_path: Path) -> None:
    async with port(TlsFiles(lay(tmp_path, clients=None))) as url:
        assert await send(url, client(signed_by=None)) == 200


@asynccontextmanager
async def kept(files: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(webhook_tls, "_LOOK_SECONDS", 0.01)
    keeping = asyncio.create_task(files.keep())
    try:
        yield
    finally:
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping


async def until_logged(logged: list[structlog.typing.EventDict], event: str) -> None:
    async with asyncio.timeout(5):
        while event not in {each["event"] for each in logged}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_certificate_that_is_replaced_counts_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = TlsFiles(lay(tmp_path))
    later = trustme.CA()
    async with port(files) as url, kept(files, monkeypatch):
        with structlog.testing.capture_logs() as logged:
            lay(tmp_path, later.issue_cert("127.0.0.1"))
            await until_logged(logged, "certificate_read_again")
        assert await send(url, client(signed_by=CLIENTS, servers=later)) == 200
        with pytest.raises(aiohttp.ClientError):
            await send(url, client(signed_by=CLIENTS))


@pytest.mark.parametrize("file", ["crt", "key", "ca"])
async def test_what_is_half_replaced_or_gone_leaves_the_port_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    files = TlsFiles(lay(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    lay(other, trustme.CA().issue_cert("127.0.0.1"))
    async with port(files) as url, kept(files, monkeypatch):
        for damage in ((other / file).read_bytes() if file != "ca" else b"no certificate", b"", None):
            with structlog.testing.capture_logs() as logged:
                if damage is None:
                    (tmp_path / file).unlink()
                else:
                    (tmp_path / file).write_bytes(damage)
                await until_logged(logged, "certificate_unreadable")
            assert await send(url, client(signed_by=CLIENTS)) == 200


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    section = lay(tmp_path)
    key = load_pem_private_key((tmp_path / "key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "key").write_bytes(locked)
    with pytest.raises(OSError, match="without a password"):
        TlsFiles(section)


async def test_a_silent_peer_is_let_go_when_the_port_closes(tmp_path: Path) -> None:
    async with asyncio.timeout(8), AsyncExitStack() as stack:
        number = await listen(stack, web.Application(), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(b"POST /alerts HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        await writer.drain()
        await stack.aclose()
        writer.close()
