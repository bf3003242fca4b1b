"""The list on a terminal of any width, and for a program that reads it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.failing.render import render_failing_text
from triage.failing.view import SCHEMA, FailingModels, Gap, Line, Looked, Pods

LOOKED = Looked(listed=40, triton=12, troubled=3, read=3, alike=0, asked=9, not_asked=0)


def line(
    model: str | None = "ranker",
    version: str | None = "2",
    workload: str = "deployment/chat",
    action: str = "Correct dims of input TEXT.",
    category: str = "model_config",
) -> Line:
    return Line(
        serving="nobody",
        namespace="prod",
        workload=workload,
        model=model,
        version=version,
        category=category,
        title="a cause that no line names",
        confidence="likely",
        since="2026-01-15T02:48:00Z",
        pods=Pods(failing=3, of=3, looked_at=3, serve=0, may_serve=0),
        action=action,
        pod="chat-1",
        report="triton-triage load-failure -n prod deploy/chat --model ranker",
    )


def view(
    *lines: Line, looked: Looked = LOOKED, unseen: tuple[Gap, ...] = (), unlisted: tuple[str, ...] = ()
) -> FailingModels:
    return FailingModels(
        schema=SCHEMA,
        tree="load-failure",
        tree_sha256="",
        signatures_sha256="",
        namespaces=(),
        model="",
        collected_at="2026-01-15T03:00:00Z",
        took_seconds=1.2,
        budget_seconds=10.15,
        requests=41,
        unlisted=unlisted,
        looked=looked,
        lines=lines,
        unseen=unseen,
    )


def test_namespaces_that_may_not_be_listed_are_not_counted_as_looked_at() -> None:
    found = render_failing_text(view(line(), unlisted=("shop",)), None)
    assert "12 Triton pods among 40 of the namespaces that may be listed; " in found
    assert "of all namespaces" not in found


def test_at_80_columns_why_and_what_to_do_stand_below_the_model() -> None:
    assert (
        render_failing_text(view(line()), 80)
        == """\
1 FAIL: 1 that nobody serves.

HOW   NAMESPACE  WORKLOAD     MODEL     FOR  PODS
DOWN  prod       deploy/chat  ranker:2  12m  3/3
        model config, likely: Correct dims of input TEXT.

The whole report of the first line; the others' in the same way:
  $ triton-triage load-failure -n prod deploy/chat --model ranker

2026-01-15T03:00:00Z: 12 Triton pods among 40 of all namespaces; 3 in trouble,
of which 3 were looked at; 9 told which models they have (a failed reload of the
version that serves does not show there); 1.2 s of 10.15 s, 41 requests
"""
    )


def test_a_wide_terminal_and_a_program_get_one_line_a_model() -> None:
    wide = render_failing_text(view(line()), 140).splitlines()
    assert wide[2:4] == [
        "HOW   NAMESPACE  WORKLOAD     MODEL     FOR  PODS  WHY           SURE    DO FIRST",
        "DOWN  prod       deploy/chat  ranker:2  12m  3/3   model config  likely  Correct dims of input TEXT.",
    ]
    long = line(action="Correct " * 100)
    assert render_failing_text(view(long), None).splitlines()[3].endswith("Correct " * 100)


def test_pods_that_name_no_model_say_so() -> None:
    unnamed = line(None, None, category="cannot_tell")
    told = render_failing_text(view(unnamed), None).splitlines()[3]
    assert "(none named)" in told
    assert "a cause that no line names" in told


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=90)


@given(
    st.lists(st.builds(line, NAMES, NAMES | st.none(), NAMES.map("deployment/{}".format), NAMES), max_size=5),
    st.integers(60, 200),
)
def test_no_name_breaks_the_width(lines: list[Line], width: int) -> None:
    found = render_failing_text(view(*lines), width).splitlines()
    assert [each for each in found if len(each) > width and not each.startswith("  $ ")] == []


@pytest.mark.parametrize(
    ("looked", "unlisted", "said"),
    [
        ({"troubled": 0, "read": 0}, (), "NOTHING FAILS in 12 Triton pods."),
        ({}, (), "NOTHING FAILS in 12 Triton pods."),
        (
            {"triton": 0, "troubled": 0, "read": 0},
            (),
            "CANNOT TELL: no Triton among 40 pods that may be listed.",
        ),
        (
            {"read": 1},
            (),
            "CANNOT TELL: no failing model was seen, and 2 pods in trouble could not be looked at.",
        ),
        (
            {"not_asked": 4},
            ("kube-system",),
            "CANNOT TELL: no failing model was seen, and 4 ready pods could not be asked for models and the pods of"
            " kube-system could not be listed.",
        ),
    ],
)
def test_no_line_is_health_only_where_all_was_seen(
    looked: dict[str, int], unlisted: tuple[str, ...], said: str
) -> None:
    found = view(looked=msgspec.structs.replace(LOOKED, **looked), unlisted=unlisted)
    assert render_failing_text(found, None).partition("\n")[0] == said
    assert found.could_look is said.startswith("NOTHING")


def test_what_could_not_be_seen_is_told_with_its_remedy() -> None:
    gap = Gap(
        what="logs",
        reason="timeout",
        namespaces=("a", "b"),
        pods=2,
        detail="no answer within 8 s",
        remedy="ask again",
    )
    assert (
        "Could not see\n  - logs of 2 pods in a, b: timeout: no answer within 8 s\n    -> ask again\n"
        in render_failing_text(view(unseen=(gap,)), 100)
    )
