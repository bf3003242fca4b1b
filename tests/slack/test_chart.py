"""A chart in Slack's own block makes up no value and loses no peak."""

from typing import Any

from triage.report import Chart, Curve
from triage.slack.chart import DrawnChart, chart_block, chart_text

START = 1_795_399_944.0


def chart(*curves: tuple[float | None, ...], step: float = 60.0, **more: Any) -> Chart:
    named = tuple(Curve(label=f"curve {number}", values=values) for number, values in enumerate(curves))
    return Chart(**{"title": "time", "unit": "ms", "start": START, "step": step, "curves": named, **more})


def drawn(chart: Chart) -> DrawnChart:
    found = chart_block(chart)
    assert found is not None
    return found


def values(found: DrawnChart, series: int = 0) -> list[float]:
    return [point["value"] for point in found.block["chart"]["series"][series]["data"]]


def test_of_120_points_the_peak_survives_among_20_and_the_thinning_is_said() -> None:
    found = drawn(chart((*([5.0] * 77), 412.0, *([5.0] * 42))))
    assert values(found) == [5.0] * 12 + [412.0] + [5.0] * 7
    assert "each point is the highest value of 360 s" in found.notes


def test_a_gap_is_left_out_and_said_and_is_no_zero() -> None:
    found = drawn(chart((1.0, 2.0, None, None, 5.0, 6.0)))
    assert values(found) == [1.0, 2.0, 5.0, 6.0]
    assert found.block["chart"]["axis_config"]["categories"] == ["02:12", "02:13", "02:16", "02:17"]
    assert "2 points without a measurement left out, so the times have gaps" in found.notes


def test_a_zero_that_was_measured_is_drawn() -> None:
    assert values(drawn(chart((0.0, 0.0, 3.0)))) == [0.0, 0.0, 3.0]


def test_a_curve_that_was_not_measured_all_the_time_is_named_and_not_drawn() -> None:
    found = drawn(chart((1.0, 2.0, 3.0), (1.0, None, 3.0), (7.0, 8.0, 9.0)))
    assert [series["name"] for series in found.block["chart"]["series"]] == ["curve 0", "curve 2"]
    assert "not drawn, for it was not measured all the time: curve 1" in found.notes


def test_what_cannot_be_drawn_is_none() -> None:
    assert chart_block(chart((None, None, 5.0))) is None
    assert chart_block(chart((1.0, float("nan"), float("inf")))) is None
    assert chart_block(chart(())) is None


def test_names_and_times_that_would_be_the_same_are_told_apart() -> None:
    curve = Curve(label="the very same long name of a curve", values=(1.0, 2.0, 3.0))
    found = drawn(Chart(title="t" * 80, unit="ms", start=START, step=2.0, curves=(curve, curve, curve)))
    names = [series["name"] for series in found.block["chart"]["series"]]
    assert len(set(names)) == 3
    assert all(len(name) <= 20 for name in names)
    assert found.block["chart"]["axis_config"]["categories"] == ["02:12:24", "02:12:26", "02:12:28"]
    days = drawn(chart((1.0, 2.0, 3.0), step=86_400.0))
    assert days.block["chart"]["axis_config"]["categories"] == [
        "11-23 02:12:24",
        "11-24 02:12:24",
        "11-25 02:12:24",
    ]


def test_values_have_the_unit_that_people_read() -> None:
    found = drawn(chart((11_000.0, 12_000.0, 26_900.0)))
    assert values(found) == [11.0, 12.0, 26.9]
    assert found.block["title"] == "time, s"


def test_the_text_form_is_ascii_and_narrow() -> None:
    text = chart_text(chart((1.0, 2.0, 412.0)))
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 46
    assert "*" in text
