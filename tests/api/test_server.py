"""Who gets in: the front proxy and nobody else."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import trustme

from autoscaler.api.certificates import load_certificate, make_own_ca
from tests.api.conftest import HOST_NAME, Fleet

DISCOVERY = "/apis/external.metrics.k8s.io/v1beta1"


async def _code(fleet: Fleet, context: ssl.SSLContext) -> int:
    async with (
        fleet.session(context) as session,
        session.get(DISCOVERY, server_hostname=HOST_NAME) as response,
    ):
        await response.read()
        return response.status


async def _is_refused_in_the_handshake(fleet: Fleet, context: ssl.SSLContext) -> None:
    with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
        await _code(fleet, context)
    assert fleet.metrics.asked == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_front_proxy_is_served(fleet: Fleet, version: ssl.TLSVersion) -> None:
    context = fleet.client_context(fleet.front_proxy_ca)
    context.minimum_version = context.maximum_version = version
    assert await _code(fleet, context) == 200


async def test_no_certificate_is_refused_in_the_handshake(fleet: Fleet) -> None:
    await _is_refused_in_the_handshake(fleet, fleet.client_context(None))


@pytest.mark.parametrize("common_name", ["front-proxy-client", "kubernetes-admin"])
async def test_any_name_from_another_ca_is_refused_in_the_handshake(
    fleet: Fleet, other_ca: trustme.CA, common_name: str
) -> None:
    await _is_refused_in_the_handshake(fleet, fleet.client_context(other_ca, common_name))


async def test_another_name_from_the_front_proxys_ca_is_unauthorized(fleet: Fleet) -> None:
    async with (
        fleet.front_proxy("somebody") as session,
        session.get(DISCOVERY, server_hostname=HOST_NAME) as response,
    ):
        status = await response.json()
        assert response.status == 401
    assert status["reason"] == "Unauthorized"
    assert status["code"] == 401


async def test_an_empty_list_of_names_allows_any(fleet: Fleet) -> None:
    fleet.allowed_names.clear()
    assert await _code(fleet, fleet.client_context(fleet.front_proxy_ca, "somebody")) == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_1_1_is_not_spoken(fleet: Fleet) -> None:
    context = fleet.client_context(fleet.front_proxy_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    await _is_refused_in_the_handshake(fleet, context)


async def test_a_new_request_header_ca_counts_for_every_connection_after_it(
    fleet: Fleet, other_ca: trustme.CA
) -> None:
    old, new = fleet.client_context(fleet.front_proxy_ca), fleet.client_context(other_ca)
    assert await _code(fleet, old) == 200
    port = fleet.server.port
    await fleet.server.use(fleet.context_trusting(other_ca))
    assert await _code(fleet, new) == 200
    await _is_refused_in_the_handshake(fleet, old)
    assert fleet.server.port == port


async def test_no_connection_is_refused_while_the_ca_changes(fleet: Fleet) -> None:
    context = fleet.client_context(fleet.front_proxy_ca)

    async def change() -> None:
        for _ in range(5):
            await fleet.server.use(fleet.context_trusting(fleet.front_proxy_ca))

    codes, _ = await asyncio.gather(
        asyncio.gather(*(_code(fleet, context) for _ in range(20))),
        change(),
    )
    assert codes == [200] * 20


def test_a_key_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    serving = make_own_ca(datetime.now(UTC)).issue("service", "namespace", datetime.now(UTC))
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), serving)
    monkeypatch.delattr("os.memfd_create", raising=False)
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), serving)
    assert list(tmp_path.iterdir()) == []
