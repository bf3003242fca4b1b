"""Pods that were replaced, by what callers feel of it: errors, or a queue before those that are left."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    gateway,
    incident,
    platform,
    rollouts,
    rules,
    served,
    snapshot,
    steady,
    stepped,
)
from triage.answers import Value
from triage.latency.facts import Revision
from triage.latency.predicates import PREDICATES
from triage.report_of import report_of

QUEUED = served(queue=stepped(1, 400), infer=steady(8, 120))
WANTED = platform("replicas_wanted", steady(3, 120))


def ready(since: float, points: int) -> Part:
    return platform("replicas_ready", [*steady(3, 80), *steady(since, points), *steady(3, 40 - points)])


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ([WANTED, ready(2, 20)], "yes"),
        ([WANTED, ready(2, 2)], "no"),
        ([platform("replicas_wanted", stepped(3, 2)), ready(2, 40)], "no"),
        ([WANTED], "unknown"),
        ([], "unknown"),
    ],
    ids=["one less", "for a moment", "fewer are wanted", "not seen which are ready", "not seen"],
)  # fmt: skip
def test_fewer_pods_serve_where_fewer_are_ready_than_wanted(parts: list[Part], value: Value) -> None:
    quiet = gateway("gateway_requests", steady(0, 120), code="5xx")
    assert PREDICATES["replacing_felt"](incident(QUEUED, quiet, *parts, model="m")).value == value


def test_a_queue_while_a_rollout_has_fewer_pods_serve_is_the_rollouts() -> None:
    revisions = rollouts(Revision(1, "a", 0.0), Revision(2, "b", at_step(80)))
    parts: list[Part] = [
        QUEUED,
        WANTED,
        ready(2, 40),
        revisions,
        gateway("gateway_requests", steady(20, 120), code="2xx"),
    ]
    report = report_of(snapshot(*parts, model="m", namespace="prod", target="deploy/web"), rules())
    assert report.verdict.category == "rollout_or_termination"
    whole: list[Part] = [QUEUED, WANTED, ready(3, 40), revisions]
    innocent = report_of(snapshot(*whole, model="m", namespace="prod", target="deploy/web"), rules())
    assert innocent.verdict.category != "rollout_or_termination"
