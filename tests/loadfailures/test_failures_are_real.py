"""Each failure's expectations, held against the real server that shows it."""

from typing import Any

import pytest

from tests.loadfailures.failure import LABELS, Cause, Failure, Row
from tests.loadfailures.failures import FAILURES, FAILURES_AND_MOUNTED
from tests.loadfailures.outcomes import Outcomes, Seen

pytestmark = pytest.mark.asyncio(loop_scope="session")

Index = list[dict[str, Any]] | str | None


@pytest.mark.parametrize("failure", FAILURES_AND_MOUNTED, ids=str)
async def test_the_server_shows_what_the_expectations_quote(failure: Failure, outcomes: Outcomes) -> None:
    seen = await outcomes[failure.id]
    expected = {
        "end": failure.end,
        "exit code": failure.exit_code,
        "healthy": sorted(failure.healthy),
        "rows": [cause.row for cause in _causes(failure)],
        "quoted from the log": [cause.log for cause in _causes(failure)],
        "quoted from the index": [cause.index for cause in _causes(failure)],
    }
    assert _shown(seen, failure) == expected, f"{seen.failed.index}\n{seen.log[-6000:]}"


async def test_a_load_failure_stays_away_from_a_healthy_server(outcomes: Outcomes) -> None:
    """The quotes are about their failure: none of them is in the log of a server whose model is fine."""
    if "healthy" not in outcomes:
        pytest.skip("the healthy server was not asked for")
    log = (await outcomes["healthy"]).log
    assert [
        cause.log for failure in FAILURES for cause in _causes(failure) if cause.log and cause.log in log
    ] == []


async def test_ids_are_unique_and_every_label_is_a_category() -> None:
    assert len({failure.id for failure in FAILURES}) == len(FAILURES)
    used = {
        label
        for failure in FAILURES
        for cause in _causes(failure)
        for label in (cause.label, *cause.secondary)
    }
    assert used <= LABELS


def _causes(failure: Failure) -> tuple[Cause, ...]:
    return (failure.cause, *failure.also)


def _shown(seen: Seen, failure: Failure) -> dict[str, object]:
    """In the form of the expectations, with None for what was expected and is not there."""
    failed, index = seen.failed, seen.failed.index
    rows = index if isinstance(index, list) else []
    lines = seen.log.splitlines()
    return {
        "end": failed.end,
        "exit code": failed.exit_code,
        "healthy": sorted(
            row["name"] for row in rows if row.get("state") == "READY" and row["name"] in failure.healthy
        ),
        "rows": [_row(index, cause.model) if cause.row else None for cause in _causes(failure)],
        "quoted from the log": [
            cause.log if cause.log and any(cause.log in line for line in lines) else None
            for cause in _causes(failure)
        ],
        "quoted from the index": [
            cause.index if cause.index and cause.index in _reasons(index, cause.model) else None
            for cause in _causes(failure)
        ],
    }


def _row(index: Index, model: str | None) -> Row:
    if not isinstance(index, list):
        return Row.REFUSED
    rows = [row for row in index if row["name"] == model]
    if _reasons(rows, model):
        return Row.REASON
    if any(row.get("state") == "READY" for row in rows):
        return Row.READY
    return Row.NAME_ONLY if rows else Row.ABSENT


def _reasons(index: Index, model: str | None) -> str:
    if not isinstance(index, list):
        return index or ""
    return "".join(row.get("reason", "") for row in index if row["name"] == model)
