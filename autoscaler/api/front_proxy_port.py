"""One TLS port kept true: it trusts today's front proxy and shows a certificate that has not ended."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from autoscaler.api.certificates import ServingCertificate, load_certificate
from autoscaler.api.front_proxy import FrontProxy
from autoscaler.api.server import ApiServer, front_proxy_context

log = structlog.get_logger(__name__)

RENEWAL_CHECK_SECONDS = 10.0


class FrontProxyPort:
    """Puts an `ApiServer` to work once the front proxy is known, and again whenever it or the certificate
    changes.

    `certificate` makes or reads a serving certificate for this moment."""

    def __init__(
        self,
        server: ApiServer,
        certificate: Callable[[datetime], ServingCertificate],
        now: Callable[[], datetime],
    ) -> None:
        self._server = server
        self._certificate = certificate
        self._now = now
        self._front_proxy: FrontProxy | None = None
        self._serving: ServingCertificate | None = None
        self._changing = asyncio.Lock()
        """A new CA and a new certificate may come at once; each must see what the other left, or one of them is lost."""
        self._problem: str | None = None

    async def trust(self, front_proxy: FrontProxy) -> None:
        """Serves those who hold a certificate of this CA, and from now on nobody else. Raises
        `ssl.SSLError` or `OSError` where the certificate or the CA cannot be used; what was served before
        goes on."""
        async with self._changing:
            await self._serve(front_proxy, self._serving or self._certificate(self._now()))

    async def show(self, serving: ServingCertificate) -> None:
        """Shows this certificate on every connection from now on; those that are open go on. Raises `OSError`
        (`ssl.SSLError` too) where it cannot be used; what was shown before goes on."""
        async with self._changing:
            if self._front_proxy is None:
                self._serving = serving
            else:
                await self._serve(self._front_proxy, serving)

    @property
    def serving(self) -> ServingCertificate | None:
        """What is shown now, or will be once the front proxy is known."""
        return self._serving

    async def keep_renewed(self, *, check_seconds: float = RENEWAL_CHECK_SECONDS) -> None:
        """Replaces the certificate once it is due; ends only by cancellation."""
        while True:
            await asyncio.sleep(check_seconds)
            await self.renew_if_due()

    async def renew_if_due(self) -> None:
        """Looks once. A failure is logged when it is a new one, and tried again at the next look."""
        async with self._changing:
            await self._renew_if_due()

    async def _renew_if_due(self) -> None:
        if self._front_proxy is None or self._serving is None or self._now() < self._serving.renew_at:
            return
        try:
            renewed = self._certificate(self._now())
            if _same(renewed, self._serving):
                self._serving = renewed
            else:
                await self._serve(self._front_proxy, renewed)
                log.info("serving certificate renewed")
            self._problem = None
        except (OSError, ValueError) as error:  # a file is missing, or the pair is refused
            if str(error) != self._problem:
                log.warning("serving certificate not renewed", cause=str(error))
            self._problem = str(error)

    async def _serve(self, front_proxy: FrontProxy, serving: ServingCertificate) -> None:
        context = front_proxy_context(front_proxy.ca_pem)
        load_certificate(context, serving)
        await self._server.use(context)
        self._front_proxy, self._serving = front_proxy, serving


def _same(one: ServingCertificate, other: ServingCertificate) -> bool:
    return (one.certificate_pem, one.key_pem) == (other.certificate_pem, other.key_pem)
