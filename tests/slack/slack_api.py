"""Slack's Web API on loopback: six methods, Slack's limits and errors, and what its channels show. Anything else that is asked of
it fails the test at its end. It can be told to be away, to hang, to lose its answer, to take about a message a second as Slack."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.slack.block_kit import MOST_TEXT, MOST_WEIGHT, complaints, effects, shown, total
from triage.slack.message import Message

TOKEN = "xoxb-0-not-a-secret"
CHANNEL = "C0ALERTS1"
_POST = {
    "channel",
    "text",
    "blocks",
    "thread_ts",
    "metadata",
    "link_names",
    "parse",
    "unfurl_links",
    "unfurl_media",
}
_UPDATE = {"channel", "ts", "text", "blocks", "metadata", "link_names", "parse"}
_HISTORY = {"channel", "oldest", "limit", "cursor", "include_all_metadata"}
_METHODS = {
    "auth.test": ("POST", "", set()),
    "chat.postMessage": ("POST", "chat:write", _POST),
    "chat.update": ("POST", "chat:write", _UPDATE),
    "chat.getPermalink": ("GET", "", {"channel", "message_ts"}),
    "conversations.history": ("GET", "channels:history", _HISTORY),
    "conversations.replies": ("GET", "channels:history", _HISTORY | {"ts"}),
}


@dataclass
class Kept:
    """A message as the channel has it."""

    ts: str
    thread_ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any]
    edits: int = 0
    called: list[str] = field(default_factory=list)
    """Whom its first posting called; an edit calls nobody."""

    @property
    def part(self) -> str:
        return str(self.metadata["event_payload"]["part"])

    @property
    def incident(self) -> str:
        return str(self.metadata["event_payload"]["incident"])

    @property
    def shown(self) -> str:
        return shown(self.blocks) if self.blocks else self.text

    @property
    def effects(self) -> list[str]:
        return effects(self.text, self.blocks)


@dataclass
class SlackApi:
    base_url: str = ""
    clock: Callable[[], float] = time.time
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    expired: set[str] = field(default_factory=set)
    channels: dict[str, bool] = field(default_factory=lambda: {CHANNEL: True})
    """By id, whether the app is a member."""
    scopes: set[str] = field(default_factory=lambda: {"chat:write", "channels:history"})
    takes_charts: bool = True
    editable: bool = True
    rate: bool = False
    """Whether more than about a message a second in a channel is refused."""
    next_errors: list[str] = field(default_factory=list)
    """Codes that the next writing calls are answered with."""
    hanging: bool = False
    loses_answers: int = 0
    """How many of the next posts are kept, and their connection broken."""
    status: int = 0
    """Such as 503, for every call."""
    proxy_answers: tuple[str, bytes] | None = None
    """What a proxy in Slack's place answers with 200: content type and body."""
    messages: dict[str, list[Kept]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What no client may do."""
    limited: int = 0
    _allowed: dict[str, tuple[float, float]] = field(default_factory=dict)
    _runner: web.AppRunner | None = None
    _port: int = 0
    _last_ts: float = 0.0

    def thread(self, channel: str = CHANNEL, incident: str = "") -> dict[str, Kept]:
        """What the channel shows of an incident, by part; a part that stands there twice fails the test."""
        found: dict[str, Kept] = {}
        for kept in self.messages.get(channel, []):
            if not incident or kept.incident == incident:
                assert kept.part not in found, f"{kept.part} stands there twice"
                found[kept.part] = kept
        return found

    def delete(self, kept: Kept) -> None:
        """As a person does."""
        for messages in self.messages.values():
            if kept in messages:
                messages.remove(kept)

    def chatter(self, channel: str, message: Message) -> None:
        """Another message, posted by nobody that counts."""
        self._keep({"channel": channel, "text": message.text, "metadata": dict(message.metadata)})

    def spend(self, channel: str) -> None:
        """As if too much had just been posted there."""
        self._allowed[channel] = (0.0, self.clock())

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]
        self.base_url = f"http://127.0.0.1:{self._port}/api/"

    async def stop(self) -> None:
        """From now on connections are refused, until `start`."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        method = request.path.removeprefix("/api/")
        self.calls.append(method)
        if method not in _METHODS:
            self.wrong.append(f"{request.method} {request.path}")
            return web.json_response({"ok": False, "error": "unknown_method"})
        if self.hanging:
            await asyncio.sleep(60)
        if self.status:
            return web.Response(
                status=self.status, text="<html>upstream is away</html>", content_type="text/html"
            )
        if self.proxy_answers is not None:
            kind, said = self.proxy_answers
            return web.Response(body=said, content_type=kind)
        verb, scope, allowed = _METHODS[method]
        if request.method != verb:
            self.wrong.append(f"{method} asked with {request.method}")
        arguments = await self._arguments(request, method)
        if extra := set(arguments) - allowed:
            self.wrong.append(f"{method} with {', '.join(sorted(extra))}")
        if refusal := self._refused(request, method, scope, arguments):
            return refusal
        body = getattr(self, "_" + method.replace(".", "_"))(arguments)
        if (
            method.startswith("chat.")
            and body.get("ok")
            and method != "chat.getPermalink"
            and self.loses_answers
        ):
            self.loses_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body)

    async def _arguments(self, request: web.Request, method: str) -> dict[str, Any]:
        if request.method == "GET" or method == "auth.test":
            return dict(request.query)
        if request.content_type != "application/json":
            self.wrong.append(f"{method} as {request.content_type}")
        read = json.loads(await request.text())
        return read if isinstance(read, dict) else {}

    def _refused(
        self, request: web.Request, method: str, scope: str, arguments: dict[str, Any]
    ) -> web.Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            return _error("not_authed")
        if token in self.expired:
            return _error("token_expired")
        if token not in self.tokens:
            return _error("invalid_auth")
        if scope and scope not in self.scopes:
            return _error("missing_scope", needed=scope, provided=",".join(sorted(self.scopes)))
        if method == "auth.test":
            return None
        channel = arguments.get("channel", "")
        if channel not in self.channels:
            return _error("channel_not_found")
        if not self.channels[channel]:
            return _error("not_in_channel")
        if method in ("chat.postMessage", "chat.update"):
            if self.next_errors:
                return _error(self.next_errors.pop(0))
            if self.rate and not self._may(channel):
                self.limited += 1
                return web.json_response(
                    {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "3"}
                )
            return self._bad_message(method, arguments)
        return None

    def _may(self, channel: str) -> bool:
        """A message a second, three at once."""
        left, at = self._allowed.get(channel, (3.0, self.clock()))
        left = min(3.0, left + self.clock() - at)
        self._allowed[channel] = (left - 1 if left >= 1 else left, self.clock())
        return left >= 1

    def _bad_message(self, method: str, arguments: dict[str, Any]) -> web.Response | None:
        if arguments.get("parse") != "none" or arguments.get("link_names") is not False:
            self.wrong.append(f"{method} lets Slack look for links and names")
        if method == "chat.postMessage" and (
            arguments.get("unfurl_links"),
            arguments.get("unfurl_media"),
        ) != (False, False):
            self.wrong.append(f"{method} unfurls")
        text = arguments.get("text")
        if not isinstance(text, str) or not text.strip():
            self.wrong.append(f"{method} without a text for notifications")
            return _error("no_text")
        if len(text) > MOST_TEXT:
            return _error("msg_too_long")
        blocks = arguments.get("blocks") or []
        said = complaints(blocks)
        if not self.takes_charts and any(block.get("type") == "data_visualization" for block in blocks):
            said.append("[ERROR] unsupported type: data_visualization [json-pointer:/blocks]")
        if said:
            return _error("invalid_blocks", response_metadata={"messages": said})
        if total(blocks) > MOST_WEIGHT:
            return _error("msg_blocks_too_long")
        metadata = arguments.get("metadata")
        if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"}:
            return _error("invalid_metadata_format")
        kind, payload = metadata["event_type"], metadata["event_payload"]
        if not str(kind).replace("_", "").isalnum() or set(map(type, payload.values())) != {str}:
            return _error("invalid_metadata_schema")
        return None

    def _auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "user": "triton-triage", "team": "T"}

    def _chat_postMessage(self, said: dict[str, Any]) -> dict[str, Any]:
        channel = self.messages.setdefault(said["channel"], [])
        thread = said.get("thread_ts", "")
        if thread and not any(thread in (kept.ts, kept.thread_ts) for kept in channel):
            return {"ok": False, "error": "thread_not_found"}
        return {"ok": True, "channel": said["channel"], "ts": self._keep(said)}

    def _keep(self, said: dict[str, Any]) -> str:
        self._last_ts = max(self._last_ts + 1e-6, self.clock())
        ts = f"{self._last_ts:.6f}"
        kept = Kept(ts, said.get("thread_ts", ""), said["text"], said.get("blocks", []), said["metadata"])
        kept.called = [effect for effect in kept.effects if effect.startswith("call")]
        self.messages.setdefault(said["channel"], []).append(kept)
        return ts

    def _chat_update(self, said: dict[str, Any]) -> dict[str, Any]:
        found = [kept for kept in self.messages.get(said["channel"], []) if kept.ts == said["ts"]]
        if not found:
            return {"ok": False, "error": "message_not_found"}
        if not self.editable:
            return {"ok": False, "error": "edit_window_closed"}
        kept = found[0]
        kept.text, kept.blocks, kept.metadata = said["text"], said.get("blocks", []), said["metadata"]
        kept.edits += 1
        return {"ok": True, "channel": said["channel"], "ts": kept.ts, "text": kept.text}

    def _chat_getPermalink(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not any(kept.ts == asked["message_ts"] for kept in self.messages.get(asked["channel"], [])):
            return {"ok": False, "error": "message_not_found"}
        name = asked["message_ts"].replace(".", "")
        return {"ok": True, "permalink": f"https://team.slack.com/archives/{asked['channel']}/p{name}"}

    def _conversations_history(self, asked: dict[str, Any]) -> dict[str, Any]:
        return self._page(
            asked, [kept for kept in self.messages.get(asked["channel"], []) if not kept.thread_ts]
        )

    def _conversations_replies(self, asked: dict[str, Any]) -> dict[str, Any]:
        ts = asked["ts"]
        found = [kept for kept in self.messages.get(asked["channel"], []) if ts in (kept.ts, kept.thread_ts)]
        return self._page(asked, found) if found else {"ok": False, "error": "thread_not_found"}

    def _page(self, asked: dict[str, Any], found: list[Kept]) -> dict[str, Any]:
        since = float(asked.get("oldest", 0))
        found = sorted(
            (kept for kept in found if float(kept.ts) > since), key=lambda kept: kept.ts, reverse=True
        )
        first, limit = int(asked.get("cursor") or 0), int(asked.get("limit", 100))
        wants_metadata = asked.get("include_all_metadata") in ("1", "true")
        messages = [
            {
                "type": "message",
                "ts": kept.ts,
                "text": kept.text,
                **({"metadata": kept.metadata} if wants_metadata else {}),
            }
            for kept in found[first : first + limit]
        ]
        more = first + limit < len(found)
        return {
            "ok": True,
            "messages": messages,
            "has_more": more,
            "response_metadata": {"next_cursor": str(first + limit) if more else ""},
        }


def _error(code: str, **more: Any) -> web.Response:
    return web.json_response({"ok": False, "error": code, **more})


@asynccontextmanager
async def slack_api(**settings: Any) -> AsyncIterator[SlackApi]:
    """Running; at its end nothing may have been asked of it that it does not know."""
    api = SlackApi(**settings)
    await api.start()
    try:
        yield api
    finally:
        await api.stop()
    assert not api.wrong, api.wrong
