"""Of every real failure: what the report says to do first, and how sure it is, against what its author wrote down before."""

import pytest

from tests.loadfailures.bands import FREE_TEXT, ONLY_FITS, band_of
from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, Failure
from tests.loadfailures.failures import EVERY, FAILURES_AND_MOUNTED
from tests.loadfailures.first_actions import MENDS, first_action, missing_words
from tests.loadfailures.outcomes import Outcomes
from tests.loadfailures.test_triage_is_right import is_log
from triage.report import Report

session = pytest.mark.asyncio(loop_scope="session")


@session
@pytest.mark.parametrize("failure", FAILURES_AND_MOUNTED, ids=str)
async def test_by_log_and_index(failure: Failure, outcomes: Outcomes) -> None:
    report = (await outcomes[failure.id]).report()
    assert_first_action(report, failure, shown=failure.log_shows or failure.index_shows)
    assert report.verdict.confidence == band_of(failure, index=True), report.verdict


@session
@pytest.mark.parametrize("failure", FAILURES_AND_MOUNTED, ids=str)
async def test_by_the_log_alone(failure: Failure, outcomes: Outcomes) -> None:
    report = (await outcomes[failure.id]).report(is_log)
    assert_first_action(report, failure, shown=failure.log_shows)
    assert report.verdict.confidence == band_of(failure, index=False), report.verdict


def assert_first_action(report: Report, failure: Failure, *, shown: bool) -> None:
    words = first_action(failure, shown=shown, model=report.verdict.model)
    assert not missing_words(report.actions[0].do, words), f"{report.actions[0].do!r}: {failure.broken}"
    if failure.cause.label == NOT_A_LOAD_FAILURE:
        assert report.headline.startswith("DO NOTHING about model loading")


def test_every_failure_has_its_first_action_and_no_other() -> None:
    told = {f.id for f in EVERY if f.cause.label != NOT_A_LOAD_FAILURE and (f.log_shows or f.index_shows)}
    ids = {failure.id for failure in EVERY}
    assert told <= MENDS.keys() <= ids
    assert FREE_TEXT.keys() | ONLY_FITS.keys() <= ids


def test_an_action_without_a_word_is_told() -> None:
    assert missing_words("Correct config.pbtxt", ("Config.pbtxt".lower(), ("dims", "shape"))) == [
        "dims or shape"
    ]
