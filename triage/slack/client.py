"""Slack's Web API as the outbox needs it, over slack_sdk. It retries nothing: when to ask again is the outbox's.

Every call has a deadline, and every error is one of triage.slack.errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from triage.slack.errors import CannotEdit, CannotLook, Refused, SlackError, TokenRefused, TryLater
from triage.slack.message import EVENT_TYPE, Message
from triage.slack.refusals import own_error

SCOPES = ("chat:write", "channels:history", "groups:history")
"""What the bot's token needs; without the last two, nobody can look whether a message arrived."""
_CALL_SECONDS = 10.0
_MOST_PAGES = 5
_PAGE = 200
_LOOK_BACK_SECONDS = 600.0
"""Clocks differ: a message is looked for from so long before its incident."""
_QUIET = logging.getLogger("triage.slack.sdk")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_QUIET.setLevel(logging.CRITICAL)


class Arrived(msgspec.Struct, frozen=True):
    """A message that is there: Slack's id of its channel, and its name in it."""

    channel: str
    ts: str


class SlackClient:
    """`async with SlackClient(token_file) as slack`. The token's file is read again when it changes, and after Slack refused it."""

    def __init__(
        self,
        token_file: Path,
        *,
        base_url: str = AsyncWebClient.BASE_URL,
        call_seconds: float = _CALL_SECONDS,
    ) -> None:
        self._token_file = token_file
        self._base_url = base_url
        self._call_seconds = call_seconds
        self._token = ""
        self._read_at: tuple[int, int] | None = None

    async def __aenter__(self) -> Self:
        # The environment's proxy goes through the session, which also knows what needs none; slack_sdk's own reading does not.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._call_seconds), trust_env=True
        )
        self._slack = AsyncWebClient(
            base_url=self._base_url,
            timeout=max(1, round(self._call_seconds)),
            session=self._session,
            logger=_QUIET,
            retry_handlers=[],
        )
        self._slack.proxy = None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def check(self) -> str:
        """The name of the bot that the token is of. Raises SlackError."""
        told = await self._call(lambda: self._slack.auth_test())
        return str(told.get("user", ""))

    async def post(self, channel: str, message: Message, thread_ts: str = "") -> Arrived:
        """Posts the message. Raises SlackError; TryLater says where it may have arrived all the same."""
        told = await self._call(
            lambda: self._slack.chat_postMessage(
                channel=channel,
                thread_ts=thread_ts or None,
                unfurl_links=False,
                unfurl_media=False,
                **_content(message),
            )
        )
        return Arrived(str(told.get("channel") or channel), str(told["ts"]))

    async def update(self, channel: str, ts: str, message: Message) -> None:
        """Makes the message say this now. Raises SlackError, CannotEdit among them."""
        await self._call(lambda: self._slack.chat_update(channel=channel, ts=ts, **_content(message)))

    async def find(self, channel: str, incident: str, part: str, *, since: float, thread_ts: str = "") -> str:
        """The name of the incident's part that was posted after `since`, in the thread if one is given; empty if it is not there.
        Raises CannotLook where that cannot be told, and SlackError."""
        cursor = ""
        wanted = {"incident": incident, "part": part}
        for _ in range(_MOST_PAGES):
            told = await self._look(channel, thread_ts, max(0.0, since - _LOOK_BACK_SECONDS), cursor)
            for found in told.get("messages") or []:
                metadata = found.get("metadata") or {}
                if metadata.get("event_type") == EVENT_TYPE and metadata.get("event_payload") == wanted:
                    return str(found["ts"])
            cursor = (told.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return ""
        raise CannotLook(f"more than {_MOST_PAGES * _PAGE} messages came since then")

    async def permalink(self, channel: str, ts: str) -> str:
        """Raises SlackError."""
        told = await self._call(lambda: self._slack.chat_getPermalink(channel=channel, message_ts=ts))
        return str(told.get("permalink", ""))

    async def _look(self, channel: str, thread_ts: str, oldest: float, cursor: str) -> Mapping[str, Any]:
        asked: dict[str, Any] = {
            "channel": channel,
            "oldest": f"{oldest:.6f}",
            "limit": _PAGE,
            "include_all_metadata": True,
            "cursor": cursor or None,
        }
        try:
            if thread_ts:
                return await self._call(lambda: self._slack.conversations_replies(ts=thread_ts, **asked))
            return await self._call(lambda: self._slack.conversations_history(**asked))
        except Refused as refused:
            raise CannotLook(refused.why, refused.remedy) from None
        except CannotEdit:  # the thread is gone, and what was in it
            return {}

    async def _call(self, ask: Callable[[], Awaitable[Any]]) -> Mapping[str, Any]:
        """Slack's answer, with today's token; once more with a new one where the file has it."""
        for last in (False, True):
            self._slack.token = await asyncio.to_thread(self._fresh_token)
            try:
                return await self._asked(ask)
            except TokenRefused:
                before, self._read_at = self._token, None
                if last or await asyncio.to_thread(self._fresh_token) == before:
                    raise
        raise AssertionError("unreachable")

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Mapping[str, Any]:
        error: SlackError
        try:
            async with asyncio.timeout(self._call_seconds):
                answer = await ask()
            if isinstance(answer.data, dict):
                return answer.data
            error = TryLater("Slack's answer was no object", unclear=True)
        except SlackApiError as refused:
            error = own_error(refused)
        except TimeoutError:
            error = TryLater(f"Slack did not answer within {self._call_seconds:g} s", unclear=True)
        except aiohttp.ClientConnectorError as away:
            error = TryLater(f"Slack cannot be reached: {type(away).__name__}")
        except (aiohttp.ClientError, SlackClientError, OSError) as broken:
            error = TryLater(f"the connection to Slack broke: {type(broken).__name__}", unclear=True)
        except (AttributeError, ValueError):  # slack_sdk takes any answer for an object in UTF-8
            error = TryLater("what answered in Slack's place is not Slack: is a proxy between?", unclear=True)
        raise error

    def _fresh_token(self) -> str:
        remedy = f"put the bot's token (xoxb-…) into {self._token_file}"
        try:
            state = self._token_file.stat()
            if (now := (state.st_mtime_ns, state.st_ino)) != self._read_at:
                self._token = self._token_file.read_text(encoding="ascii").strip()
                self._read_at = now
        except (OSError, UnicodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not ASCII"
            raise TokenRefused(f"cannot read Slack's token from {self._token_file}: {said}", remedy) from None
        if not self._token.isprintable() or not self._token or " " in self._token:
            raise TokenRefused(f"{self._token_file} has no token", remedy)
        return self._token


def _content(message: Message) -> dict[str, Any]:
    return {
        "text": message.text,
        "blocks": list(message.blocks),
        "metadata": dict(message.metadata),
        "link_names": False,
        "parse": "none",
    }
