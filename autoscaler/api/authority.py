"""The own CA over time: published, and replaced while serving.

A CA that takes over is published and read back first, then given time, because every kube-apiserver learns of the new
`caBundle` through a watch of its own; only then is a certificate of it shown. The old CA stays in the bundle until it
expires, so there is no moment at which the certificate shown is not trusted. Where nobody trusts the old one either (another
adapter has the API group, or it has expired), there is nothing to wait for.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from autoscaler.api.certificates import OwnCa, ServingCertificate, make_own_ca
from autoscaler.api.publish import (
    RECHECK_SECONDS,
    Publication,
    PublicationKeeper,
    PublicationState,
    ServiceRef,
    publish_ca,
)
from telemetry.kubernetes_api import KubernetesApi

log = structlog.get_logger(__name__)

SETTLE = timedelta(minutes=1)
"""From reading a new CA back to showing a certificate of it."""


_TRUSTED_BY_NOBODY = (PublicationState.OWNED_BY_ANOTHER, PublicationState.ABSENT)


class Shows(Protocol):
    """The port, as far as it shows a certificate. Raises `OSError` and goes on showing the one before."""

    async def show(self, serving: ServingCertificate) -> None: ...


class OwnAuthority(PublicationKeeper):
    """Keeps the CA that signs now published (what `/readyz` asks), and replaces it at two thirds of its life."""

    def __init__(
        self,
        api: KubernetesApi,
        service: ServiceRef,
        now: Callable[[], datetime],
        *,
        recheck_seconds: float = RECHECK_SECONDS,
        settle: timedelta = SETTLE,
        make_ca: Callable[[datetime], OwnCa] = make_own_ca,
    ) -> None:
        super().__init__("own CA in the APIService", recheck_seconds)
        self._api = api
        self._service = service
        self._now = now
        self._settle = settle
        self._make_ca = make_ca
        self.port: Shows | None = None
        self.ca = make_ca(now())
        self._next: OwnCa | None = None
        self._next_published_at: datetime | None = None

    def issue(self, now: datetime) -> ServingCertificate:
        """A serving certificate of the CA that signs now."""
        return self.ca.issue(self._service.name, self._service.namespace, now)

    def ends(self) -> datetime:
        return self.ca.certificate.not_valid_after_utc

    async def refresh(self) -> None:
        """Looks once, and adds the CA again where somebody took it out (`kubectl apply`, a GitOps controller, another adapter's
        chart)."""
        await super().refresh()
        await self._replace_if_due()

    async def _look(self) -> Publication:
        return await self._publish(self.ca)

    async def _replace_if_due(self) -> None:
        now = self._now()
        if now < self.ca.renew_at:
            return
        if self._next is None:
            self._next, self._next_published_at = self._make_ca(now), None
        published = (await self._publish(self._next)).state is PublicationState.PUBLISHED
        if not published:  # told already where it concerns the present CA; the wait begins anew
            self._next_published_at = None
            if now >= self.ends() or self.publication.state in _TRUSTED_BY_NOBODY:
                await self._take_over(self._next, now)
        elif self._next_published_at is None:
            self._next_published_at = now
            log.info("next own CA published", takes_over_after_seconds=self._settle.total_seconds())
        elif now - self._next_published_at >= self._settle:
            await self._take_over(self._next, now)

    async def _take_over(self, successor: OwnCa, now: datetime) -> None:
        serving = successor.issue(self._service.name, self._service.namespace, now)
        try:
            if self.port is not None:
                await self.port.show(serving)
        except OSError as error:
            log.warning("own CA not replaced", cause=str(error))
            return
        self.ca, self._next, self._next_published_at = successor, None, None
        log.info("own CA replaced", until=self.ends().isoformat())

    async def _publish(self, ca: OwnCa) -> Publication:
        return await publish_ca(self._api, self._service, ca.certificate, self._now())
