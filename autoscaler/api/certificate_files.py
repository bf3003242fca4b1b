"""A certificate that somebody else keeps in files (cert-manager, a person), shown anew when they change."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from autoscaler.api.certificates import ServingCertificate
from autoscaler.api.publish import Publication, PublicationState, ServiceRef, look_at_api_service
from telemetry.kubernetes_api import KubernetesApi

log = structlog.get_logger(__name__)

RECHECK_SECONDS = 30.0
FILE_REREAD = timedelta(seconds=30)


class CertificateFiles:
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
        self._certificate = certificate
        self._key = key
        self._api = api
        self._service = service
        self._shown = shown
        self._recheck_seconds = recheck_seconds
        self.publication = Publication(PublicationState.UNREACHABLE, "not looked yet")

    def issue(self, now: datetime) -> ServingCertificate:
        """The pair as the files hold it now, due to be read again. Raises `OSError`."""
        return read_serving_certificate(self._certificate, self._key, now)

    async def keep(self) -> None:
        """Looks every half to one and a half times the interval; ends only by cancellation."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._recheck_seconds * random.uniform(0.5, 1.5))  # noqa: S311

    async def refresh(self) -> None:
        """Looks once; a change of state is logged."""
        before = self.publication
        self.publication = await look_at_api_service(self._api, self._service, self._shown())
        if self.publication != before:
            told = self.publication
            level = log.info if told.state is PublicationState.PUBLISHED else log.warning
            level(
                "certificate from files and the APIService",
                state=str(told.state),
                owner=told.owner,
                cause=told.message,
            )


def read_serving_certificate(certificate: Path, key: Path, now: datetime) -> ServingCertificate:
    """The pair that cert-manager or a person keeps in files, due to be read again at `FILE_REREAD`.
    Raises `OSError`."""
    return ServingCertificate(certificate.read_bytes(), key.read_bytes(), renew_at=now + FILE_REREAD)
