"""The own CA over time: published before it is shown, replaced while serving, and never without trust in between."""

import asyncio
import base64
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from autoscaler.api.authority import SETTLE, OwnAuthority
from autoscaler.api.certificates import (
    CA_LIFE,
    SERVING_LIFE,
    ServingCertificate,
    bundle_problem,
    make_own_ca,
)
from autoscaler.api.front_proxy import FrontProxy
from autoscaler.api.front_proxy_port import FrontProxyPort
from autoscaler.api.publish import API_SERVICE_PATH, Publication, PublicationState, ServiceRef
from telemetry.kubernetes_api import KubernetesError
from tests.api.conftest import HOST_NAME, Fleet
from tests.api.strict_api import StrictApi

SERVICE = ServiceRef("triton-ops", "triton-autoscaler")
PUBLISHED = Publication(PublicationState.PUBLISHED, owner=f"Service {SERVICE}")
API_SERVICE: dict[str, Any] = {
    "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
    "spec": {"service": {"namespace": "triton-ops", "name": "triton-autoscaler"}},
}


@dataclass
class Clock:
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.moment


@dataclass
class Port:
    """Keeps what it is told to show; an error is raised instead."""

    shown: list[ServingCertificate] = field(default_factory=list)
    error: OSError | None = None

    async def show(self, serving: ServingCertificate) -> None:
        if self.error is not None:
            raise self.error
        self.shown.append(serving)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api() -> StrictApi:
    return StrictApi(API_SERVICE_PATH, API_SERVICE)


def _bundle(api: StrictApi) -> bytes:
    assert api.content is not None
    return base64.b64decode(api.content["spec"].get("caBundle", ""))


def _published(api: StrictApi) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(_bundle(api))


async def test_ten_replicas_that_start_together_all_stand_in_the_bundle(api: StrictApi, clock: Clock) -> None:
    replicas = [OwnAuthority(api, SERVICE, clock.now) for _ in range(10)]
    while any(replica.publication != PUBLISHED for replica in replicas):
        await asyncio.gather(*(replica.refresh() for replica in replicas))
    assert {replica.ca.certificate for replica in replicas} == set(_published(api))


async def test_a_ca_that_somebody_took_out_is_added_again(api: StrictApi, clock: Clock) -> None:
    authority = OwnAuthority(api, SERVICE, clock.now, recheck_seconds=0)
    assert authority.publication.state is PublicationState.UNREACHABLE
    keeping = asyncio.create_task(authority.keep())
    await api.reached("get", 3)
    assert authority.publication == PUBLISHED
    api.change(API_SERVICE)
    await api.reached("put", 2)
    keeping.cancel()
    assert _published(api) == [authority.ca.certificate]


async def test_two_replicas_replace_their_cas_and_every_certificate_shown_is_trusted(
    api: StrictApi, clock: Clock
) -> None:
    """Over three years, looked at each day: after every look the bundle verifies what each replica shows."""
    replicas = [(OwnAuthority(api, SERVICE, clock.now), Port()) for _ in range(2)]
    for authority, port in replicas:
        authority.port = port
        await authority.refresh()
        await port.show(authority.issue(clock.now()))
    first = {authority.ca.certificate for authority, _ in replicas}
    end = clock.moment + timedelta(days=3 * 365)
    while clock.moment < end:
        clock.moment += timedelta(days=1)
        for authority, port in replicas:
            await authority.refresh()
            if port.shown[-1].renew_at <= clock.moment:
                await port.show(authority.issue(clock.moment))
            assert port.shown[-1].renew_at - clock.moment <= SERVING_LIFE
            assert _until(port.shown[-1]) > clock.moment
            (signer,) = [c for c in _published(api) if _signed(c, port.shown[-1])]
            assert signer.not_valid_after_utc >= _until(port.shown[-1])
        assert len(_published(api)) <= 4
    assert first.isdisjoint({authority.ca.certificate for authority, _ in replicas})
    assert first.isdisjoint(_published(api)), "expired CAs are dropped"


async def test_a_new_ca_is_read_back_and_has_settled_before_it_is_shown(api: StrictApi, clock: Clock) -> None:
    authority, port = OwnAuthority(api, SERVICE, clock.now), Port()
    authority.port = port
    await authority.refresh()
    old = authority.ca
    clock.moment += CA_LIFE * 2 / 3
    api.failures = [KubernetesError("no answer")] * 2
    await authority.refresh()
    assert (_published(api), port.shown) == ([old.certificate], [])
    await authority.refresh()
    assert len(_published(api)) == 2
    clock.moment += SETTLE / 2
    await authority.refresh()
    assert (authority.ca, port.shown) == (old, [])
    clock.moment += SETTLE / 2
    await authority.refresh()
    assert _published(api) == [old.certificate, authority.ca.certificate]
    assert _signed(authority.ca.certificate, port.shown[0])


