"""Axes that people read at a glance."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.triage.moved import START, change, chart
from triage.chart_scale import amount, end_of, is_drawable, letters, summary, time_axis, unit_of, value_axis


@pytest.mark.parametrize(
    ("unit", "highest", "labels"),
    [
        ("ms", 482.0, ["0", "100", "200", "300", "400", "500"]),
        ("ms", 42_000.0, ["0", "10", "20", "30", "40", "50"]),  # in seconds
        ("share", 0.37, ["0", "10", "20", "30", "40"]),
        ("bytes", 47.5 * 2**30, ["0", "10", "20", "30", "40", "50"]),
        ("requests/s", 1900.0, ["0", "500", "1,000", "1,500", "2,000"]),
        ("requests/s", 0.004, ["0.000", "0.001", "0.002", "0.003", "0.004"]),
        ("requests", 0.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_ticks_are_round_and_begin_at_zero(unit: str, highest: float, labels: list[str]) -> None:
    assert [tick.label for tick in value_axis(chart((0.0, highest), unit=unit), 5).ticks] == labels


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (412.4, "ms", "412 ms"),
        (1.25, "ms", "1.25 ms"),
        (12_500.0, "ms", "12.5 s"),
        (0.037, "share", "3.7 %"),
        (3 * 2.0**30, "bytes", "3 GiB"),
        (3.0 * 2**20, "bytes/s", "3 MiB/s"),
        (0.0, "requests/s", "0 requests/s"),
        (0.0004, "requests/s", "0.0004 requests/s"),
    ],
)
def test_an_amount_is_said_in_the_unit_that_people_use(value: float, unit: str, said: str) -> None:
    assert amount(value, unit_of(chart((value,), unit=unit))) == said


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (60, ["02:00:00", "02:00:15", "02:00:30", "02:00:45", "02:01:00"]),
        (3600, ["02:00", "02:15", "02:30", "02:45", "03:00"]),
        (86_400, ["06:00", "12:00", "18:00", "1 Aug"]),
        (20 * 86_400, ["5 Aug", "10 Aug", "15 Aug", "20 Aug"]),
    ],
)
def test_times_stand_on_round_times_of_the_day_in_utc(seconds: float, labels: list[str]) -> None:
    assert [tick.label for tick in time_axis(START, START + seconds, 4).ticks] == labels


def test_a_summary_says_what_was_usual_and_what_is() -> None:
    assert summary(chart((50.0, 412.0, None, 390.0), usual=(45.0, 61.0))) == (
        "usual 45 to 61 ms, highest 412 ms, last 390 ms"
    )


def test_a_gap_is_no_zero() -> None:
    assert summary(chart((None, 5.0, None))) == "highest 5 ms, last 5 ms"
    assert summary(chart((None, None))) == "nothing was measured"


def test_changes_have_letters_in_order_of_time_the_same_in_each_chart() -> None:
    early, late = change(1, "scaled"), change(2, "rolled out")
    assert letters([chart((1.0,), marks=(late,)), chart((1.0,), marks=(early, late))]) == {
        early: "A",
        late: "B",
    }
    many = letters([chart((1.0,), marks=tuple(change(minute, "x") for minute in range(28)))])
    assert [*many.values()][-3:] == ["Z", "AA", "AB"]


@example((-1.3e-178,), 0.0, 1.0, None, "ms")
@example((-2.220446049250313e-16,), 0.0, 1.0, (0.0, 1.0), "ms")  # rounding, not worth a tick below zero
@given(
    st.lists(st.none() | st.floats(), max_size=5).map(tuple),
    st.floats(),
    st.floats(),
    st.none() | st.tuples(st.floats(), st.floats()),
    st.sampled_from(["ms", "share", "bytes", "bytes/s", "requests/s", ""]),
)
def test_no_numbers_break_the_axes(
    values: tuple[float | None, ...], start: float, step: float, usual: tuple[float, float] | None, unit: str
) -> None:
    drawn = chart(values, unit=unit, usual=usual, start=start, step=step)
    assert summary(drawn)
    if is_drawable(drawn):
        axis, times = value_axis(drawn, 5), time_axis(start, end_of(drawn), 4)
        assert (len(axis.ticks) <= 8, len(times.ticks) <= 6) == (True, True)
        shown = [v for v in values if v is not None and 1e-100 < abs(v) < 1e99]  # others are no measurements
        assert all(axis.share(v) >= -1e-9 for v in shown), "seen: nothing is drawn below the axis"
