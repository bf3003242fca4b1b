"""Where Alertmanager sends to: `POST /alerts`. Stored first, answered then.

5xx is sent again, every 4xx is dropped, 429 too (prometheus/alertmanager notify/util.go): so what cannot be kept now is 503, and
4xx is for what will never be right."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from triage.oncall.alertmanager import Notification, NotificationError, Told, parse_notification
from triage.oncall.joining import MOST_OPEN, Done
from triage.oncall.record import RecordError
from triage.seal import Seal

log = structlog.get_logger(__name__)

PATH = "/alerts"
MAX_BODY_BYTES = 8 << 20
"""A thousand alerts with long annotations are a megabyte."""
_BODY_SECONDS = 15.0
_TOKEN_SECONDS = 3.0
_MOST_LOGGED = 20
"""Kinds of alerts that are not ours, of one notification."""


class Taking(Protocol):
    async def take(self, told: Iterable[Told], truncated: int = 0) -> Sequence[Done]:
        """Stores what alerts tell; raises RecordError."""
        ...


class Intake:
    """`named` gives each alert the name of the workload that it is about, in their order. `token_file` None: the client's
    certificate was checked by the port."""

    def __init__(
        self,
        taking: Taking,
        named: Callable[[Sequence[Told]], Awaitable[Sequence[Told]]],
        token_file: Path | None,
        on_answer: Callable[[int, Sequence[Done]], None],
        make_seal: Callable[[], Seal],
    ) -> None:
        self._taking = taking
        self._named = named
        self._token_file = token_file
        self._on_answer = on_answer
        self._make_seal = make_seal

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post(PATH, self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        began = time.monotonic()
        try:
            code, said, done = await self._taken(request)
        except (
            Exception
        ) as error:  # a defect of ours: aiohttp would answer the same, and nobody would know why
            log.error("notification_failed", cause=f"{type(error).__name__}: {error}")  # noqa: TRY400
            code, said, done = 500, "this program failed on it: see its log", ()
        self._on_answer(code, done)
        if code != 200:
            log.warning("notification_refused", code=code, why=said, peer=request.remote)
        log.debug("notification", code=code, seconds=round(time.monotonic() - began, 3))
        return web.Response(status=code, text=said + "\n")

    async def _taken(self, request: web.Request) -> tuple[int, str, Sequence[Done]]:
        try:
            if not await self._may(request):
                return 401, "no bearer token, or a wrong one: see webhook.token_file", ()
        except _TokenAway as error:  # ours to mend: the alert has to come again
            return 503, str(error), ()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read()
            # In a thread: eight megabytes full of secrets are seconds of work.
            notification = await asyncio.to_thread(parse_notification, body, self._make_seal().value)
        except web.HTTPRequestEntityTooLarge:
            return 413, f"more than {MAX_BODY_BYTES} bytes: set max_alerts of the receiver to 1000", ()
        except TimeoutError:
            return 503, f"the body did not come within {_BODY_SECONDS:g} s", ()
        except (web.RequestPayloadError, HttpProcessingError):
            return 400, "the body is not what its headers say", ()
        except NotificationError as error:
            return 400, str(error), ()
        return await self._stored(notification)

    async def _stored(self, notification: Notification) -> tuple[int, str, Sequence[Done]]:
        told = await self._named(notification.told)
        try:
            done = await self._taking.take(told, notification.truncated_alerts)
        except RecordError as error:
            return 503, f"cannot be kept now, send it again: {error}", ()
        _tell_of_others(one for one, became in zip(told, done, strict=True) if became == "not_ours")
        if "turned_away" in done:
            return 503, f"{MOST_OPEN} incidents are open: the others are taken when some have ended", done
        return 200, "taken", done

    async def _may(self, request: web.Request) -> bool:
        if self._token_file is None:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            async with asyncio.timeout(_TOKEN_SECONDS):
                token = (await asyncio.to_thread(self._token_file.read_bytes)).strip()  # it may be rotated
        except (OSError, TimeoutError) as error:
            said = getattr(error, "strerror", None) or "no answer"
            raise _TokenAway(f"the token cannot be read from {self._token_file}: {said}") from error
        if not token:
            raise _TokenAway(f"{self._token_file} is empty: put the token there that Alertmanager sends")
        sent = given.strip().encode("utf-8", "surrogateescape")
        return scheme.lower() == "bearer" and hmac.compare_digest(sent, token)


class _TokenAway(Exception):
    """The token that would be compared is not known now."""


def _tell_of_others(told: Iterable[Told]) -> None:
    """Logs each alert's name once, however many of it a notification has."""
    counts: dict[tuple[str, str], int] = {}
    for one in told:
        why = "no label triage"
        if one.tree:
            why = one.problem or f"its label triage={one.tree!r} names no tree"
        counts[one.alert.name, why] = counts.get((one.alert.name, why), 0) + 1
    for (name, why), number in list(counts.items())[:_MOST_LOGGED]:
        log.info("alert_not_ours", alert=name, why=why, alerts=number)
    if len(counts) > _MOST_LOGGED:
        log.info("alerts_not_ours", others=len(counts) - _MOST_LOGGED)
