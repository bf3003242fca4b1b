"""The timeline of a report, with what its charts know."""

import msgspec

from tests.triage.moved import ONSET, START, change, chart, moved
from triage.report import Moment
from triage.timeline import whole_timeline

ALERT = Moment(at="02:09:00.25", what="alert fired", evidence="alert")
BEGAN = Moment(at="02:03:10", what="it began, between 02:02:40 and 02:03:40: time in Triton", evidence="")


def test_the_onset_stands_between_what_was_before_and_what_came_after() -> None:
    scaled = Moment(at="02:01:00", what="scaled", evidence="hpa")
    assert whole_timeline(moved(timeline=(scaled, ALERT))) == (scaled, BEGAN, ALERT)


def test_without_an_onset_the_timeline_is_the_report_s_own() -> None:
    assert whole_timeline(moved(timeline=(ALERT,), onset=None)) == (ALERT,)


def test_a_change_of_a_chart_is_told_once() -> None:
    told = Moment(at="02:01:00", what="scaled", evidence="hpa")
    drawn = chart((1.0,), marks=(change(1, "scaled"), change(2, "rolled out")))
    rolled_out = Moment(at="02:02:00", what="rolled out", evidence="")
    assert whole_timeline(moved(drawn, drawn, timeline=(told, ALERT))) == (told, rolled_out, BEGAN, ALERT)


def test_midnight_lies_between_an_hour_before_and_an_hour_after() -> None:
    midnight = START - 2 * 3600
    onset = msgspec.structs.replace(ONSET, at=midnight - 60, earliest=midnight - 70, latest=midnight - 50)
    before, after = Moment(at="23:10:00", what="a", evidence=""), Moment(at="00:10:00", what="b", evidence="")
    times = [moment.at for moment in whole_timeline(moved(timeline=(before, after), onset=onset))]
    assert times == ["23:10:00", "23:59:00", "00:10:00"]


def test_a_time_that_cannot_be_read_stays_where_it_was() -> None:
    odd = Moment(at="some time", what="x", evidence="")
    assert whole_timeline(moved(timeline=(odd, ALERT))) == (odd, BEGAN, ALERT)
