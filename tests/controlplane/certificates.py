"""The control plane's keys: who is who between its parts, made anew for each run."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

FRONT_PROXY = "front-proxy-client"
"""The one common name that the request-header CA vouches for."""

# trustme marks the alternative names as critical, and Go refuses a certificate whose list of them is critical
# and empty.
ANY_NAME = "client.triton-ops.test"


@dataclass(frozen=True)
class KeyPair:
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """`cluster` signs servers and clients of kube-apiserver, `request_header` the aggregator's identity
    towards extension servers."""

    folder: Path
    cluster: trustme.CA
    request_header: trustme.CA
    service_account: KeyPair

    @property
    def cluster_ca(self) -> Path:
        return self.folder / "cluster-ca.crt"

    @property
    def request_header_ca(self) -> Path:
        return self.folder / "request-header-ca.crt"

    def server(self, name: str) -> KeyPair:
        return self._write(
            name,
            self.cluster.issue_cert("127.0.0.1", "localhost", "kubernetes.default.svc", common_name=name),
        )

    def client(self, common_name: str, group: str = "") -> KeyPair:
        """A user of kube-apiserver; the certificate's organization is the user's group."""
        leaf = self.cluster.issue_cert(ANY_NAME, common_name=common_name, organization_name=group or "nobody")
        return self._write(common_name.replace(":", "-"), leaf)

    def front_proxy(self, common_name: str = FRONT_PROXY, *, signer: trustme.CA | None = None) -> KeyPair:
        """A client certificate as the aggregator's; other names or signers are those that an extension server
        must refuse."""
        leaf = (signer or self.request_header).issue_cert(ANY_NAME, common_name=common_name)
        return self._write(f"front-proxy-{common_name}{'-other-ca' if signer else ''}", leaf)

    def _write(self, name: str, leaf: trustme.LeafCert) -> KeyPair:
        pair = KeyPair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        pair.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        _write_key(pair.key, leaf.private_key_pem.bytes())
        return pair


def make_certificates(folder: Path) -> Certificates:
    """Both CAs and the service accounts' signing key, written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    pair = KeyPair(folder / "service-accounts.pub", folder / "service-accounts.key")
    pair.certificate.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    _write_key(
        pair.key,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )
    made = Certificates(
        folder=folder,
        cluster=trustme.CA(organization_name="triton-ops cluster"),
        request_header=trustme.CA(organization_name="triton-ops request header"),
        service_account=pair,
    )
    made.cluster.cert_pem.write_to_path(str(made.cluster_ca))
    made.request_header.cert_pem.write_to_path(str(made.request_header_ca))
    return made


def client_tls(ca: Path, pair: KeyPair | None = None) -> ssl.SSLContext:
    """Trusts `ca` alone and shows `pair` where the server asks."""
    context = ssl.create_default_context(cafile=str(ca))
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def _write_key(path: Path, key: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key)
