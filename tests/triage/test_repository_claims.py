"""What a repository shows beside logs, indexes and pods, and what it may not say."""

import msgspec
import pytest

from telemetry.rules_dir import rules_dir
from tests.triage.snapshots import container, evidence, failed, index, loaded, log, own, pod, snapshot
from triage.build_report import build_report
from triage.evidence import Evidence, IndexRow, Missing, RepositoryModel, RepositoryProblem, RepositoryView
from triage.report import Report
from triage.rules import rules_from_folder

RULES = rules_from_folder(rules_dir(), "load-failure", decided=True)
NO_VERSION = "at least one version must be available under the version policy of model 'm'"
LOG = own(f"failed to load model 'm': {NO_VERSION}")
PROBLEM = RepositoryProblem("m", "repository: no version would be loaded: there is no version directory")
MISSING = RepositoryProblem("m", "repository: 1/model.py is missing, which backend python loads", "1")


def repository(*problems: RepositoryProblem) -> Evidence:
    models = tuple(RepositoryModel(name) for name in ("m", "n"))
    return evidence("repository", "repository", RepositoryView(models, problems))


def report(*given: Evidence) -> Report:
    return build_report(snapshot(given), RULES)


def told(*given: Evidence) -> tuple[str, str, str | None]:
    verdict = report(*given).verdict
    return verdict.category, verdict.confidence, verdict.model


def test_a_log_and_a_repository_that_show_the_same_confirm_each_other() -> None:
    assert told(log(LOG)) == ("repository_layout", "likely", "m")
    assert told(repository(PROBLEM)) == ("repository_layout", "likely", "m")
    both = report(log(LOG), repository(PROBLEM))
    assert (both.verdict.confidence, both.verdict.root_line) == ("confirmed", LOG)
    assert "the repository shows it too: no version would be loaded" in both.why[-1].text.lower()


def test_of_another_model_or_another_category_it_confirms_nothing() -> None:
    other = msgspec.structs.replace(PROBLEM, model="n")
    config = RepositoryProblem("m", "repository: config.pbtxt does not parse: 1:1: x")
    assert told(log(LOG), repository(other)) == ("repository_layout", "likely", "m")
    assert told(log(LOG), repository(config)) == ("repository_layout", "likely", "m")


def test_it_confirms_the_index_where_no_log_is_there() -> None:
    row = index(
        IndexRow(
            "m", "1", "UNAVAILABLE", "Internal: FileNotFoundError: [Errno 2] No such file or directory: 'x'"
        )
    )
    assert told(row, repository(MISSING)) == ("repository_layout", "confirmed", "m")


def test_it_confirms_the_log_of_each_of_several_pods() -> None:
    pods = [part for name in ("web-1", "web-2") for part in (pod(name, container()), log(LOG, pod=name))]
    assert told(*pods, repository(PROBLEM))[:2] == ("repository_layout", "confirmed")


def test_a_mark_does_not_explain_a_failure_that_the_log_explains() -> None:
    mark = RepositoryProblem(
        "m", "repository: version 1 is marked bad by entry 1 of bad_versions.yaml: slow", "1"
    )
    assert report(repository(mark)).verdict.leaf == "marked-bad"
    raised = log(failed("m", "Internal: ValueError: the threshold must be below 1"))
    assert told(raised, repository(mark)) == ("model_code", "likely", "m")


@pytest.mark.parametrize("problem", [PROBLEM, MISSING], ids=["layout", "file"])
def test_a_model_that_has_loaded_is_told_as_one_that_would_fail_next_time(problem: RepositoryProblem) -> None:
    got = report(log(loaded("m")), index(IndexRow("m", "1", "READY")), repository(problem))
    assert (got.verdict.category, got.verdict.confidence) == ("repository_layout", "possible")
    assert [(m.model, m.state) for m in got.models] == [("m", "would fail")]


def test_a_failing_model_comes_before_one_that_would_fail() -> None:
    other = msgspec.structs.replace(MISSING, model="n")
    raised = log(loaded("n"), failed("m", "Internal: ValueError: the threshold must be below 1"))
    assert told(raised, repository(other)) == ("model_code", "likely", "m")


def test_where_something_else_was_asked_and_did_not_answer_a_sound_repository_is_no_answer() -> None:
    gone = evidence("log", "log", None, Missing("not_found", "no such file", "give it"))
    assert report(repository()).verdict.leaf == "repository-in-order"
    assert report(gone, repository()).verdict.leaf == "cause-unnamed"
