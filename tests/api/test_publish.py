"""The own CA in the APIService: added among others' without a lost update, and never in another adapter's."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from cryptography import x509

from autoscaler.api.certificates import MAX_OWN_CAS, OwnCa, ServingCertificate, make_own_ca
from autoscaler.api.publish import (
    API_SERVICE_PATH,
    Publication,
    PublicationState,
    ServiceRef,
    look_at_api_service,
    publish_ca,
)
from telemetry.kubernetes_api import KubernetesError
from tests.api.strict_api import StrictApi

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVICE = ServiceRef("triton-ops", "triton-autoscaler")
PUBLISHED = Publication(PublicationState.PUBLISHED, owner=f"Service {SERVICE}")


def _api_service(bundle: bytes | None = None, **spec: Any) -> dict[str, Any]:
    ca_bundle = {} if bundle is None else {"caBundle": base64.b64encode(bundle).decode()}
    return {
        "kind": "APIService",
        "metadata": {"name": "v1beta1.external.metrics.k8s.io", "labels": {"kept": "yes"}},
        "spec": {
            "group": "external.metrics.k8s.io",
            "service": {"namespace": "triton-ops", "name": "triton-autoscaler", "port": 443},
            **ca_bundle,
            **spec,
        },
        "status": {"conditions": []},
    }


def _published(api: StrictApi) -> list[x509.Certificate]:
    assert api.content is not None
    return x509.load_pem_x509_certificates(base64.b64decode(api.content["spec"]["caBundle"]))


async def _publish(api: StrictApi, own: OwnCa) -> Publication:
    return await publish_ca(api, SERVICE, own.certificate, NOW, backoff_seconds=0)


@pytest.fixture
def own() -> OwnCa:
    return make_own_ca(NOW)


async def test_the_own_ca_is_added_and_read_back_and_nothing_else_changes(own: OwnCa) -> None:
    api = StrictApi(API_SERVICE_PATH, _api_service())
    assert await _publish(api, own) == PUBLISHED
    assert api.calls == ["get", "put", "get"]
    assert api.content == _api_service(own.pem)


async def test_a_ca_that_stands_there_is_not_written_again(own: OwnCa) -> None:
    api = StrictApi(API_SERVICE_PATH, _api_service(own.pem))
    assert await _publish(api, own) == PUBLISHED
    assert api.calls == ["get"]


async def test_a_replica_that_writes_in_between_keeps_its_ca(own: OwnCa) -> None:
    other = make_own_ca(NOW)
    api = StrictApi(API_SERVICE_PATH, _api_service())
    api.before_put = [_api_service(other.pem)]
    assert await _publish(api, own) == PUBLISHED
    assert api.calls == ["get", "put", "get", "put", "get"]
    assert _published(api) == [other.certificate, own.certificate]


async def test_a_ca_that_is_overwritten_at_once_is_seen_on_reading_back(own: OwnCa) -> None:
    api = StrictApi(API_SERVICE_PATH, _api_service())
    api.after_put = [_api_service()]
    assert await _publish(api, own) == PUBLISHED
    assert api.calls == ["get", "put", "get"] * 2


async def test_endless_conflicts_end(own: OwnCa) -> None:
    api = StrictApi(API_SERVICE_PATH, _api_service())
    api.before_put = [_api_service()] * 100
    outcome = await _publish(api, own)
    assert outcome.state is PublicationState.UNREACHABLE
    assert api.calls == ["get", "put"] * 6


async def test_expired_and_unreadable_certificates_are_dropped_and_others_stay_in_order(own: OwnCa) -> None:
    expired = make_own_ca(NOW - timedelta(days=366))
    foreign, older = trustme.CA(), make_own_ca(NOW - timedelta(days=300))
    foreign_pem = foreign.cert_pem.bytes()
    garbage = b"-----BEGIN CERTIFICATE-----\nZ29uZQ==\n-----END CERTIFICATE-----\n"
    bundle = b"# comment\n" + older.pem + garbage + expired.pem + foreign_pem + older.pem
    api = StrictApi(API_SERVICE_PATH, _api_service(bundle))
    assert await _publish(api, own) == PUBLISHED
    assert _published(api) == [
        older.certificate,
        x509.load_pem_x509_certificate(foreign_pem),
        own.certificate,
    ]


async def test_a_bundle_that_is_no_base64_is_replaced(own: OwnCa) -> None:
    api = StrictApi(API_SERVICE_PATH, _api_service(caBundle="%%%"))
    assert await _publish(api, own) == PUBLISHED
    assert _published(api) == [own.certificate]


async def test_a_crash_loop_does_not_grow_the_bundle_and_others_cas_stay(own: OwnCa) -> None:
    foreign = trustme.CA().cert_pem.bytes()
    crashed = [make_own_ca(NOW - timedelta(minutes=minutes)) for minutes in range(MAX_OWN_CAS + 5, 0, -1)]
    api = StrictApi(API_SERVICE_PATH, _api_service(foreign + b"".join(ca.pem for ca in crashed)))
    assert await _publish(api, own) == PUBLISHED
    newest = [ca.certificate for ca in crashed[-(MAX_OWN_CAS - 1) :]]
    assert _published(api) == [x509.load_pem_x509_certificate(foreign), *newest, own.certificate]


@pytest.mark.parametrize(
    ("reference", "owner"),
    [
        (
            {"namespace": "keda", "name": "keda-operator-metrics-apiserver"},
            "Service keda/keda-operator-metrics",
        ),
        ({"namespace": "default", "name": "triton-autoscaler"}, "Service default/triton-autoscaler"),
        (None, "kube-apiserver itself"),
    ],
)
async def test_another_adapters_api_service_is_named_and_never_written(
    own: OwnCa, reference: dict[str, str] | None, owner: str
) -> None:
    api = StrictApi(API_SERVICE_PATH, _api_service(service=reference))
    outcome = await _publish(api, own)
    assert outcome.state is PublicationState.OWNED_BY_ANOTHER
    assert owner in outcome.message
    assert api.calls == ["get"]


@pytest.mark.parametrize(
    ("content", "failures", "state", "cause"),
    [
        (None, [], PublicationState.ABSENT, "kubectl create"),
        (_api_service(insecureSkipTLSVerify=True), [], PublicationState.REFUSED, "insecureSkipTLSVerify"),
        (_api_service(), [KubernetesError("no", status=403)], PublicationState.REFUSED, "resourceNames"),
        (_api_service(), [KubernetesError("no answer")], PublicationState.UNREACHABLE, "no answer"),
        ({"metadata": {}, "spec": "text"}, [], PublicationState.UNREACHABLE, "not readable"),
    ],
)
async def test_what_prevents_publishing_is_told_with_its_remedy(
    own: OwnCa,
    content: dict[str, Any] | None,
    failures: Sequence[KubernetesError],
    state: PublicationState,
    cause: str,
) -> None:
    api = StrictApi(API_SERVICE_PATH, content)
    api.failures = list(failures)
    outcome = await _publish(api, own)
    assert outcome.state is state
    assert cause in outcome.message
    assert "put" not in api.calls


# A certificate from files: the bundle is somebody else's work


async def _look(content: dict[str, Any] | None, serving: ServingCertificate | None) -> Publication:
    api = StrictApi(API_SERVICE_PATH, content)
    outcome = await look_at_api_service(api, SERVICE, serving)
    assert api.calls == ["get"], "it is never written"
    return outcome


async def test_a_bundle_that_trusts_the_file_is_told_with_the_owner() -> None:
    own = make_own_ca(datetime.now(UTC))
    serving = own.issue(SERVICE.name, SERVICE.namespace, datetime.now(UTC))
    assert await _look(_api_service(own.pem), serving) == PUBLISHED


@pytest.mark.parametrize(
    ("spec", "state", "cause"),
    [
        ({}, PublicationState.REFUSED, "cert-manager.io/inject-ca-from"),
        ({"caBundle": "%%%"}, PublicationState.REFUSED, "will not trust"),
        ({"insecureSkipTLSVerify": True}, PublicationState.PUBLISHED, "nobody checks"),
        ({"service": {"namespace": "keda", "name": "keda"}}, PublicationState.OWNED_BY_ANOTHER, "keda/keda"),
    ],
)
async def test_what_speaks_against_the_file_is_told(
    spec: dict[str, Any], state: PublicationState, cause: str
) -> None:
    serving = make_own_ca(datetime.now(UTC)).issue(SERVICE.name, SERVICE.namespace, datetime.now(UTC))
    outcome = await _look(_api_service(**spec), serving)
    assert (outcome.state, cause in outcome.message) == (state, True), outcome


async def test_another_cas_bundle_no_file_and_no_api_service_are_told() -> None:
    now = datetime.now(UTC)
    own, other = make_own_ca(now), make_own_ca(now)
    serving = own.issue(SERVICE.name, SERVICE.namespace, now)
    assert "will not trust" in (await _look(_api_service(other.pem), serving)).message
    assert "no usable certificate" in (await _look(_api_service(own.pem), None)).message
    assert (await _look(None, serving)).state is PublicationState.ABSENT
