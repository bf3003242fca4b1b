"""TLS of the port on which Alertmanager is heard, with a client's certificate where that is asked for."""

import asyncio
import hashlib
import ssl
from pathlib import Path

import structlog

from triage.oncall.config import TlsSection

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 10.0


def _no_password() -> str:
    """For a key that has one: OpenSSL would ask for it on a terminal, and wait."""
    return ""


class TlsFiles:
    """The certificate and key of `section`, and who signed the clients'. Read again when the files change: a client CA that is
    added counts at once, one that is taken out with the next start."""

    def __init__(self, section: TlsSection) -> None:
        """Raises OSError when a file is not there, or not what it should be."""
        self._section = section
        self._seen = self._digest()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        if section.client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
        self._load()

    async def keep(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                found = await asyncio.to_thread(self._digest)
                if found != self._seen:
                    await asyncio.to_thread(self._load)
                    self._seen = found
                    log.info("certificate_read_again", file=self._section.certificate)
            except OSError as error:
                log.warning("certificate_unreadable", cause=str(error))

    def _load(self) -> None:
        # Into one that nobody uses first: a certificate whose key does not fit would leave the port with neither.
        section = self._section
        try:
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
                context.load_cert_chain(section.certificate, section.key, password=_no_password)
                if section.client_ca is not None:
                    context.load_verify_locations(section.client_ca)
        except ssl.SSLError as error:
            files = ", ".join(filter(None, (section.certificate, section.key, section.client_ca)))
            raise OSError(
                f"no certificate with its key, both in PEM and without a password: {files} ({error})"
            ) from error

    def _digest(self) -> str:
        files = (self._section.certificate, self._section.key, self._section.client_ca)
        return hashlib.sha256(b"\0".join(Path(file).read_bytes() for file in files if file)).hexdigest()
