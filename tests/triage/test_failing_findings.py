"""What one pod's evidence says of each model that fails in it."""

import pytest

from tests.triage.rules import small_rules
from triage.evidence import Asked, Evidence, IndexRow, LogExcerpt, LogLine, PodView, RepositoryIndex, Snapshot
from triage.failing.findings import MOST_MODELS, Findings, findings_of

BEGINS = 'I0115 02:58:00.1 1 model_lifecycle.cc:461] "loading: ranker:1"'
FAILS = """E0115 02:58:01.1 1 model_lifecycle.cc:630] "failed to load '{}' version 1: Internal: ValueError: no\""""


def test_each_failing_model_is_one_with_the_verdict_of_its_own_report() -> None:
    found = look(log(FAILS.format("ranker"), FAILS.format("embedder")))
    assert [(one.model, one.version) for one in found.of] == [("ranker", "1"), ("embedder", "1")]


def test_only_the_model_that_is_asked_for() -> None:
    found = look(log(FAILS.format("ranker"), FAILS.format("embedder")), model="embedder")
    assert [one.model for one in found.of] == ["embedder"]


def test_a_repository_that_fails_as_a_whole_is_cut_and_told() -> None:
    found = look(log(*(FAILS.format(f"model-{number}") for number in range(MOST_MODELS + 7))))
    assert (len(found.of), found.left_out) == (MOST_MODELS, 7)


def test_an_unready_pod_that_names_no_model_is_one_too() -> None:
    (one,) = look(log("some words")).of
    assert (one.model, one.category, one.settles) == ("", "cannot_tell", True)


def test_a_ready_pod_in_which_nothing_fails_is_none() -> None:
    assert look(log("some words"), ready=True).of == ()


def test_a_load_that_goes_on_is_told_as_such() -> None:
    (one,) = look(log(BEGINS)).of
    assert (one.model, one.title, one.settles) == ("ranker", "still loading", True)


@pytest.mark.parametrize(
    ("rows", "ready"),
    [
        (
            (IndexRow("ranker", "1", "READY"), IndexRow("ranker", "2", "UNAVAILABLE", "Internal: no")),
            {"ranker"},
        ),
        ((IndexRow("ranker", "1", "UNAVAILABLE", "Internal: no"),), set()),
        ((), set()),
    ],
)
def test_which_models_are_ready_is_the_indexs_word(rows: tuple[IndexRow, ...], ready: set[str]) -> None:
    assert look(evidence("index", RepositoryIndex(rows)), ready=True).ready_models == frozenset(ready)


def test_without_an_index_or_with_its_error_nobody_knows() -> None:
    assert look(log("some words"), ready=True).ready_models is None
    assert look(evidence("index", RepositoryIndex((), "cannot read")), ready=True).ready_models is None


def look(*found: Evidence, model: str = "", ready: bool = False) -> Findings:
    pod = evidence("pod", PodView("prod", "chat", "Running", ready))
    asked = Asked(tree="load-failure", target="pod/chat", namespace="prod", model=model)
    snapshot = Snapshot(
        asked=asked, collected_at="2026-01-15T03:00:00Z", took_seconds=0.1, evidence=(pod, *found)
    )
    return findings_of(snapshot, small_rules(), ready=ready)


def log(*lines: str) -> Evidence:
    numbered = tuple(LogLine(number, line) for number, line in enumerate(lines, 1))
    return evidence("log", LogExcerpt(numbered, len(lines), sum(map(len, lines))))


def evidence(probe: str, facts: LogExcerpt | RepositoryIndex | PodView) -> Evidence:
    return Evidence(
        id=f"{probe}:chat",
        probe=probe,
        source=probe,
        query="",
        command="",
        fetched_at="2026-01-15T03:00:00Z",
        subject="chat",
        facts=facts,
    )
