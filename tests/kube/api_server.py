"""A strict API server on loopback: it answers what the script says, in that order, and anything else fails
the test."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiServer:
    """`expect` adds a step; `requests` are those seen, as `PATH?QUERY` without what varies; `done` is set
    after the last."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.unexpected: list[str] = []
        self.done = asyncio.Event()
        self.url = ""
        self._script: list[tuple[str, Reply]] = []
        self._any: dict[str, Reply] = {}

    def expect(self, request: str, reply: Reply) -> None:
        self._script.append((request, reply))

    def expect_any(self, request: str, reply: Reply) -> None:
        """A request that may come at any time, and as often as it likes."""
        self._any[request] = reply

    async def handle(self, request: web.Request) -> web.StreamResponse:
        query = {k: v for k, v in request.query.items() if k != "timeoutSeconds"}
        asked = request.path + ("?" + "&".join(f"{k}={v}" for k, v in sorted(query.items())) if query else "")
        self.requests.append(asked)
        if asked in self._any:
            return await self._any[asked](request)
        if not self._script or self._script[0][0] != asked:
            self.unexpected.append(asked)
            self.done.set()
            return web.Response(status=500)
        _, reply = self._script.pop(0)
        if not self._script:
            self.done.set()
        return await reply(request)


@asynccontextmanager
async def api_server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
    assert not server.unexpected


def kubeconfig(folder: Path, url: str, token: str = "t0ken") -> str:
    """The path of a kubeconfig for the server at `url`."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def answer(body: object, status: int = 200) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return reply


def stream(*lines: object, then_hang: bool = False) -> Reply:
    """A watch: each line as JSON (bytes are sent as they are), then the end, or silence until the client
    leaves."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        if then_hang:
            await asyncio.Event().wait()
        return response

    return reply


def refusal(status: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "code": status, "reason": reason, "message": message}
    return answer(body, status)


def pod(name: str, version: int = 1, **metadata: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "prod", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": meta | metadata}


def page(*items: object, version: int = 1, following: str = "") -> Reply:
    return answer(
        {"metadata": {"resourceVersion": str(version), "continue": following}, "items": list(items)}
    )


def bookmark(version: int) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


def event(kind: str, obj: object) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def error_event(code: int, reason: str) -> dict[str, Any]:
    return {"type": "ERROR", "object": {"kind": "Status", "code": code, "reason": reason, "message": reason}}
