"""A GET of the external metrics API over TLS against the barest aiohttp handler behind the same TLS, in one run, in turn.

What the difference holds is this program's own: middlewares, the certificate's name, the selector, the signal, the rendering."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import trustme
from aiohttp import web

from autoscaler.answer import Value
from autoscaler.api.app import make_api_app
from autoscaler.api.certificates import load_certificate, make_own_ca
from autoscaler.api.metrics import render_answer
from autoscaler.api.server import ApiServer, front_proxy_context
from autoscaler.core import Autoscaler
from autoscaler.selector import parse_selector
from bench.client import Plan, Round
from bench.fleet import NAMESPACE, Fleet, scraped_autoscaler
from bench.page import model_name
from bench.spread import Spread, spread

FRONT_PROXY = "front-proxy-client"
SERVICE, SERVICE_NAMESPACE = "triton-autoscaler", "triton-ops"
SIGNAL = "triton_inference_concurrency"
CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class ApiResult:
    """One fleet's rounds; ratios are ours to the bare handler's, pair by pair."""

    fleet: str
    body_bytes: int
    connections: int
    answer_us: Spread
    """The signal alone, without HTTP: what one `Autoscaler.answer` takes."""
    per_second: Spread
    bare_per_second: Spread
    per_second_ratio: Spread
    p50_ms: Spread
    bare_p50_ms: Spread
    p50_ratio: Spread
    p99_ms: Spread
    bare_p99_ms: Spread
    p99_ratio: Spread


class BenchFailedError(Exception):
    """The measurement did not take place; the message says why."""


async def measure_api(fleet: Fleet, *, rounds: int, seconds: float) -> ApiResult:
    """`rounds` turns of `seconds` for each of the two servers, which share this process; the load comes from another."""
    autoscaler = await scraped_autoscaler(fleet)
    answer_us = _time_answers(autoscaler, fleet)
    body = body_of(autoscaler, fleet)
    plan = Plan([], [fleet.path], "", "", "", CONNECTIONS, seconds, rounds)
    ours, bare = await load_both(autoscaler, body, plan)
    return _compare(fleet, len(body), answer_us, ours, bare)


async def load_both(autoscaler: Autoscaler, body: bytes, plan: Plan) -> tuple[list[Round], list[Round]]:
    """What ours and a bare handler that answers `body` give under this plan, whose ports and certificates are filled in here."""
    front_proxy_ca, own_ca = trustme.CA(), make_own_ca(datetime.now(UTC))
    certificate = own_ca.issue(SERVICE, SERVICE_NAMESPACE, datetime.now(UTC))
    app = make_api_app(
        autoscaler,
        allowed_names=lambda: [FRONT_PROXY],
        now=lambda: datetime.now(UTC),
        program_version="0.1.0",
    )
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "ca.pem").write_bytes(own_ca.pem)
        client = front_proxy_ca.issue_cert(common_name=FRONT_PROXY)
        client.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
        ports = []
        for served in (app, _bare_app(body)):
            server = await stack.enter_async_context(ApiServer(served, host="127.0.0.1", port=0))
            context = front_proxy_context(front_proxy_ca.cert_pem.bytes().decode())
            load_certificate(context, certificate)
            await server.use(context)
            ports.append(server.port)
        seen = await _load(
            replace(
                plan,
                ports=ports,
                server_name=f"{SERVICE}.{SERVICE_NAMESPACE}.svc",
                ca=str(folder / "ca.pem"),
                certificate=str(folder / "client.pem"),
            )
        )
    ours, bare = ([found for found in seen if found.port == port] for port in ports)
    return ours, bare


def _compare(
    fleet: Fleet, body_bytes: int, answer_us: Spread, ours: Sequence[Round], bare: Sequence[Round]
) -> ApiResult:
    pairs = list(zip(ours, bare, strict=True))
    return ApiResult(
        str(fleet),
        body_bytes,
        CONNECTIONS,
        answer_us,
        spread(found.per_second for found in ours),
        spread(found.per_second for found in bare),
        spread(mine.per_second / theirs.per_second for mine, theirs in pairs),
        spread(found.p50_ms for found in ours),
        spread(found.p50_ms for found in bare),
        spread(mine.p50_ms / theirs.p50_ms for mine, theirs in pairs),
        spread(found.p99_ms for found in ours),
        spread(found.p99_ms for found in bare),
        spread(mine.p99_ms / theirs.p99_ms for mine, theirs in pairs),
    )


def _bare_app(body: bytes) -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return app


def body_of(autoscaler: Autoscaler, fleet: Fleet) -> bytes:
    selector = parse_selector(f"model={model_name(fleet.models // 2)},workload=chat-0")
    answer = autoscaler.answer(NAMESPACE, SIGNAL, selector, explain=False)
    if not isinstance(answer, Value) or answer.idle:
        raise BenchFailedError(f"the fleet should have a load to speak of, and says {answer}")
    return render_answer(SIGNAL, selector, answer, datetime.now(UTC))


def _time_answers(autoscaler: Autoscaler, fleet: Fleet) -> Spread:
    selector = parse_selector(f"model={model_name(fleet.models // 2)},workload=chat-0")

    def once() -> float:
        began = time.perf_counter()
        autoscaler.answer(NAMESPACE, SIGNAL, selector, explain=False)
        return (time.perf_counter() - began) * 1e6

    return spread(median(once() for _ in range(20)) for _ in range(7))


async def _load(plan: Plan) -> list[Round]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.client", cwd=Path(__file__).parents[1], stdin=pipe, stdout=pipe
    )
    output, _ = await process.communicate(json.dumps(asdict(plan)).encode())
    if process.returncode != 0:
        raise BenchFailedError("the load process failed: its error is above")
    return [Round(**found) for found in json.loads(output)]
