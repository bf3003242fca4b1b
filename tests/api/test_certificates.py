"""The own CA and what it signs."""

from datetime import UTC, datetime, timedelta

from cryptography import x509

from autoscaler.api.certificates import CLOCK_SKEW, OwnCa, make_own_ca

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _issue(own: OwnCa, now: datetime) -> x509.Certificate:
    return x509.load_pem_x509_certificate(own.issue("triton-autoscaler", "triton-ops", now).certificate_pem)


def test_a_serving_certificate_has_the_names_that_kube_apiserver_verifies() -> None:
    certificate = _issue(make_own_ca(NOW), NOW)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "triton-autoscaler.triton-ops.svc",
        "triton-autoscaler.triton-ops.svc.cluster.local",
    ]


def test_a_serving_certificate_is_signed_by_its_ca_and_is_none() -> None:
    own = make_own_ca(NOW)
    certificate = _issue(own, NOW)
    certificate.verify_directly_issued_by(own.certificate)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert own.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_certificates_are_valid_an_hour_ago_and_never_past_their_ca() -> None:
    own = make_own_ca(NOW)
    first, last = _issue(own, NOW), _issue(own, NOW + timedelta(days=360))
    assert first.not_valid_before_utc == own.certificate.not_valid_before_utc == NOW - CLOCK_SKEW
    assert own.certificate.not_valid_after_utc == NOW + timedelta(days=365)
    assert first.not_valid_after_utc == NOW + timedelta(days=90)
    assert last.not_valid_after_utc == own.certificate.not_valid_after_utc


def test_a_serving_certificate_is_renewed_long_before_it_ends() -> None:
    serving = make_own_ca(NOW).issue("triton-autoscaler", "triton-ops", NOW)
    assert serving.renew_at == NOW + timedelta(days=60)


def test_keys_are_not_printed() -> None:
    own = make_own_ca(NOW)
    assert "PRIVATE KEY" not in repr(own.issue("a", "b", NOW))
    assert "key" not in repr(own)


def test_a_long_service_name_still_gets_a_certificate() -> None:
    assert make_own_ca(NOW).issue("s" * 63, "n" * 63, NOW).certificate_pem


def test_each_replicas_ca_has_a_name_of_its_own() -> None:
    assert make_own_ca(NOW).certificate.subject != make_own_ca(NOW).certificate.subject
