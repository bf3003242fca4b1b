"""What happened between two looks at the statistics API."""

import json
from typing import Any

import pytest

from triage.latency.facts import Batch, ModelStatistics
from triage.latency.model_statistics import parse_statistics, statistics_between


def told(*batches: tuple[int, int], failures: int = 0, name: str = "m", **more: Any) -> dict[str, Any]:
    """A row of Triton's answer, of (size, executions); each execution infers for 10 ms."""
    rows = [
        {
            "batch_size": size,
            "compute_input": {"count": executions, "ns": executions * 1_000_000},
            "compute_infer": {"count": executions, "ns": executions * 10_000_000},
            "compute_output": {"count": executions, "ns": executions * 2_000_000},
        }
        for size, executions in batches
    ]
    return {
        "name": name,
        "version": "1",
        "last_inference": 1795396377221,
        "inference_count": sum(size * executions for size, executions in batches),
        "execution_count": sum(executions for _, executions in batches),
        "inference_stats": {
            "success": {"count": 1, "ns": 1},
            "fail": {"count": failures, "ns": failures * 500_001},
        },
        "batch_stats": rows,
        "memory_usage": [],
        **more,
    }


def statistics(*models: dict[str, Any]) -> tuple[ModelStatistics, ...]:
    return parse_statistics(json.dumps({"model_stats": models}).encode())


def test_an_answer_is_read_in_milliseconds_and_seconds_since_1970() -> None:
    assert statistics(told((4, 3), (1, 2), failures=2)) == (
        ModelStatistics(
            model="m",
            version="1",
            executions=5,
            inferences=14,
            failures=2,
            failure_ms=1.000002,
            batches=(Batch(1, 2, 2.0, 20.0, 4.0), Batch(4, 3, 3.0, 30.0, 6.0)),
            last_inference=1795396377.221,
        ),
    )


def test_a_model_that_was_never_asked_has_no_last_inference() -> None:
    (model,) = statistics(told(last_inference=0))
    assert (model.last_inference, model.executions, model.batches) == (None, 0, ())


def test_between_two_looks_is_what_was_done_since_the_first_by_sizes_that_ran() -> None:
    (between,) = statistics_between(
        statistics(told((1, 10), (4, 5), failures=1)), statistics(told((1, 10), (4, 7), (8, 1), failures=3))
    )
    assert (between.executions, between.inferences, between.failures, between.failure_ms) == (
        3,
        16,
        2,
        1.000002,
    )
    assert between.batches == (Batch(4, 2, 2.0, 20.0, 4.0), Batch(8, 1, 1.0, 10.0, 2.0))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(told((4, 10)), told((4, 9), inference_count=99), id="executions"),
        pytest.param(told((4, 10)), told((4, 10), inference_count=39), id="inferences"),
        pytest.param(told((4, 10)), told((8, 20)), id="executions of one batch size"),
        pytest.param(told((4, 10), failures=2), told((4, 12), failures=1), id="failures"),
    ],
)
def test_where_a_count_fell_it_began_again_and_all_of_the_second_look_is_new(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    after = statistics(second)
    assert statistics_between(statistics(first), after) == after


def test_a_model_loaded_in_between_is_all_new_and_one_unloaded_is_not_there() -> None:
    first, second = (
        statistics(told((1, 9)), told((1, 1), name="gone")),
        statistics(told((1, 9)), told((2, 3), name="new")),
    )
    still, new = statistics_between(first, second)
    assert (still.executions, still.batches) == (0, ())
    assert new == second[1]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"model_stats": [{}]}', b'{"model_stats": "\xff"}', b"[" * 99_999]
)
def test_what_is_no_answer_of_tritons_is_an_error_that_says_so(body: bytes) -> None:
    with pytest.raises(ValueError, match="no statistics of Triton"):
        parse_statistics(body)
