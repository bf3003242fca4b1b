"""The daemon between hostile Tritons, hostile clients and a configuration that keeps changing.

Right afterwards means: it runs, its loop was never blocked, it kept its memory, and nothing was an accident in its log."""

import asyncio
import contextlib
import json
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from tests.fuzz.pages import HostileTriton
from tests.fuzz.requests import odd_request
from tests.local_process import LocalProcess, free_ports

CHECKOUT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"
WARM_SECONDS = 5.0
CLIENTS = 6
ANSWER_SECONDS = 30.0
BLOCKED_SECONDS = 1.0
LEAK_KILOBYTES = 100_000
"""Pages of 8 MB are read, and 2,000 rows a pod are kept: this much comes and goes."""
LONG_SECONDS = 240.0
LATE_LEAK_KILOBYTES = 40_000
"""In the second half of a run that is long enough for each kind of page to have come many times."""
NUMBERS = "/api/v1/namespaces/default/signals/triton_request_rate"


@dataclass
class Outcome:
    """Times in seconds: `own_lag` is by how much this program's own sleeps were late at most. `kilobytes`: resident memory after
    the warm-up, at half time and at the end."""

    seed: int
    requests: int = 0
    pages: int = 0
    looks: int = 0
    reloads: int = 0
    slowest_livez: float = 0.0
    own_lag: float = 0.0
    kilobytes: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.requests} requests, {self.pages} pages, {self.looks} looks, {self.reloads} "
            f"configurations; slowest /livez {self.slowest_livez:.2f} s beside an own lag of {self.own_lag:.2f} s; "
            f"memory {self.kilobytes} kB; wrong: {self.wrong or 'nothing'}"
        )


async def fuzz(folder: Path, *, seed: int, seconds: float) -> Outcome:
    """`folder` takes the configuration and the log."""
    drawn = random.Random(seed)
    outcome = Outcome(seed)
    triton = HostileTriton(random.Random(seed + 1))
    app = web.Application()
    app.router.add_get("/metrics", triton.metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = _Configuration(folder / "config.yaml", runner.addresses[0][1], free_ports(1)[0])
    configuration.write()
    daemon = await LocalProcess.start(
        "triton-autoscaler",
        [sys.executable, "-m", "autoscaler", "serve", "-c", folder / "config.yaml", "--kubeconfig", _kubeconfig(folder)],
        log=folder / "daemon.log",
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{configuration.plain_port}") as http:
            await daemon.wait_until(lambda: _answers(http), seconds=90)
            await _together(WARM_SECONDS, [lambda: _look(http, outcome)])
            outcome.kilobytes.append(_resident_kilobytes(daemon.pid))
            clients = [lambda: _send(drawn, configuration.plain_port, outcome)] * CLIENTS
            change = lambda: _change(drawn, configuration, outcome)  # noqa: E731
            for _ in range(2):
                await _together(seconds / 2, [*clients, lambda: _look(http, outcome), change])
                outcome.kilobytes.append(_resident_kilobytes(daemon.pid))
        if not daemon.running:
            outcome.wrong.append(f"it ended with {daemon.exit_code}")
    finally:
        await daemon.stop(seconds=20)
        await runner.cleanup()
    outcome.pages = triton.served
    log = (folder / "daemon.log").read_text()
    accidents = re.findall(r"^.*(?:Traceback|request failed|never retrieved|Exception).*$", log, re.MULTILINE)
    outcome.wrong += [line[:300] for line in accidents[:3]]
    if outcome.slowest_livez > BLOCKED_SECONDS + 3 * outcome.own_lag:
        outcome.wrong.append("its loop was blocked")
    if outcome.kilobytes[-1] - outcome.kilobytes[0] > LEAK_KILOBYTES:
        outcome.wrong.append("its memory grew")
    if seconds >= LONG_SECONDS and outcome.kilobytes[-1] - outcome.kilobytes[-2] > LATE_LEAK_KILOBYTES:
        outcome.wrong.append("its memory goes on growing")
    return outcome


class _Configuration:
    def __init__(self, file: Path, triton_port: int, plain_port: int) -> None:
        self._file = file
        self._triton = f"http://127.0.0.1:{triton_port}/metrics"
        self.plain_port = plain_port

    def write(self, pods: int = 3) -> None:
        static = [{"pod": f"triton-{number}", "metrics_url": self._triton} for number in range(pods)]
        self._file.write_text(
            yaml.safe_dump(
                {
                    "targets": {"static": static},
                    "scrape": {"interval": "500ms", "timeout": "400ms"},
                    "json_route": {"namespaces": ["default"]},
                    "server": {"address": "127.0.0.1", "port": 0, "plain_port": self.plain_port},
                }
            )
        )

    def break_(self, drawn: random.Random) -> None:
        text = self._file.read_bytes()
        self._file.write_bytes(
            drawn.choice(
                (
                    b"",
                    text[: drawn.randrange(len(text) + 1)],
                    drawn.randbytes(300),
                    b"[" * 5000,
                    b"a: &a [*a]",
                )
            )
        )


async def _together(seconds: float, jobs: list[Callable[[], Awaitable[None]]]) -> None:
    """Each again and again until time is up."""
    end = time.monotonic() + seconds

    async def repeat(job: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < end:
            await job()

    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(repeat(job))


async def _send(drawn: random.Random, port: int, outcome: Outcome) -> None:
    """One odd request; what comes back, if anything, must be HTTP and hold no traceback."""
    outcome.requests += 1
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        outcome.wrong.append(f"no connection: {error}")
        await asyncio.sleep(1)
        return
    said = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(0.3):
            writer.write(odd_request(drawn))
            await writer.drain()
            while chunk := await reader.read(2**16):
                said += chunk
    writer.close()
    if b"Traceback" in said or (said and not said.startswith(b"HTTP/")):
        outcome.wrong.append(repr(said[:200]))


async def _look(http: aiohttp.ClientSession, outcome: Outcome) -> None:
    """/livez answers in time, and a number is a number that an HPA may read."""
    outcome.looks += 1
    began = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with http.get("/livez", timeout=timeout) as answer:
            if answer.status != 200:
                outcome.wrong.append(f"/livez {answer.status}: {await answer.text()}")
        outcome.slowest_livez = max(outcome.slowest_livez, time.monotonic() - began)
        async with http.get(NUMBERS, timeout=timeout) as answer:
            body = json.loads(await answer.text(), parse_constant=lambda text: -1)
            fine = (
                body["value"] >= 0 if answer.status == 200 else answer.status == 503 and "value" not in body
            )
            if not fine:
                outcome.wrong.append(f"{answer.status} {str(body)[:200]}")
    except (aiohttp.ClientError, TimeoutError) as error:
        outcome.wrong.append(f"a plain question failed: {error!r}")
    slept_from = time.monotonic()
    await asyncio.sleep(0.2)
    outcome.own_lag = max(outcome.own_lag, time.monotonic() - slept_from - 0.2)


async def _change(drawn: random.Random, configuration: _Configuration, outcome: Outcome) -> None:
    outcome.reloads += 1
    if drawn.random() < 0.5:
        configuration.break_(drawn)
    else:
        configuration.write(pods=drawn.randrange(1, 6))
    await asyncio.sleep(drawn.uniform(1, 10))


async def _answers(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get("/livez") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _resident_kilobytes(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _kubeconfig(folder: Path) -> Path:
    """An API server that nobody listens for."""
    file = folder / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": NOBODY}}],
                "users": [{"name": "u", "user": {"token": "x"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "c",
            }
        )
    )
    return file
