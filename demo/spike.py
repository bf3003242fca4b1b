"""Act three: a version that is slower is pushed to the running Triton while `triton-triage p99` looks, and its report is shown."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from demo.recording import read_seconds
from demo.spike_stage import SpikeStage
from demo.spike_story import AFTER_REPORT, CAPTURE_SECONDS, Second
from demo.spike_view import (
    TITLE,
    moved_line,
    report_excerpt,
    spike_lines,
    spike_screen,
    spike_strip,
    truth_line,
)
from demo.triage_process import ended, start_triage
from triage.report import Report

TALL = 36
"""Lines of a terminal that has room for the bars below the report."""


async def play_spike(
    stage: SpikeStage, console: Console, *, plain: bool, record: tuple[Path, Path] | None
) -> None:
    """Pushes the slower version, shows p99 and the report, and puts the old version back. `record`: files for the seconds and for
    the bundle."""
    show = SpikeShow(console, plain=plain)
    show.say(f"\n{TITLE}")
    with _kept_folder() as folder:
        bundle, html = record[1] if record else folder / "p99.json.gz", folder / "p99.html"
        show.say(f"$ triton-triage p99 --triton {stage.url} \\")
        show.say(f"    --metrics {stage.metrics_url} --capture {CAPTURE_SECONDS}s \\")
        show.say(f"    --save {bundle} \\\n    -o html > {html}\n")
        async with stage.clients():
            with show.live():
                async with aclosing(stage.until_triaged(bundle)) as seconds:
                    async for second in seconds:
                        show.add(second)
            html.write_bytes(stage.told)
            await _show_report(show, bundle)
            with show.live(beside_report=True):
                async with aclosing(stage.until_back()) as seconds:
                    async for second in seconds:
                        show.add(second)
        show.say(f"\n{moved_line(show.run)}\nThe whole report: {html}")
        if record:
            record[0].write_bytes(b"".join(msgspec.json.encode(second) + b"\n" for second in show.run))


async def replay_spike(seconds: Path, bundle: Path, console: Console, *, plain: bool) -> None:
    """The recorded act, at its own speed on a terminal; every line says that it is recorded."""
    run = read_seconds(seconds)
    show = SpikeShow(console, plain=plain, recorded=True)
    show.say(f"\n{TITLE}")
    with _kept_folder() as folder:
        html = folder / "p99.html"
        show.say(f"$ triton-triage replay {bundle} -o html > {html}")
        watched = [second for second in run if second.state not in AFTER_REPORT]
        with show.live():
            await _replay(show, watched, at_once=plain)
        told, _ = await ended(await start_triage("replay", str(bundle), "-o", "html", piped=True))
        html.write_bytes(told)
        await _show_report(show, bundle)
        with show.live(beside_report=True):
            await _replay(show, run[len(watched) :], at_once=plain)
        show.say(f"\n{moved_line(show.run)}\nThe whole report: {html}")


async def _replay(show: "SpikeShow", run: Sequence[Second], *, at_once: bool) -> None:
    started = time.monotonic()
    for second in run:
        if not at_once:
            await asyncio.sleep(max(0.0, started + second.at - run[0].at - time.monotonic()))
        show.add(second)


async def _show_report(show: "SpikeShow", bundle: Path) -> None:
    """Its most telling lines, from the bundle: the same as the whole report has. Raises OSError where there is none."""
    show.say(f"\n$ triton-triage replay {bundle}")
    told, said = await ended(await start_triage("replay", str(bundle), "-o", "json", piped=True))
    try:
        report = msgspec.json.decode(told, type=Report)
    except msgspec.DecodeError as error:
        raise OSError(f"triton-triage gave no report: {said.decode().strip() or error}") from error
    for line, style in report_excerpt(report, show.width):
        show.say(line, style)
    if told_true := truth_line(show.run):
        show.say(f"{told_true}\n", "dim")


class SpikeShow:
    """The act so far, on a console."""

    def __init__(self, console: Console, *, plain: bool, recorded: bool = False) -> None:
        self.recorded = recorded
        self.run: list[Second] = []
        self._console = console
        self._plain = plain
        self._live: Live | None = None
        self._draw = spike_screen

    @property
    def width(self) -> int:
        return self._console.width - (len("RECORDED ") if self.recorded else 0)

    @contextmanager
    def live(self, *, beside_report: bool = False) -> Iterator[None]:
        """In which what is added is drawn in place, on a terminal; `beside_report`: so that the report above stays in sight."""
        self._draw = spike_strip if beside_report and self._console.height < TALL else spike_screen
        if self._plain:
            yield
            return
        with Live(console=self._console, auto_refresh=False) as self._live:
            yield

    def add(self, now: Second) -> None:
        before = self.run[-1] if self.run else None
        self.run.append(now)
        if self._live and not self._plain:
            drawn = self._draw(self.run, self._console.width, recorded=self.recorded)
            self._live.update(drawn, refresh=True)
            return
        for line in spike_lines(before, now):
            self.say(line)

    def say(self, text: str, style: str = "") -> None:
        for line in text.split("\n"):
            marked = f"RECORDED {line}".rstrip() if self.recorded else line
            self._console.print(Text(marked, style=style), soft_wrap=True)
        self._console.file.flush()


@contextmanager
def _kept_folder() -> Iterator[Path]:
    """A new folder that stays, unless what is done in it does not end well."""
    folder = Path(tempfile.mkdtemp(prefix="triton-ops-report-"))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