@pytest.mark.parametrize("minutes", [-10, 10], ids=["back", "ahead"])
async def test_a_clock_that_jumps_ten_minutes_changes_nothing_that_is_shown(
    api: StrictApi, clock: Clock, minutes: int
) -> None:
    """Whether this replica's clock jumps or the API server's: what is shown is valid by both, before and after."""
    authority, port = OwnAuthority(api, SERVICE, clock.now), Port()
    authority.port = port
    await authority.refresh()
    serving, own = authority.issue(clock.now()), authority.ca
    clock.moment += timedelta(minutes=minutes)
    await authority.refresh()
    again = authority.issue(clock.now())
    assert (authority.ca, port.shown, _published(api)) == (own, [], [own.certificate])
    for shown in (serving, again):
        for told in (clock.moment, clock.moment - timedelta(minutes=minutes)):
            assert _leaf(shown).not_valid_before_utc <= told < _until(shown)
            assert own.certificate.not_valid_before_utc <= told < own.certificate.not_valid_after_utc


async def test_a_port_that_refuses_keeps_the_old_ca(api: StrictApi, clock: Clock) -> None:
    authority, port = OwnAuthority(api, SERVICE, clock.now, settle=timedelta(0)), Port()
    authority.port, port.error = port, OSError("no memory")
    old = authority.ca
    clock.moment += CA_LIFE * 2 / 3
    with capture_logs() as logs:
        for _ in range(3):
            await authority.refresh()
    assert authority.ca == old
    assert "own CA not replaced" in [entry["event"] for entry in logs]
    port.error = None
    await authority.refresh()
    assert authority.ca != old


async def test_where_nobody_trusts_the_ca_it_is_replaced_without_waiting(clock: Clock) -> None:
    """While another adapter has the API group for years, a certificate that has not ended is at hand."""
    keda = {"metadata": {}, "spec": {"service": {"namespace": "keda", "name": "keda"}}}
    api, port = StrictApi(API_SERVICE_PATH, keda), Port()
    authority = OwnAuthority(api, SERVICE, clock.now)
    authority.port = port
    for _ in range(3 * 365):
        clock.moment += timedelta(days=1)
        await authority.refresh()
        assert _until(authority.issue(clock.moment)) > clock.moment + SERVING_LIFE * 2 / 3
    assert api.content == keda, "it is never written"


async def test_an_expired_ca_is_replaced_although_the_api_server_is_away(
    api: StrictApi, clock: Clock
) -> None:
    """As after a clock that jumped by a year."""
    authority, port = OwnAuthority(api, SERVICE, clock.now), Port()
    authority.port = port
    clock.moment += CA_LIFE
    api.failures = [KubernetesError("no answer")] * 2
    await authority.refresh()
    assert _until(port.shown[0]) > clock.moment


async def test_a_connection_outlives_the_replacement_and_ends_after_its_next_answer(
    fleet: Fleet, api: StrictApi, clock: Clock
) -> None:
    """Nothing is dropped: the answer on the old connection is whole, and says `Connection: close`."""
    hour = timedelta(hours=1)
    authority = OwnAuthority(
        api,
        SERVICE,
        clock.now,
        settle=timedelta(0),
        make_ca=lambda now: replace(make_own_ca(now), renew_at=now + hour),
    )
    port = FrontProxyPort(fleet.server, authority.issue, clock.now)
    authority.port = port
    await authority.refresh()
    await port.trust(FrontProxy(fleet.front_proxy_ca.cert_pem.bytes().decode()))
    fleet.own_ca = authority.ca
    async with fleet.front_proxy() as session:
        async with session.get("/version", server_hostname=HOST_NAME) as response:
            assert "Connection" not in response.headers
        clock.moment += hour
        for _ in range(2):
            await authority.refresh()
        assert authority.ca != fleet.own_ca
        async with session.get("/version", server_hostname=HOST_NAME) as response:
            assert (response.status, response.headers["Connection"]) == (200, "close")
            assert (await response.json())["gitVersion"]
    fleet.own_ca = authority.ca
    async with fleet.front_proxy() as session, session.get("/version", server_hostname=HOST_NAME) as response:
        assert response.status == 200


def test_a_bundle_is_tried_as_kube_apiserver_would(clock: Clock) -> None:
    own, other = (OwnAuthority(StrictApi("", None), SERVICE, clock.now) for _ in range(2))
    serving = own.issue(clock.now())
    assert bundle_problem(other.ca.pem + own.ca.pem, serving, HOST_NAME) is None
    assert bundle_problem(serving.certificate_pem, serving, HOST_NAME) is None
    assert "Hostname mismatch" in str(bundle_problem(own.ca.pem, serving, "another.triton-ops.svc"))
    assert "local issuer" in str(bundle_problem(other.ca.pem, serving, HOST_NAME))
    assert bundle_problem(b"", serving, HOST_NAME) is not None
    assert bundle_problem(own.ca.pem, ServingCertificate(b"none", b"", clock.now()), HOST_NAME) is not None


def _leaf(serving: ServingCertificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(serving.certificate_pem)


def _until(serving: ServingCertificate) -> datetime:
    return _leaf(serving).not_valid_after_utc


def _signed(ca: x509.Certificate, serving: ServingCertificate) -> bool:
    return _leaf(serving).issuer == ca.subject
