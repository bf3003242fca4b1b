"""How act one looks on a small terminal without colour, and what a recorded run says."""

import asyncio
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from demo import __main__ as program
from demo.observe import Observation
from demo.recording import RECORDED, read_recording, read_seconds, spike_of
from demo.run import play_recorded
from demo.spike_story import AFTER_REPORT
from demo.story import FULL, SHORT, Story
from demo.view import NEXT, screen

CHECKOUT = Path(__file__).parents[2]
ABOUT, RUN = read_recording(RECORDED)


def test_every_screen_fits_80_columns_and_24_lines_without_colour() -> None:
    for seconds in range(len(RUN)):
        lines = _screen(RUN[: seconds + 1], 80)
        assert len(lines) <= 23
        assert [line for line in lines if len(line) > 79 or "…" in line or "\x1b" in line] == []
        assert "RECORDED" in lines[0]


def test_silence_is_told_from_zero_without_colour() -> None:
    frozen = _screen([seen for seen in RUN if seen.at <= 76], 80)
    idle = _screen([seen for seen in RUN if seen.at <= 50], 80)
    assert [line[32:47].strip() for line in frozen[6:11]] == ["no data"] * 5
    assert [line[32:47].strip() for line in idle[6:10]] == ["0 idle"] * 4
    assert "no data, Triton is silent: pod triton-0 does not answer scrapes (timed out)" in frozen
    assert [line for line in frozen if "HOLDS" in line]
    assert not [line for line in idle if "HOLDS" in line]


def test_a_narrower_terminal_loses_the_ends_of_lines_and_nothing_else() -> None:
    narrow, usual = _screen(RUN, 60), _screen(RUN, 80)
    assert len(narrow) == len(usual)
    assert max(map(len, narrow)) <= 59


def test_a_wide_terminal_shows_more_of_the_past() -> None:
    assert len(_screen(RUN, 140)[6]) > len(_screen(RUN, 80)[6])


@pytest.mark.parametrize("story", [FULL, SHORT])
def test_a_phase_is_told_in_79_columns(story: Story) -> None:
    assert max(len(text) for phase in story.phases for text in (phase.headline, phase.look)) <= 79
    assert max(map(len, NEXT)) <= 77


def test_a_recorded_run_says_so_on_every_line_and_writes_the_report(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "demo", "--recorded"],
        cwd=CHECKOUT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    told, _, _ = ended.stdout.partition("\nWhat next:")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line for line in told.splitlines() if line and not line.startswith("RECORDED")] == []
    assert "RECORDED Replicas that an HPA would have chosen: 1 → 2" in told
    [html] = tmp_path.glob("*/p99.html")
    assert f"RECORDED The whole report: {html}" in told
    assert html.read_text().startswith("<!DOCTYPE html>")


async def test_a_recorded_run_plays_at_its_own_speed_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    await play_recorded(RECORDED, console, plain=False)
    spike = read_seconds(spike_of(RECORDED)[0])
    back = [second.at for second in spike if second.state in AFTER_REPORT]
    watched = [second.at for second in spike if second.state not in AFTER_REPORT]
    acts = ([seen.at for seen in RUN], [at - watched[0] for at in watched], [at - back[0] for at in back])
    assert slept == pytest.approx([at for act in acts for at in act], abs=5)


def test_where_no_triton_runs_it_says_why_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "preflight", lambda: ["install libpython3.11"])
    assert program._prepare() is None
    assert capsys.readouterr().out == (
        "A RECORDED run follows, for no real Triton can run here: install libpython3.11\n"
    )


def _screen(run: Sequence[Observation], width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, no_color=True).print(screen(ABOUT, run, width))
    return [line.rstrip() for line in file.getvalue().splitlines()]
