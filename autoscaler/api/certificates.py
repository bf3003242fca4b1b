"""Certificates without a certificate manager: an own CA in memory, what it signs, and the bundle it is
added to."""

import base64
import binascii
import os
import re
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCK_SKEW = timedelta(hours=1)
"""Certificates start this much early, for a kube-apiserver whose clock is behind."""
CA_LIFE = timedelta(days=365)
SERVING_LIFE = timedelta(days=90)
"""A serving certificate is renewed from the same CA after two thirds of this, with no change to the
bundle."""
MAX_OWN_CAS = 32
"""Own CAs kept in a bundle, newest first. Each start of a replica adds one, so a crash loop would grow the
APIService past what etcd takes; a live replica that is pushed out adds itself again at its next look."""
OWN_ORGANIZATION = "triton-ops external metrics"


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """A leaf with its key, PEM."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    renew_at: datetime


@dataclass(frozen=True, slots=True)
class OwnCa:
    """A certificate authority that is never written down, and replaced at `renew_at`: with a third of its life left,
    which is longer than that of any certificate that it signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    renew_at: datetime

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, service: str, namespace: str, now: datetime) -> ServingCertificate:
        """A serving certificate for `<service>.<namespace>.svc`, the name that kube-apiserver verifies."""
        names = [f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(now + SERVING_LIFE, self.certificate.not_valid_after_utc)
        issuer_key = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        certificate = (
            _builder(_name(names[0]), key, now, end)
            .issuer_name(self.certificate.subject)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        return ServingCertificate(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            renew_at=now + (end - now) * 2 / 3,
        )


def make_own_ca(now: datetime) -> OwnCa:
    """A new P-256 authority, valid for a year. Its name is its own: replicas' CAs stand side by side."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{OWN_ORGANIZATION} {os.urandom(8).hex()}")
    certificate = (
        _builder(name, key, now, now + CA_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(digital_signature=True, key_cert_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return OwnCa(certificate, key, renew_at=now + CA_LIFE * 2 / 3)


def load_certificate(context: ssl.SSLContext, serving: ServingCertificate) -> None:
    """Gives the context its certificate. OpenSSL reads files only, so the key goes through an anonymous
    file in memory where there are such files (a read-only root needs that), else through a private folder
    removed at once."""
    with _as_file(serving.key_pem + serving.certificate_pem) as path:
        context.load_cert_chain(path)


@dataclass(frozen=True, slots=True)
class MergedBundle:
    """A PEM bundle with the wanted certificate in it, and how many were left out of it."""

    pem: bytes
    expired: int
    unreadable: int
    superseded: int


def merge_bundle(bundle: bytes, own: x509.Certificate, now: datetime) -> MergedBundle:
    """`bundle` (PEM) with `own` last, without doubles, expired or unreadable certificates, and with at most
    `MAX_OWN_CAS` made by this program. Others' certificates stay, in their order."""
    blocks, certificates = pem_blocks(bundle), []
    for block in blocks:
        try:
            certificate = x509.load_pem_x509_certificate(block)
            _ = certificate.not_valid_after_utc, certificate.subject
        except ValueError:
            continue
        certificates.append(certificate)
    unreadable = len(blocks) - len(certificates)
    valid = [certificate for certificate in certificates if certificate.not_valid_after_utc > now]
    distinct = [certificate for certificate in dict.fromkeys(valid) if certificate != own]
    ours = sorted(filter(_is_own, distinct), key=lambda certificate: certificate.not_valid_before_utc)
    superseded = set(ours[: max(0, len(ours) - (MAX_OWN_CAS - 1))])
    kept = [certificate for certificate in distinct if certificate not in superseded]
    pem = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in [*kept, own])
    return MergedBundle(pem, len(certificates) - len(valid), unreadable, len(superseded))


def bundle_holds(bundle: bytes, own: x509.Certificate) -> bool:
    """True if this certificate stands in the PEM bundle."""
    der = own.public_bytes(serialization.Encoding.DER)
    return any(_block_der(block) == der for block in pem_blocks(bundle))


def bundle_problem(bundle: bytes, serving: ServingCertificate, name: str) -> str | None:
    """Why a client that trusts this bundle would refuse the certificate under this name, or None: a handshake in memory,
    with OpenSSL's own verification. Any certificate of the bundle is an anchor, as in Go."""
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_certificate(server, serving)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        client.load_verify_locations(cadata=bundle.decode("ascii", "replace"))
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = (
            client.wrap_bio(to_client, to_server, server_hostname=name),
            server.wrap_bio(to_server, to_client, server_side=True),
        )
        for _ in range(4):
            for end in ends:
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (ssl.SSLError, OSError, ValueError) as error:
        return str(error)
    return None


def decode_bundle(ca_bundle: str) -> bytes:
    """The PEM text of a `caBundle`; empty where it is no base64, since nothing in it can be kept."""
    try:
        return base64.b64decode(ca_bundle, validate=True)
    except binascii.Error:
        return b""


_PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def pem_blocks(bundle: bytes) -> Sequence[bytes]:
    """The certificates of a PEM bundle, each alone; what stands between them is dropped."""
    return _PEM_BLOCK.findall(bundle)


def _block_der(block: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(block.splitlines()[1:-1]))
    except binascii.Error:
        return b""


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, OWN_ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
        ]
    )


def _is_own(certificate: x509.Certificate) -> bool:
    organizations = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return any(organization.value == OWN_ORGANIZATION for organization in organizations)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - CLOCK_SKEW).astimezone(UTC))
        .not_valid_after(end.astimezone(UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, digital_signature: bool, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("serving-certificate")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix="serving-certificate-") as folder:
        path = Path(folder, "pair.pem")
        path.touch(mode=0o600)
        path.write_bytes(content)
        yield str(path)
