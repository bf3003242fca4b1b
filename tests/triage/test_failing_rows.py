"""Which lines the view has, in which order, and how bad each is: by what is known of each pod."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.failing.findings import Finding, Findings
from triage.failing.rows import SETTLES_AFTER, PodCase, lines_of, unlike
from triage.failing.triton_pod import TritonPod
from triage.failing.view import Line

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
FAILS = Finding("ranker", "2", "model_config", "the model's configuration", "likely", "Correct dims.")
RANKER = frozenset({"ranker"})


def pod(
    name: str, *, ready: bool = False, workload: str = "deployment/chat", alike: str = "unready"
) -> TritonPod:
    return TritonPod(
        namespace="prod",
        name=name,
        uid=name,
        workload=workload,
        ready=ready,
        troubled=not ready,
        runs=True,
        http_port=8000,
        since=NOW - timedelta(hours=1),
        alike="ready" if ready else alike,
    )


def fails(
    name: str, *findings: Finding, ready: bool = False, models: frozenset[str] | None = None
) -> PodCase:
    return PodCase(pod(name, ready=ready), Findings(findings or (FAILS,), models))


def well(name: str, models: frozenset[str] | None = RANKER) -> PodCase:
    return PodCase(pod(name, ready=True), asked=models)


@pytest.mark.parametrize(
    ("cases", "serving"),
    [
        ([fails("a")], "nobody"),
        ([fails("a"), well("b")], "some"),
        ([fails("a"), well("b", frozenset())], "nobody"),  # it has no such model
        ([fails("a"), well("b", None)], "some"),  # it may: nobody could ask
        ([fails("a"), PodCase(pod("b", ready=True))], "some"),  # or had the time to
        ([fails("a", ready=True, models=RANKER)], "earlier_version"),
        ([fails("a", models=RANKER)], "nobody"),  # no Service sends requests to a pod that is not ready
        ([fails("a", ready=True, models=RANKER), fails("b")], "some"),
        ([fails("a", ready=True, models=frozenset())], "nobody"),  # ready as a pod, and without the model
        ([fails("a", replace(FAILS, earlier=True), ready=True)], "earlier_version"),  # by its log alone
        ([fails("a", replace(FAILS, earlier=True), ready=True, models=frozenset())], "nobody"),
    ],
)
def test_how_bad_it_is_by_who_serves_the_model(cases: list[PodCase], serving: str) -> None:
    (line,) = lines_of(cases, NOW)
    assert line.serving == serving


@pytest.mark.parametrize(
    ("finding", "age", "serving"),
    [
        (replace(FAILS, settles=True), timedelta(seconds=20), "other"),
        (replace(FAILS, settles=True), SETTLES_AFTER, "nobody"),
        (FAILS, timedelta(seconds=20), "nobody"),
    ],
)
def test_a_pod_that_has_just_begun_is_no_failure(finding: Finding, age: timedelta, serving: str) -> None:
    case = PodCase(replace(pod("a"), since=NOW - age), Findings((finding,)))
    assert [line.serving for line in lines_of([case], NOW)] == [serving]


def test_replicas_that_fail_alike_are_one_line_and_those_that_stand_alike_are_counted() -> None:
    read = [fails(f"read-{number}") for number in range(3)]
    unread = [PodCase(pod(f"unread-{number}")) for number in range(37)]
    (line,) = lines_of([*unread, *read], NOW)
    assert (line.pods.failing, line.pods.looked_at, line.pods.of) == (40, 3, 40)
    assert unlike([*unread, *read]) == {}


def test_pods_that_stand_like_others_that_fail_differently_are_counted_for_no_line() -> None:
    other = replace(FAILS, category="artifact_integrity")
    cases = [fails("a"), fails("b", other), PodCase(pod("c")), PodCase(pod("d"))]
    assert [(line.category, line.pods.failing) for line in lines_of(cases, NOW)] == [
        ("artifact_integrity", 1),
        ("model_config", 1),
    ]
    assert unlike(cases) == {("prod", "deployment/chat"): 2}


def test_the_surest_verdict_of_the_pods_speaks_for_them() -> None:
    confirmed = replace(FAILS, confidence="confirmed", action="Say so.")
    (line,) = lines_of([fails("a"), fails("b", confirmed), fails("c")], NOW)
    assert (line.confidence, line.action, line.pod, line.pods.failing) == ("confirmed", "Say so.", "b", 3)


def test_every_failing_model_of_a_pod_is_a_line() -> None:
    cases = [fails("a", FAILS, replace(FAILS, model="embedder"))]
    assert [line.model for line in lines_of(cases, NOW)] == ["embedder", "ranker"]


def test_a_named_cause_that_hits_most_pods_comes_first_among_the_equally_bad() -> None:
    unnamed = replace(FAILS, model="", version="", category="cannot_tell", confidence="cannot_tell")
    cases = [
        PodCase(pod("a", workload="deployment/a"), Findings((unnamed,))),
        PodCase(pod("b", workload="deployment/b"), Findings((FAILS,))),
        PodCase(pod("c", workload="deployment/c"), Findings((FAILS,))),
        PodCase(pod("d", workload="deployment/c"), Findings((FAILS,))),
    ]
    assert [line.workload[-1] for line in lines_of(cases, NOW)] == ["c", "b", "a"]


_FINDINGS = st.builds(
    Finding,
    model=st.sampled_from(["", "ranker", "embedder"]),
    version=st.sampled_from(["", "1"]),
    category=st.sampled_from(["model_config", "cannot_tell"]),
    title=st.just("title"),
    confidence=st.sampled_from(["confirmed", "likely"]),
    action=st.sampled_from(["Do this.", "Do that."]),
)
_CASES = st.lists(
    st.builds(
        lambda name, ready, workload, alike, findings: PodCase(
            pod(name, ready=ready, workload=workload, alike=alike), findings
        ),
        st.text("abcdef", min_size=1, max_size=3),
        st.booleans(),
        st.sampled_from(["deployment/a", "statefulset/b"]),
        st.sampled_from(["x", "y"]),
        st.none()
        | st.builds(
            Findings,
            st.lists(_FINDINGS, max_size=2, unique_by=lambda finding: finding.model).map(tuple),
            st.none() | st.just(RANKER),
        ),
    ),
    unique_by=lambda case: case.pod.name,
    max_size=8,
)


@given(_CASES, st.randoms())
def test_the_order_of_the_pods_changes_nothing(cases: list[PodCase], random: object) -> None:
    before = lines_of(cases, NOW)
    shuffled = list(cases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert lines_of(shuffled, NOW) == before
    assert all(_is_counted_well(line) for line in before)


def _is_counted_well(line: Line) -> bool:
    pods = line.pods
    return (
        1 <= pods.looked_at <= pods.failing <= pods.of
        and pods.failing + pods.serve + pods.may_serve <= pods.of
    )


@pytest.mark.parametrize(
    ("workload", "model", "command"),
    [
        (
            "deployment/chat",
            "ranker",
            "triton-triage load-failure --context c -n prod deploy/chat --model ranker",
        ),
        (
            "statefulset/chat",
            "a b'c",
            """triton-triage load-failure --context c -n prod sts/chat --model 'a b'"'"'c'""",
        ),
        ("rollout/chat", "ranker", "triton-triage load-failure --context c -n prod pod/a --model ranker"),
        ("pod/a", "", "triton-triage load-failure --context c -n prod pod/a"),
        (
            "statefulset/x; rm -rf ~",
            "",
            "triton-triage load-failure --context c -n prod 'sts/x; rm -rf ~'",
        ),  # of an owner
    ],
)
def test_the_report_is_asked_for_by_a_target_that_it_knows(workload: str, model: str, command: str) -> None:
    case = PodCase(pod("a", workload=workload), Findings((replace(FAILS, model=model),)))
    assert [line.report for line in lines_of([case], NOW, " --context c")] == [command]
