"""The grid of a window, and points laid on it."""

import pytest

from triage.latency.grid import (
    MOST_SERIES,
    Grid,
    Window,
    close_grid,
    make_grid,
    make_ranges,
    on_grid,
    scrape_interval,
)


@pytest.mark.parametrize(
    ("seconds", "interval", "step", "steps", "window"),
    [
        (3600, 15, 15, 241, 60),
        (3600, 30, 30, 121, 120),
        (3 * 3600, 15, 45, 241, 60),
        (7 * 86400, 30, 2520, 241, 2520),
        (60, 15, 15, 5, 60),
        (5, 15, 15, 1, 60),
        (3600, 7, 21, 172, 28),
    ],
)
def test_a_step_is_whole_scrapes_and_a_rate_sees_four(
    seconds: float, interval: float, step: float, steps: int, window: float
) -> None:
    grid = make_grid(Window(1000, 1000 + seconds), interval)
    assert (grid.step, grid.steps, grid.window) == (step, steps, window)
    assert grid.end == 1000 + seconds
    assert grid.start >= 1000


def test_a_value_stands_at_its_step_and_a_gap_is_none() -> None:
    grid = Grid(100.0, 10.0, 4, 40.0)
    points = [(100.0, 1.23456789), (120.0, 0.0), (130.0, 9223372036854775794.0), (140.0, 5.0)]
    assert on_grid(points, grid) == (1.23457, None, 0.0, None)


def test_scrape_by_scrape_is_a_step_for_each_in_windows_of_two_unless_that_is_too_many() -> None:
    assert close_grid(Window(1000, 8200), 15.0) == Grid(1000, 15.0, 481, 30.0)
    assert close_grid(Window(0, 86_400), 15.0) is None


@pytest.mark.parametrize(
    ("times", "interval"),
    [([0, 15, 30, 45], 15), ([0, 15.001, 30, 60, 75.002], 15), ([0, 0.5, 1.0], 0.5), ([0], None), ([], None)],
)
def test_the_scrape_interval_is_the_usual_gap(times: list[float], interval: float | None) -> None:
    assert scrape_interval(times) == interval


def test_too_many_series_are_cut_at_the_same_pods_and_that_is_said() -> None:
    grid = Grid(0.0, 1.0, 1, 4.0)
    rows = [({"pod": f"p{n:05}"}, [(0.0, 1.0)]) for n in reversed(range(MOST_SERIES + 1))]
    cut = make_ranges("m", rows, grid, 4.0, [])
    assert (cut.cut, len(cut.series), cut.series[0].labels) == (True, MOST_SERIES, {"pod": "p00000"})
    assert not make_ranges("m", rows[1:], grid, 4.0, []).cut
