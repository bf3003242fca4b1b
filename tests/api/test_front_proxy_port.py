"""A port that follows its certificate and its front proxy."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from structlog.testing import capture_logs

from autoscaler.api.certificate_files import read_serving_certificate
from autoscaler.api.certificates import OwnCa
from autoscaler.api.front_proxy import FrontProxy
from autoscaler.api.front_proxy_port import FrontProxyPort
from tests.api.conftest import HOST_NAME, NAMESPACE, SERVICE, Fleet


@dataclass
class Clock:
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.moment


async def _shown(fleet: Fleet) -> x509.Certificate:
    """The certificate that the front proxy sees on a new connection, which must answer."""
    context = fleet.client_context(fleet.front_proxy_ca)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", fleet.server.port, ssl=context, server_hostname=HOST_NAME
    )
    try:
        writer.write(b"GET /version HTTP/1.0\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n")
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return x509.load_der_x509_certificate(der)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def port(fleet: Fleet, clock: Clock) -> FrontProxyPort:
    own = fleet.own_ca
    return FrontProxyPort(fleet.server, lambda now: own.issue(SERVICE, NAMESPACE, now), clock.now)


def _front_proxy(ca: trustme.CA) -> FrontProxy:
    return FrontProxy(ca.cert_pem.bytes().decode())


async def test_a_certificate_is_shown_until_it_is_due_and_then_another(
    fleet: Fleet, port: FrontProxyPort, clock: Clock
) -> None:
    clock.moment -= timedelta(days=61)
    await port.trust(_front_proxy(fleet.front_proxy_ca))
    first = await _shown(fleet)
    clock.moment += timedelta(days=59)
    await port.renew_if_due()
    assert await _shown(fleet) == first
    clock.moment += timedelta(days=2)
    await port.renew_if_due()
    assert (await _shown(fleet)).serial_number != first.serial_number


async def test_another_front_proxy_takes_the_place_of_the_first(
    fleet: Fleet, port: FrontProxyPort, other_ca: trustme.CA
) -> None:
    await port.trust(_front_proxy(fleet.front_proxy_ca))
    assert await _shown(fleet)
    await port.trust(_front_proxy(other_ca))
    with pytest.raises((OSError, EOFError)):
        await _shown(fleet)
    fleet.front_proxy_ca = other_ca
    assert await _shown(fleet)


async def test_a_new_ca_and_a_new_certificate_that_come_at_once_are_both_kept(
    fleet: Fleet, port: FrontProxyPort, clock: Clock, other_ca: trustme.CA
) -> None:
    await port.trust(_front_proxy(fleet.front_proxy_ca))
    renewed = fleet.own_ca.issue(SERVICE, NAMESPACE, clock.now())
    await asyncio.gather(port.trust(_front_proxy(other_ca)), port.show(renewed))
    fleet.front_proxy_ca = other_ca
    assert await _shown(fleet) == x509.load_pem_x509_certificate(renewed.certificate_pem)


async def test_an_unusable_ca_leaves_the_port_as_it_was(fleet: Fleet, port: FrontProxyPort) -> None:
    await port.trust(_front_proxy(fleet.front_proxy_ca))
    with pytest.raises(ssl.SSLError):
        await port.trust(FrontProxy("no PEM"))
    assert await _shown(fleet)


async def test_files_are_read_again_and_a_broken_pair_leaves_the_port_as_it_was(
    fleet: Fleet, clock: Clock, tmp_path: Path, front_proxy_ca: trustme.CA
) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def write(own: OwnCa) -> int:
        serving = own.issue(SERVICE, NAMESPACE, datetime.now(UTC))
        certificate.write_bytes(serving.certificate_pem)
        key.write_bytes(serving.key_pem)
        return x509.load_pem_x509_certificate(serving.certificate_pem).serial_number

    async def a_minute_later() -> int:
        clock.moment += timedelta(seconds=61)
        await reading.renew_if_due()
        return (await _shown(fleet)).serial_number

    first = write(fleet.own_ca)
    reading = FrontProxyPort(
        fleet.server, lambda now: read_serving_certificate(certificate, key, now), clock.now
    )
    await reading.trust(_front_proxy(front_proxy_ca))
    assert await a_minute_later() == first

    certificate.write_text("half written")
    with capture_logs() as logs:
        assert await a_minute_later() == first
    assert [entry["event"] for entry in logs] == ["serving certificate not renewed"]

    second = write(fleet.own_ca)
    assert await a_minute_later() == second
