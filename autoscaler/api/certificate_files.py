"""A certificate that somebody else keeps in files (cert-manager, a person), shown anew when they change."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from autoscaler.api.certificates import ServingCertificate
from autoscaler.api.publish import (
    RECHECK_SECONDS,
    Publication,
    PublicationKeeper,
    ServiceRef,
    look_at_api_service,
)
from telemetry.kubernetes_api import KubernetesApi

FILE_REREAD = timedelta(seconds=30)


class CertificateFiles(PublicationKeeper):
    """What the port shows instead of an own certificate, and whether kube-apiserver trusts it (what `/readyz` asks). The
    APIService is read and never written: its `caBundle` is the work of whoever keeps the files."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        api: KubernetesApi,
        service: ServiceRef,
        shown: Callable[[], ServingCertificate | None],
        *,
        recheck_seconds: float = RECHECK_SECONDS,
    ) -> None:
        super().__init__("certificate from files and the APIService", recheck_seconds)
        self._certificate = certificate
        self._key = key
        self._api = api
        self._service = service
        self._shown = shown

    def issue(self, now: datetime) -> ServingCertificate:
        """The pair as the files hold it now, due to be read again. Raises `OSError`."""
        return read_serving_certificate(self._certificate, self._key, now)

    async def _look(self) -> Publication:
        return await look_at_api_service(self._api, self._service, self._shown())


def read_serving_certificate(certificate: Path, key: Path, now: datetime) -> ServingCertificate:
    """The pair that cert-manager or a person keeps in files, due to be read again at `FILE_REREAD`.
    Raises `OSError`."""
    return ServingCertificate(certificate.read_bytes(), key.read_bytes(), renew_at=now + FILE_REREAD)
