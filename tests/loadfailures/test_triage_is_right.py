"""`triton-triage load-failure` on real failures: by URL and log, by the log alone, and by the URL alone."""

import pytest

from tests.loadfailures.accuracy import accepted
from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, End, Failure
from tests.loadfailures.failures import FAILURES, FAILURES_AND_MOUNTED
from tests.loadfailures.outcomes import Outcomes
from triage.evidence import Evidence
from triage.report import VerdictView

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("failure", FAILURES_AND_MOUNTED, ids=str)
async def test_right_by_url_and_log(failure: Failure, outcomes: Outcomes) -> None:
    """And silent about what neither shows."""
    verdict = (await outcomes[failure.id]).report().verdict
    assert_right(verdict, failure, shown=failure.log_shows or failure.index_shows)


@pytest.mark.parametrize("failure", FAILURES_AND_MOUNTED, ids=str)
async def test_right_by_the_log_alone_and_never_confirmed(failure: Failure, outcomes: Outcomes) -> None:
    verdict = (await outcomes[failure.id]).report(is_log).verdict
    assert_right(verdict, failure, shown=failure.log_shows)
    assert verdict.confidence != "confirmed"


@pytest.mark.parametrize("failure", [f for f in FAILURES if f.end is End.SERVING], ids=str)
async def test_right_or_cannot_tell_with_the_log_removed(failure: Failure, outcomes: Outcomes) -> None:
    verdict = (await outcomes[failure.id]).report(lambda evidence: not is_log(evidence)).verdict
    assert_right(verdict, failure, shown=failure.index_shows)


@pytest.mark.parametrize("failure", [f for f in FAILURES if f.log_shows], ids=str)
async def test_the_root_line_is_a_line_of_the_log_about_the_model(
    failure: Failure, outcomes: Outcomes
) -> None:
    seen = await outcomes[failure.id]
    verdict = seen.report(is_log).verdict
    if verdict.category != NOT_A_LOAD_FAILURE:
        assert verdict.root_line in seen.log.splitlines()


def is_log(evidence: Evidence) -> bool:
    return evidence.probe == "log"


def assert_right(verdict: VerdictView, failure: Failure, *, shown: bool) -> None:
    """Right about any model that is down by itself; where nothing shows the cause, `cannot_tell` is right too, and no guess is."""
    told = (verdict.category, verdict.model)
    if verdict.category == "cannot_tell":
        assert not shown or failure.cause.label == NOT_A_LOAD_FAILURE, f"nothing found: {failure.broken}"
        return
    assert told in accepted(failure), f"{verdict}: {failure.broken}"
