"""Act three: a version that is slower is pushed to the running Triton while `triton-triage p99` looks, and its report is shown."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from demo.clients import Clients, Request, quantile_ms
from demo.pushes import push, withdraw
from demo.spike_story import (
    CALM_SECONDS,
    CAPTURE_SECONDS,
    CLIENTS,
    FILES,
    MODEL,
    NEW,
    NEW_FILES,
    OLD,
    PAUSE_SECONDS,
    PUSH_AT,
    Second,
    state_of,
)
from demo.spike_view import TITLE, report_excerpt, spike_lines, spike_screen, truth_line
from demo.triage_process import ended, start_triage
from tests.tritons.server import TritonRefused, TritonServer
from triage.report import Report

SERVED_SECONDS = 30.0
TRIAGE_SECONDS = 60.0
"""It promises the capture and eight more."""
BACK_SECONDS = 10
"""At most: to unload the version, and to see the old one calm again."""


async def play_spike(
    server: TritonServer,
    repository: Path,
    http: aiohttp.ClientSession,
    console: Console,
    *,
    plain: bool,
    record: tuple[Path, Path] | None,
) -> None:
    """Pushes the slower version, shows p99 and the report, and puts the old version back. `record`: files for the seconds and for
    the bundle."""
    show = SpikeShow(console, plain=plain)
    show.say(f"\n{TITLE}")
    push(repository, MODEL, FILES)
    stage = _SpikeStage(server, repository, http)
    with _kept_folder() as folder:
        bundle, html = record[1] if record else folder / "p99.json.gz", folder / "p99.html"
        show.say(f"$ triton-triage p99 --triton {server.url} --metrics {server.metrics_url} \\")
        show.say(f"    --capture {CAPTURE_SECONDS}s --save {bundle} \\")
        show.say(f"    -o html > {html}\n")
        async with stage.clients():
            arguments = ("--triton", server.url, "--metrics", server.metrics_url)
            arguments += ("--capture", f"{CAPTURE_SECONDS}s", "--save", str(bundle), "-o", "html")
            with show.live():
                async for second in stage.until_triaged(arguments):
                    show.add(second)
            html.write_bytes(stage.told)
            await _show_report(show, bundle)
            with show.live():
                async for second in stage.until_back():
                    show.add(second)
        show.say(f"\nThe whole report: {html}")
        if record:
            lines = b"".join(msgspec.json.encode(second) + b"\n" for second in show.run)
            record[0].write_bytes(lines)


async def replay_spike(seconds: Path, bundle: Path, console: Console, *, plain: bool) -> None:
    """The recorded act, at its own speed on a terminal; every line says that it is recorded."""
    run = [msgspec.json.decode(line, type=Second) for line in seconds.read_bytes().splitlines()]
    show = SpikeShow(console, plain=plain, recorded=True)
    show.say(TITLE)
    with _kept_folder() as folder:
        html = folder / "p99.html"
        show.say(f"$ triton-triage replay {bundle} -o html > {html}")
        watched = [second for second in run if second.state not in ("put back", "back")]
        with show.live():
            await _replay(show, watched, at_once=plain)
        told, _ = await ended(await start_triage("replay", str(bundle), "-o", "html", piped=True))
        html.write_bytes(told)
        await _show_report(show, bundle)
        with show.live():
            await _replay(show, run[len(watched) :], at_once=plain)
        show.say(f"The whole report: {html}")


async def _replay(show: "SpikeShow", run: Sequence[Second], *, at_once: bool) -> None:
    started = time.monotonic()
    for second in run:
        if not at_once:
            await asyncio.sleep(max(0.0, started + second.at - run[0].at - time.monotonic()))
        show.add(second)


async def _show_report(show: "SpikeShow", bundle: Path) -> None:
    """Its most telling lines, from the bundle: the same as the whole report has. Raises OSError where there is none."""
    show.say(f"\n$ triton-triage replay {bundle}     # its first lines" if not show.recorded else "")
    told, said = await ended(await start_triage("replay", str(bundle), "-o", "json", piped=True))
    try:
        report = msgspec.json.decode(told, type=Report)
    except msgspec.DecodeError as error:
        raise OSError(f"triton-triage gave no report: {said.decode().strip() or error}") from error
    for line, style in report_excerpt(report, show.width):
        show.say(line, style)
    if told_true := truth_line(show.run):
        show.say(f"\n{told_true}\n", "dim")


class SpikeShow:
    """The act so far, on a console."""

    def __init__(self, console: Console, *, plain: bool, recorded: bool = False) -> None:
        self.recorded = recorded
        self.run: list[Second] = []
        self._console = console
        self._plain = plain
        self._live: Live | None = None

    @property
    def width(self) -> int:
        return self._console.width - (len("RECORDED ") if self.recorded else 0)

    @contextmanager
    def live(self) -> Iterator[None]:
        """In which what is added is drawn in place, on a terminal."""
        if self._plain:
            yield
            return
        with Live(console=self._console, auto_refresh=False) as self._live:
            yield

    def add(self, now: Second) -> None:
        before = self.run[-1] if self.run else None
        self.run.append(now)
        if self._live and not self._plain:
            self._live.update(spike_screen(self.run, recorded=self.recorded), refresh=True)
            return
        for line in spike_lines(before, now):
            self.say(line)

    def say(self, text: str, style: str = "") -> None:
        for line in text.split("\n"):
            marked = f"RECORDED {line}".rstrip() if self.recorded else line
            self._console.print(Text(marked, style=style), soft_wrap=True)
        self._console.file.flush()


class _SpikeStage:
    """Clients of the model on the running Triton, and what they see."""

    def __init__(self, server: TritonServer, repository: Path, http: aiohttp.ClientSession) -> None:
        self.told = b""
        """What triton-triage wrote."""
        self._server = server
        self._repository = repository
        self._clients = Clients(server.url, MODEL, http, pause=PAUSE_SECONDS)
        self._pushed = self._withdrawn = False
        self._at = 0

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[None]:
        """In which they send, one after the other at first: eight at once would be a burst of their own."""
        await self._until_served()
        async with asyncio.TaskGroup() as group:
            for count in range(1, CLIENTS + 1):
                self._clients.set(count, group)
                await asyncio.sleep(PAUSE_SECONDS / CLIENTS)
            self._started = time.monotonic()
            try:
                yield
            finally:
                self._clients.count = 0

    async def until_triaged(self, arguments: Sequence[str]) -> AsyncGenerator[Second]:
        """A second each, until triton-triage, asked p99 with the `arguments`, has ended."""
        asked_at: int | None = None
        async with asyncio.TaskGroup() as group:
            triage: asyncio.Task[bytes] | None = None
            while triage is None or not triage.done():
                if self._at == CALM_SECONDS:
                    triage, asked_at = group.create_task(_triage(arguments)), self._at
                if self._at == PUSH_AT:
                    push(self._repository, f"{MODEL}/{NEW}", NEW_FILES)
                    self._pushed = True
                yield await self._second(None if asked_at is None else self._at - asked_at)
        self.told = triage.result()

    async def until_back(self) -> AsyncGenerator[Second]:
        """Takes the version out, and gives a second each until the one before it has served alone for a while."""
        withdraw(self._repository, f"{MODEL}/{NEW}")
        self._withdrawn = True
        calm = 0
        for _ in range(BACK_SECONDS):
            second = await self._second(None)
            yield second
            calm += second.state == "back" and second.ready
            if calm == 2:
                return

    async def _second(self, asked: int | None) -> Second:
        self._at += 1
        await asyncio.sleep(max(0.0, self._started + self._at - time.monotonic()))
        now = time.monotonic()
        versions = await self._versions()
        took = [request.done - request.sent for request in self._answered(now)]
        return Second(
            at=self._at,
            clock=datetime.now(UTC).strftime("%H:%M:%S"),
            state=state_of(pushed=self._pushed, withdrawn=self._withdrawn, versions=versions),
            p99_ms=quantile_ms(took, 0.99),
            answered=len(took),
            failed=self._clients.failures,
            versions=versions,
            ready=await self._is_ready(),
            asked=asked,
        )

    def _answered(self, now: float) -> Iterator[Request]:
        return (request for request in self._clients.sent if now - 1 < request.done <= now)

    async def _until_served(self) -> None:
        async with asyncio.timeout(SERVED_SECONDS):
            while OLD not in await self._versions():
                await asyncio.sleep(0.1)

    async def _versions(self) -> tuple[str, ...]:
        rows = await self._server.index()
        ready = (row for row in rows if row["name"] == MODEL and row.get("state") == "READY")
        return tuple(sorted(row["version"] for row in ready))

    async def _is_ready(self) -> bool:
        try:
            await self._server.call("GET", "/v2/health/ready")
        except TritonRefused:
            return False
        return True


async def _triage(arguments: Sequence[str]) -> bytes:
    async with asyncio.timeout(TRIAGE_SECONDS):
        told, said = await ended(await start_triage("p99", *arguments, piped=True))
    if not told:
        raise OSError(f"triton-triage gave no report: {said.decode().strip()}")
    return told


@contextmanager
def _kept_folder() -> Iterator[Path]:
    """A new folder that stays, unless what is done in it does not end well."""
    folder = Path(tempfile.mkdtemp(prefix="triton-ops-report-"))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
