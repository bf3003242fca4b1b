"""The shell: plays a run, real or recorded, on a terminal or in plain lines."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live

from demo.incident import play_incident, replay_incident
from demo.observe import Observation
from demo.recording import About, Recorder, incident_of, read_recording, spike_of
from demo.spike import play_spike, replay_spike
from demo.spike_stage import SpikeStage
from demo.stage import one_triton
from demo.story import Story
from demo.view import plain_lines, screen, summary
from tests.tritons.install import TritonInstall


async def play_real(
    install: TritonInstall, story: Story, console: Console, *, plain: bool, record: Path | None
) -> None:
    """Starts the Triton, plays the story on it, and stops it. `record`: a file to write the run to."""
    async with AsyncExitStack() as stack:
        began = time.monotonic()
        stage = await stack.enter_async_context(one_triton(story, install))
        about = await stage.about()
        file = stack.enter_context(record.open("wb")) if record else None
        today = datetime.now(UTC).date().isoformat()
        recorder = Recorder(file, replace(about, recorded_on=today)) if file else None
        show = Show(about, console, plain=plain, began=began)
        try:
            with show:
                async with aclosing(stage.play()) as observations:
                    async for observation in observations:
                        show.add(observation)
                        if recorder:
                            recorder.add(observation)
            show.end()
            bundle, spike_files = (incident_of(record), spike_of(record)) if record else (None, None)
            await play_incident(stage.server, stage.repository, console, bundle)
            spike = SpikeStage(stage.server, stage.repository, stage.http)
            await play_spike(spike, console, plain=plain, record=spike_files)
        except BaseException:
            console.out("\nStopping Triton ...", highlight=False)  # it may take five seconds
            raise


async def play_recorded(recording: Path, console: Console, *, plain: bool) -> None:
    """On a terminal at the run's own speed, in plain lines at once."""
    about, run = read_recording(recording)
    with Show(about, console, plain=plain) as show:
        async with aclosing(_replay(run, at_once=plain)) as observations:
            async for observation in observations:
                show.add(observation)
    show.end()
    await replay_incident(incident_of(recording), console)
    await replay_spike(*spike_of(recording), console, plain=plain)


class Show:
    """The run so far, on a console. `began`: the monotonic second at which Triton was told to start, None for a recorded run."""

    def __init__(self, about: About, console: Console, *, plain: bool, began: float | None = None) -> None:
        self._about = about
        self._console = console
        self._began = began
        self._run: list[Observation] = []
        self._first_number: float | None = None
        self._live = None if plain else Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> "Show":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def add(self, now: Observation) -> None:
        before = self._run[-1] if self._run else None
        self._run.append(now)
        first = self._first_number is None and now.has_number
        if first and self._began is not None:
            self._first_number = time.monotonic() - self._began
        if self._live:
            self._live.update(
                screen(self._about, self._run, self._console.width, self._first_number), refresh=True
            )
            return
        for line in plain_lines(self._about, before, now):
            self._print(line)
        if first and self._first_number is not None:
            self._print(f"{'':7}first number {self._first_number:.1f} s after Triton was told to start")

    def end(self) -> None:
        """Says what there was to see; on the plain screen, which a terminal's own picture leaves as it was."""
        for line in summary(self._about, self._run, self._first_number):
            self._print(line)

    def _print(self, line: str) -> None:
        self._console.out(line, highlight=False)
        self._console.file.flush()


async def _replay(run: Sequence[Observation], *, at_once: bool) -> AsyncGenerator[Observation]:
    started = time.monotonic()
    for observation in run:
        if not at_once:
            await asyncio.sleep(max(0.0, started + observation.at - time.monotonic()))
        yield observation
