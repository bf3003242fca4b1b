"""What the comparison with the truth found, each in the least input that shows it."""

import pytest

from telemetry.exposition import SeriesTable, parse_exposition
from telemetry.window import PENDING, SUCCESS, Families, PodHistory, RowKey

FAMILIES = Families(frozenset({SUCCESS}), frozenset({PENDING}), frozenset())
ROW = RowKey("chat", "1", "")


def _page(success: int, pending: int) -> str:
    labels = '{model="chat",version="1"}'
    return f"{SUCCESS}{labels} {success}\n{PENDING}{labels} {pending}\n"


def test_both_halves_of_a_new_pods_concurrency_cover_the_same_time() -> None:
    """Two seconds old in a window of ten, two requests a second and five waiting throughout: a fifth of each."""
    history, table = PodHistory(FAMILIES, [10.0], interval=1.0), SeriesTable()
    for at, page in enumerate([_page(0, 0), _page(2, 5), _page(4, 5)]):
        windows = history.add(float(at), parse_exposition(page, table))
    row = windows[10.0].rows[ROW]
    assert row.increase[SUCCESS] / row.seconds == pytest.approx(0.2 * 2)
    assert row.mean[PENDING] == pytest.approx(0.2 * 5)


def test_an_old_pods_gauge_is_averaged_over_its_window() -> None:
    history, table = PodHistory(FAMILIES, [10.0], interval=1.0), SeriesTable()
    for at in range(21):
        windows = history.add(float(at), parse_exposition(_page(2 * at, 5), table))
    assert windows[10.0].rows[ROW].mean[PENDING] == 5.0


def test_nothing_waits_for_a_model_while_it_is_unloaded() -> None:
    """Unloaded for three of ten seconds, five waiting for the rest: the gauge's mean is over the same ten as the rates."""
    history, table = PodHistory(FAMILIES, [10.0], interval=1.0), SeriesTable()
    for at in range(21):
        page = "\n" if at in (14, 15, 16) else _page(2 * at, 5)
        windows = history.add(float(at), parse_exposition(page, table))
    assert windows[10.0].rows[ROW].mean[PENDING] == pytest.approx(0.7 * 5)
