"""The demo as a newcomer without a terminal runs it, on a real Triton."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tritons.install import TritonInstall

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def story(triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the short story said."""
    ended = subprocess.run(
        _command("--once"),
        cwd=CHECKOUT,
        env=os.environ | {"TMPDIR": str(tmp_path_factory.mktemp("demo"))},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_the_story_shows_a_value_then_idle_then_no_data_then_a_value(story: str) -> None:
    states = [_state(line) for line in story.splitlines() if " by its clients" in line]
    changes = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
    assert changes == ["idle", "value", "idle", "value", "no data", "value"]


def test_replicas_rise_with_the_rush_fall_when_idle_and_stand_still_while_triton_is_silent(
    story: str,
) -> None:
    by_phase: dict[str, list[int]] = {}
    for line in story.splitlines():
        if found := re.search(r"s  (\w+) .* by its clients.* (\d+) replicas?$", line):
            by_phase.setdefault(found[1], []).append(int(found[2]))
    assert by_phase["calm"] == [1] * len(by_phase["calm"])
    assert by_phase["rush"] == sorted(by_phase["rush"])
    assert by_phase["rush"][-1] >= 3
    assert by_phase["idle"][-1] == 1
    assert by_phase["frozen"] == [2] * len(by_phase["frozen"])
    assert by_phase["resumed"][0] == 2
    assert "HPA holds: no value: pod triton-0 does not answer scrapes (timed out)" in story


def test_a_first_number_is_there_within_15_s(story: str) -> None:
    found = re.search(r"First number: (\d+\.\d) s", story)
    assert found
    assert float(found[1]) < 15


def test_what_is_measured_is_what_the_clients_saw(story: str) -> None:
    """While the load has been the same for a whole window."""
    full = re.findall(r"rush +concurrency (\S+), 14\.0 by its clients", story)
    assert full
    assert float(full[-1]) == pytest.approx(14, abs=1)


def test_a_version_that_is_slower_is_blamed_while_every_light_is_green(story: str) -> None:
    _, _, act = story.partition("ACT THREE")
    assert re.search(r"p99 \d+ ms \| \d+ answers/s \| 0 failed \| Triton ready, serves version 1 and 2", act)
    told = " ".join(act.split())
    assert "FIX requests of ranker (a new version that computes longer): Put version 1 of ranker back" in told


def test_p99_jumps_and_is_calm_again_once_the_version_is_put_back(story: str) -> None:
    found = re.search(r"p99 of ranker: (\d+) ms before, (\d+) ms with version 2, (\d+) ms after\.", story)
    assert found
    before, slow, after = map(int, found.groups())
    assert slow > 2 * max(before, after)


def test_the_whole_report_lies_where_the_demo_says(story: str) -> None:
    found = re.search(r"The whole report: (\S+)", story)
    assert found
    assert "a new version that computes longer" in Path(found[1]).read_text()


def test_an_interrupt_ends_it_in_order_and_leaves_nothing_behind(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    demo = subprocess.Popen(
        _command("--once"),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    with demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "RUSH" in line:
                break
        assert _processes_in(tmp_path)
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
    assert (demo.returncode, rest.splitlines()[-1]) == (130, "Stopped. Nothing is left running.")
    assert "Traceback" not in rest
    assert (_processes_in(tmp_path), list(tmp_path.iterdir())) == ([], [])


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "demo", *arguments]


def _state(line: str) -> str:
    return "no data" if "no data (" in line else "idle" if "(idle)" in line else "value"


def _processes_in(folder: Path) -> list[str]:
    """Names of processes that were given a path in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
        except OSError:
            continue  # ended meanwhile
        if any(str(folder) in word for word in words[1:]):
            found.append(words[0])
    return found
