"""How act three looks, and what is told of its report."""

from collections.abc import Sequence

import msgspec
import pytest
from rich.text import Text

from demo.recording import RECORDED, read_seconds, spike_of
from demo.spike_story import HEADLINES, Second, state_of
from demo.spike_view import (
    TITLE,
    moved_line,
    report_excerpt,
    spike_lines,
    spike_screen,
    spike_strip,
    truth_line,
)
from triage.bundle import load_bundle
from triage.report import Report
from triage.report_of import report_of

CALM = Second(1, "03:40:01", "calm", 80.0, answered=30, versions=("1",), ready=True)
SLOW = Second(2, "03:40:02", "served", 540.0, answered=12, versions=("1", "2"), ready=True, asked=1)
BACK = Second(3, "03:40:03", "back", 85.0, answered=30, versions=("1",), ready=True)
SILENT = Second(2, "03:40:02", "calm", None, ready=False)


@pytest.fixture(scope="module")
def recorded() -> list[Second]:
    return read_seconds(spike_of(RECORDED)[0])


@pytest.fixture(scope="module")
def report() -> Report:
    return report_of(*load_bundle(spike_of(RECORDED)[1]))


def test_every_screen_of_the_recorded_act_fits_80_columns_and_its_lines(recorded: Sequence[Second]) -> None:
    for seconds in range(1, len(recorded) + 1):
        run = recorded[:seconds]
        for draw, most in ((spike_screen, 9), (spike_strip, 2)):
            lines = _lines(draw(run, 80, recorded=True))
            assert len(lines) == most
            assert lines[0].startswith("RECORDED ")
            assert [line for line in lines if len(line) > 79 or "…" in line] == []


def test_a_jump_is_seen_in_the_bars_and_calm_is_flat() -> None:
    calm, jumped = _lines(spike_screen([CALM, CALM], 80)), _lines(spike_screen([CALM, SLOW], 80))
    assert [line[7:] for line in calm[2:6]] == ["", "", "", "▅▅▅▅"]
    assert [line[7:] for line in jumped[2:6]] == ["  ▅▅", "  ██", "  ██", "▅▅██"]


def test_under_the_bars_stands_which_version_is_the_newest_and_since_when() -> None:
    assert _lines(spike_screen([CALM] * 6 + [SLOW], 80))[6] == "       ^version 1  ^version 2"


def test_a_second_without_an_answer_is_no_zero() -> None:
    screen = _lines(spike_screen([CALM, SILENT], 80))
    assert screen[5].endswith("▅▅??")
    assert "no answer" in screen[7]


def test_a_wide_terminal_draws_wider_bars() -> None:
    assert _lines(spike_screen([CALM], 140))[5].endswith("▅▅▅")


@pytest.mark.parametrize("text", [TITLE, *HEADLINES.values()])
def test_what_happens_is_told_in_70_columns_so_that_recorded_has_room(text: str) -> None:
    assert len(text) <= 70


@pytest.mark.parametrize(
    ("pushed", "withdrawn", "versions", "state"),
    [
        (False, False, ["1"], "calm"),
        (True, False, ["1"], "pushed"),
        (True, False, ["1", "2"], "served"),
        (True, True, ["1", "2"], "put back"),
        (True, True, ["1"], "back"),
    ],
)
def test_a_version_is_served_when_triton_says_so(
    pushed: bool, withdrawn: bool, versions: list[str], state: str
) -> None:
    assert state_of(pushed=pushed, withdrawn=withdrawn, versions=versions) == state


def test_plain_lines_tell_a_change_at_once_and_numbers_every_second_one() -> None:
    assert list(spike_lines(CALM, SLOW)) == [
        f"  2 s  {HEADLINES['served']}",
        "  2 s  p99 540 ms | 12 answers/s | 0 failed | Triton ready, serves version 1 and 2",
    ]
    assert list(spike_lines(CALM, msgspec.structs.replace(CALM, at=3))) == []


def test_the_truth_is_told_only_where_the_version_was_served() -> None:
    pushed = msgspec.structs.replace(CALM, state="pushed", clock="03:40:09")
    assert truth_line([CALM, pushed]) == ""
    assert truth_line([CALM, pushed, SLOW]) == (
        "True: the demo pushed version 2 at 03:40:09Z, and at 03:40:02Z Triton served it."
    )


def test_the_end_compares_before_with_and_after() -> None:
    assert (
        moved_line([CALM, SLOW, BACK]) == "p99 of ranker: 80 ms before, 540 ms with version 2, 85 ms after."
    )
    assert moved_line([CALM, SLOW]) == ""


def test_the_recorded_report_blames_the_version_and_dates_it_within_2_s_of_the_truth(
    recorded: Sequence[Second], report: Report
) -> None:
    served = next(second for second in recorded if second.state == "served")
    assert (report.verdict.category, report.verdict.model) == ("slower_version", "ranker")
    assert report.onset is not None
    hours, minutes, seconds = map(int, served.clock.split(":"))
    truly = hours * 3600 + minutes * 60 + seconds
    assert report.onset.at % 86_400 == pytest.approx(truly, abs=2)


def test_the_excerpt_has_the_headline_the_onset_why_and_one_action_word_for_word(report: Report) -> None:
    lines = [line for line, _ in report_excerpt(report, 80)]
    told = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 79
    assert told.startswith(" ".join(report.headline.split()))
    assert "since 20" in told
    for fact in report.why:
        assert fact.text in told
    assert report.actions[0].do in told


def test_of_several_actions_the_first_is_shown(report: Report) -> None:
    several = msgspec.structs.replace(report, actions=report.actions[:1] * 3)
    one = msgspec.structs.replace(report, actions=report.actions[:1])
    assert list(report_excerpt(several, 80)) == list(report_excerpt(one, 80))


def test_a_report_without_an_action_has_no_action(report: Report) -> None:
    without = msgspec.structs.replace(report, actions=())
    assert "Do" not in [line for line, _ in report_excerpt(without, 80)]


def _lines(screen: Text) -> list[str]:
    return [line.rstrip() for line in screen.plain.split("\n")]
