"""What the bench misses a goal by. What it measures is run by its smoke version."""

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.logs import WAYS, LogResult, too_much_memory
from bench.sources.queries import QueriesResult, is_flat


@pytest.mark.parametrize(
    ("queries_a_minute", "flat"),
    [
        ((48, 48, 48), True),
        ((48, 60, 48), True),  # a minute with a fifth tick
        ((0, 0, 0), True),
        ((48, 48, 72), False),
        ((6, 600, 6000), False),
        ((0, 12, 12), False),
    ],
)
def test_queries_are_flat_where_more_hpas_mean_no_more_of_them(
    queries_a_minute: tuple[float, ...], flat: bool
) -> None:
    counts = zip((1, 100, 1000), queries_a_minute, strict=True)
    assert is_flat([QueriesResult("prometheus", n, 60.0, queries, 4.0 * n) for n, queries in counts]) is flat


def test_a_part_that_is_not_there_is_refused_with_those_that_are() -> None:
    refused = CliRunner().invoke(main, ["--only", "parser,souces"])
    assert refused.exit_code == 2
    assert (
        "there is no 'souces'; there are parser, api, gets, daemon, gpuagent, evaluation, models, queries, ticks, delays,"
        " loadfailure, logs, triage" in refused.output
    )


@pytest.mark.parametrize(
    ("large", "missed"),
    [
        ((1000, 129.0, True), 0),
        ((1000, 131.0, True), 1),
        ((1000, 100.0, False), 1),
    ],
)
def test_a_large_log_may_take_little_more_memory_and_not_another_verdict(
    large: tuple[int, float, bool], missed: int
) -> None:
    megabytes, peak, named = large
    small = [LogResult(way, 10, 1.0, 100.0, named=True) for way in WAYS]
    found = [*small, LogResult("standard input", megabytes, 30.0, peak, named)]
    assert len(list(too_much_memory(found))) == missed
