"""A batch size that is built or tuned for at its first execution, and what only looks like one."""

import pytest

from tests.triage.latency.evidence import evidence, incident
from triage.answers import Value
from triage.latency.facts import Batch, ModelStatistics, Statistics
from triage.latency.predicates.batch_sizes import rare_batch_size

Rows = list[tuple[int, int, float]]
"""Size, executions, ms of all of them."""
USUAL: Rows = [(1, 8000, 800_000), (2, 2600, 260_000), (4, 2600, 270_000)]
COSTS_ONCE: Rows = [(5, 1, 900), (6, 3, 1100), (7, 2, 1000), (9, 5, 1300), (12, 1, 920)]
"""800 ms for each size, and 100 ms for each execution."""
HEAVY: Rows = [(5, 1, 900), (6, 3, 2700), (7, 2, 1800), (9, 5, 4500), (12, 1, 900)]
"""900 ms for each execution."""


def said(rows: Rows) -> Value:
    batches = tuple(Batch(size, executions, 0.0, ms, 0.0) for size, executions, ms in rows)
    done = sum(size * executions for size, executions, _ in rows)
    model = ModelStatistics("m", "1", sum(row[1] for row in rows), done, 0, 0.0, batches)
    return rare_batch_size(
        incident(evidence("statistics:a", "statistics", Statistics(30.0, (model,), ())), model="m")
    ).value


@pytest.mark.parametrize(
    ("rows", "value"),
    [
        (USUAL, "no"),
        ([*USUAL, *COSTS_ONCE], "yes"),
        ([*USUAL, *HEAVY], "no"),
        ([*USUAL, (6, 1, 1900), (8, 2, 3800)], "yes"),
        ([*USUAL, (6, 1, 1900)], "no"),
        ([*USUAL, (5, 2, 200), (6, 1, 120), (7, 1, 110), (8, 2, 4500), (9, 1, 2400)], "no"),
        ([*USUAL, (7, 1, 900), (12, 1, 910), (33, 1, 930), (48, 1, 960)], "yes"),
        ([*USUAL, (60, 1, 6000), (64, 2, 12_800)], "no"),
        ([*USUAL, *[(size, size % 7 + 1, 800 + 100 * (size % 7 + 1)) for size in range(5, 64)]], "yes"),
    ],
    ids=["usual", "the same for each size", "for each execution", "ten times and more", "one alone", "some of the seldom ones",
         "whatever its size",
         "as large as it is long", "more sizes that are seldom than usual ones"],
)  # fmt: skip
def test_a_size_that_cost_something_at_its_first_execution(rows: Rows, value: Value) -> None:
    assert said(rows) == value


def test_without_the_statistics_nothing_is_said_of_sizes() -> None:
    assert rare_batch_size(incident(model="m")).value == "unknown"
