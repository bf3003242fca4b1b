"""What every program of ours has on its plain port: probes and the program's own metrics. Nothing here is secret."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from telemetry.one_line import bounded

_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Condition:
    """One named promise: kept, or failed for a reason that says what to do."""

    name: str
    ok: bool
    reason: str = ""
    note: str = ""
    """What a person should know although the promise is kept."""


Conditions = Callable[[], Sequence[Condition]]
"""The conditions at this moment; returns at once."""


def add_plain_routes(
    app: web.Application,
    *,
    live: Conditions,
    ready: Conditions,
    registry: CollectorRegistry,
    encode_in_thread: bool = False,
) -> None:
    """`/livez`, `/readyz` (both with `?verbose`) and `/metrics`. `encode_in_thread`: for a registry so large that to write its page
    would hold the loop; what it reads must then bear to be read from a thread."""
    app.router.add_get("/livez", _probe("livez", live))
    app.router.add_get("/readyz", _probe("readyz", ready))
    app.router.add_get("/metrics", _metrics(registry, encode_in_thread))


def render_conditions(probe: str, conditions: Sequence[Condition]) -> str:
    """The lines of kube-apiserver's own probes: `[+]name ok`, `[-]name failed: reason`, the verdict."""
    lines = [
        f"[+]{condition.name} ok{': ' if condition.note else ''}{bounded(condition.note, _MOST_CHARACTERS)}"
        if condition.ok
        else f"[-]{condition.name} failed: {bounded(condition.reason, _MOST_CHARACTERS) or 'no reason given'}"
        for condition in conditions
    ]
    verdict = "passed" if all(condition.ok for condition in conditions) else "failed"
    return "\n".join([*lines, f"{probe} check {verdict}", ""])


def _probe(name: str, conditions: Conditions) -> Handler:
    async def probe(request: web.Request) -> web.Response:
        current = conditions()
        passed = all(condition.ok for condition in current)
        text = "ok" if passed and "verbose" not in request.query else render_conditions(name, current)
        return web.Response(status=200 if passed else 503, text=text, headers={"Cache-Control": "no-store"})

    return probe


def _metrics(registry: CollectorRegistry, in_thread: bool) -> Handler:
    one_at_a_time = asyncio.Lock()

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        if in_thread:
            async with one_at_a_time:
                body = await asyncio.to_thread(encode, registry)
        else:
            body = encode(registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    return metrics
