"""`--repository` on the folders of real failures: alone it is never boldly wrong, and where a log shows the same it confirms."""

import msgspec
import pytest

from tests.loadfailures.accuracy import pairs_of
from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, Failure
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Outcomes, Seen
from triage.build_report import build_report
from triage.evidence import RepositoryView
from triage.report import Report, passes

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOLD = ("likely", "confirmed")
ALSO_TRUE = {"backend-implied-by-the-file-not-in-the-image": ("artifact_integrity", "detector")}
"""What is wrong with the files besides: that model.pt is four bytes long."""
SHOWN_BOLDLY = frozenset(
    [
        "ensemble-with-a-warm-up",
        "no-version-directory",
        "version-directory-named-v1",
        "version-policy-names-absent-version",
        "model-file-missing",
        "model-file-one-level-too-deep",
        "model-name-with-a-space",
        "repository-is-one-model",
        "environment-without-activate",
        "environment-archive-is-a-pointer",
        "config-bracket-missing",
        "config-unknown-field",
        "config-unknown-data-type",
        "config-in-json",
        "config-two-schedulers",
        "config-of-another-name",
        "config-batch-negative",
        "config-preferred-batch-too-big",
        "config-sequence-control-without-values",
        "config-cache-of-a-decoupled-model",
        "config-keeps-no-version",
        "config-dimension-zero",
        "config-reshape-of-another-size",
        "config-cpu-with-gpus",
        "warm-up-file-missing",
        "backend-library-is-a-web-page",
        "backend-not-determined",
        "platform-unknown",
        "ensemble-child-of-a-broken-config",
        "ensemble-wants-an-absent-version",
        "ensemble-tensor-that-nobody-writes",
        "ensemble-in-a-circle",
        "ensemble-without-a-version-directory",
    ]
)
SHOWN_WEAKLY = frozenset(
    [
        "git-folder-in-the-repository",
        "weights-are-a-pointer",
        "weights-cut-short",
        "pickle-cut-short",
        "json-empty",
        "model-file-unreadable",
        "config-unreadable",
        "version-directory-unreadable",
        "repository-unreadable",
        "weights-unreadable",
        "config-without-dims",
        "ensemble-child-absent",
        "ensemble-names-a-child-wrongly",
    ]
)
LOG_OF_ANOTHER_CATEGORY = frozenset(
    [
        "config-keeps-no-version",
        "backend-not-determined",
        "json-empty",
        "model-name-with-a-space",
    ]
)
"""Where log and folder are both right in words of another category, or the log names no cause."""


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_alone_it_shows_what_lies_there_and_is_never_boldly_wrong(
    failure: Failure, outcomes: Outcomes
) -> None:
    report = build_report((seen := await outcomes[failure.id]).repository, seen.rules)
    verdict = report.verdict
    right = (verdict.category, verdict.model) in _accepted(failure)
    told = verdict.confidence if right else verdict.leaf
    if failure.id in SHOWN_BOLDLY or failure.id in ALSO_TRUE:
        assert told == "likely", verdict
    elif failure.id in SHOWN_WEAKLY:
        assert told == "possible", verdict
    elif failure.id == "repository-absent" or "://" in failure.repository:  # of a store there is no folder
        assert (told, passes(report)) == ("nothing-seen", False)
    else:
        assert (told, passes(report)) == ("repository-in-order", True), verdict


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_with_the_log_it_confirms_the_same_and_is_never_boldly_wrong(
    failure: Failure, outcomes: Outcomes
) -> None:
    seen = await outcomes[failure.id]
    verdict = _with_log(seen).verdict
    if verdict.confidence in BOLD:
        assert (verdict.category, verdict.model) in _accepted(failure), verdict
    if failure.id in (SHOWN_BOLDLY | SHOWN_WEAKLY) - LOG_OF_ANOTHER_CATEGORY:
        assert verdict.confidence == "confirmed", verdict
    elif failure.cause.label == NOT_A_LOAD_FAILURE:
        assert verdict.category in (NOT_A_LOAD_FAILURE, "cannot_tell"), verdict
    else:
        alone = seen.report(lambda evidence: evidence.probe == "log").verdict
        assert verdict.confidence in (alone.confidence, "likely"), verdict


@pytest.mark.parametrize("failure", [f for f in FAILURES if f.healthy], ids=str)
async def test_nothing_is_found_in_a_model_that_loads(failure: Failure, outcomes: Outcomes) -> None:
    seen = await outcomes[failure.id]
    (evidence,) = seen.repository.evidence
    assert isinstance(evidence.facts, RepositoryView)
    assert [p for p in evidence.facts.problems if p.model in failure.healthy] == []


async def _both(outcomes: Outcomes, one: str, other: str) -> tuple[Seen, Seen]:
    if not {one, other} <= outcomes.keys():
        pytest.skip("these servers were not asked for")
    return await outcomes[one], await outcomes[other]


def _accepted(failure: Failure) -> set[tuple[str, str | None]]:
    pairs = {pair for cause in (failure.cause, *failure.also) for pair in pairs_of(cause)}
    return pairs | {ALSO_TRUE[failure.id]} if failure.id in ALSO_TRUE else pairs


def _with_log(seen: Seen) -> Report:
    log = (evidence for evidence in seen.snapshot.evidence if evidence.probe == "log")
    both = msgspec.structs.replace(seen.snapshot, evidence=(*log, *seen.repository.evidence))
    return build_report(both, seen.rules)


async def test_a_served_model_whose_files_would_not_load_again_is_told_and_not_boldly(
    outcomes: Outcomes,
) -> None:
    """A healthy server, and under its model's name the folder of another that does not load."""
    served, broken = await _both(outcomes, "healthy", "no-version-directory")
    evidence = (*served.snapshot.evidence, *broken.repository.evidence)
    report = build_report(msgspec.structs.replace(served.snapshot, evidence=evidence), served.rules)
    verdict = report.verdict
    assert (verdict.category, verdict.model, verdict.confidence) == (
        "repository_layout",
        "ranker",
        "possible",
    )
    assert "Triton says that ranker is ready" in [fact.text for fact in report.against]
    assert "would fail at the next load, by what lies in the repository: ranker" in report.impact


async def test_hints_in_the_files_of_a_served_model_are_no_failure(outcomes: Outcomes) -> None:
    served, hinted = await _both(outcomes, "healthy", "model-file-unreadable")
    evidence = (*served.snapshot.evidence, *hinted.repository.evidence)
    report = build_report(msgspec.structs.replace(served.snapshot, evidence=evidence), served.rules)
    assert (report.verdict.category, report.verdict.confidence) == (NOT_A_LOAD_FAILURE, "confirmed")
