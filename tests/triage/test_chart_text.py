"""A chart in a terminal of 80 columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.triage.moved import ONSET, START, change, chart, moved
from triage.chart_text import chart_lines
from triage.render_text import render_text
from triage.report import Alternative, Onset, VerdictView

SPIKE = (50.0, 50.0, 50.0, 250.0, 500.0, 500.0, 500.0, 500.0, 500.0)


def test_the_whole_chart_of_a_spike_in_ascii() -> None:
    drawn = chart(SPIKE, usual=(45.0, 61.0), onset=ONSET, marks=(change(2, "revision 41 -> 42"),))
    assert chart_lines(drawn, 60, unicode=False) == [
        "Time in Triton, ms",
        "usual 45 to 61 ms, highest 500 ms, last 500 ms",
        " 500|                          *****************************",
        " 400|                      ****",
        " 300|                   ***",
        " 200|                ***",
        " 100|****************",
        "   0|",
        "    +-------------------------------------------------------",
        "     02:00         02:02        02:04        02:06",
        "                   A",
        "                          ^ 02:03:10 (02:02:40 to 02:03:40)",
        "  A 02:02:00 revision 41 -> 42",
    ]


def test_the_rows_are_braille_where_they_can_be() -> None:
    rows = chart_lines(chart(SPIKE), 60)[2:8]
    drawn = {letter for row in rows for letter in row[5:]} - {" "}
    assert drawn
    assert all(0x2800 < ord(letter) < 0x2900 for letter in drawn)


@pytest.mark.parametrize(("unicode", "mark"), [(True, "⣀"), (False, "*")])
def test_no_line_goes_across_a_gap(unicode: bool, mark: str) -> None:
    whole, gap = (
        chart_lines(chart(values), 60, unicode=unicode)[7][5:]
        for values in ((0.0,) * 9, (0.0, 0.0, 0.0, None, None, None, 0.0, 0.0, 0.0))
    )
    assert whole == mark * 55
    assert " " * 20 in gap.strip()


def test_what_was_measured_alone_is_a_dot_and_not_lost() -> None:
    assert chart_lines(chart((None, None, 0.0, None, None)), 60, unicode=False)[7].count("*") == 1


def test_the_second_curve_has_a_mark_of_its_own_and_the_rest_are_counted() -> None:
    two = chart_lines(chart((0.0, 0.0), (10.0, 10.0), (5.0, 5.0)), 60, unicode=False)
    assert two[2:5] == ["  * pod-1", "  . pod-2", "  1 more not drawn here"]
    assert (two[5].endswith("|" + "." * 56), two[10].endswith("|" + "*" * 56)) == (True, True)
    assert not any("pod" in line for line in chart_lines(chart((0.0, 0.0)), 60))  # a single one needs no name


def test_an_onset_near_the_right_end_has_its_times_on_the_left() -> None:
    late = Onset(at=START + 470, earliest=START + 460, latest=START + 475, of="x")
    line = chart_lines(chart(SPIKE, onset=late), 60)[-1]
    assert line.endswith("02:07:50 (02:07:40 to 02:07:55) ^")


def test_an_onset_before_the_chart_is_not_marked_in_it() -> None:
    assert not any(
        "^" in line
        for line in chart_lines(chart(SPIKE, onset=Onset(at=START - 60, earliest=0, latest=0, of="x")), 60)
    )


def test_changes_at_one_moment_stand_beside_each_other() -> None:
    lines = chart_lines(chart(SPIKE, marks=(change(2, "a"), change(2.01, "b"))), 60)
    assert lines[-3].strip() == "AB"


def test_nothing_measured_is_said_and_not_drawn() -> None:
    assert chart_lines(chart((None, None)), 60) == ["Time in Triton, ms", "nothing was measured"]


_TEXT = st.text(max_size=200)
_VALUES = st.lists(st.none() | st.floats(), max_size=40).map(tuple)


@given(
    _TEXT,
    _VALUES,
    _VALUES,
    st.booleans(),
    st.integers(40, 120),
    st.lists(st.floats(-2, 12), max_size=30),
    _TEXT,
)
def test_no_chart_is_wider_than_it_may_be(
    title: str,
    one: tuple[float | None, ...],
    two: tuple[float | None, ...],
    unicode: bool,
    width: int,
    at: list[float],
    what: str,
) -> None:
    marks = tuple(change(minute, what) for minute in at)
    lines = chart_lines(chart(one, two, title=title, onset=ONSET, marks=marks), width, unicode=unicode)
    assert [line for line in lines if len(line) > width or "\n" in line] == []
    if not unicode:
        assert "\n".join(lines).isascii()


def test_a_report_draws_what_is_most_telling_and_says_the_rest() -> None:
    told = render_text(
        moved(chart(SPIKE), chart((3.0, 9.0), title="Time in the queue"), impact=("p99 is high",)), 80
    )
    assert (told.count("┤"), told.index("Impact") < told.index("What moved") < told.index("Against it")) == (
        6,
        True,
    )
    assert "  - Time in the queue: highest 9 ms, last 9 ms [triton/request_p99]\n" in told


def test_a_report_without_charts_has_no_place_for_them() -> None:
    assert "What moved" not in render_text(moved(), 80)


def test_a_report_in_ascii_draws_in_ascii() -> None:
    assert render_text(moved(chart(SPIKE)), 80, unicode=False).isascii()


def test_what_fits_as_well_stands_under_the_headline_and_says_what_would_tell_them_apart() -> None:
    verdict = VerdictView(category="overload", confidence="possible", leaf="x", also=("cpu_throttling",))
    other = Alternative(
        category="cpu_throttling", confidence="possible", leaf="y", separate="ask for the limits"
    )
    told = render_text(moved(verdict=verdict, alternatives=(other,)), 100)
    assert told.splitlines()[1] == "Fits as well: cpu throttling."
    assert "  - also fits: cpu throttling (possible); to tell them apart: ask for the limits\n" in told
    assert "Fits as well" not in render_text(moved(), 100)
