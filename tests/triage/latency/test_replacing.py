"""Pods that were replaced, by what callers feel of it: errors, or a queue before those that are left."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    gateway,
    incident,
    placed,
    platform,
    rollouts,
    rules,
    served,
    snapshot,
    steady,
    stepped,
)
from triage.answers import Value
from triage.cluster_views import PodPlacement, Revision
from triage.latency.predicates import PREDICATES
from triage.report_of import report_of

TAIL_ALONE = gateway("gateway_p99", stepped(30, 900))
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


def of_pods(gone_at: int) -> list[Part]:
    """Pod a ends where pod b has begun, ten steps before."""
    done: list[float | None] = [20.0 if step < gone_at else None for step in range(120)]
    come: list[float | None] = [20.0 if step >= gone_at - 10 else None for step in range(120)]
    return [served(pod="a", rate=done), served(pod="b", rate=come)]


@pytest.mark.parametrize(
    ("gone_at", "value"), [(82, "yes"), (112, "no")], ids=["it ended soon after", "it ended lately"]
)
def test_what_goes_on_long_after_the_last_pod_was_replaced_is_not_of_it(gone_at: int, value: Value) -> None:
    slow = gateway("gateway_p99", stepped(30, 900))
    told = incident(*of_pods(gone_at), slow, WANTED, platform("replicas_ready", steady(3, 120)), model="m")
    assert PREDICATES["outlasts_replacing"](told).value == value


def test_a_rollout_whose_end_nobody_tells_is_not_said_to_be_outlasted() -> None:
    """All old pods are still there, and no source counts those that are ready: it may be going on."""
    told = incident(
        served(pod="a"), TAIL_ALONE, rollouts(Revision(1, "a", 0.0), Revision(2, "b", at_step(80))), model="m"
    )
    assert PREDICATES["outlasts_replacing"](told).value == "unknown"


def test_too_few_points_of_the_replicas_do_not_say_that_all_serve() -> None:
    late = platform("replicas_ready", [*steady(3, 80), *steady(None, 40)])
    quiet = gateway("gateway_requests", steady(0, 120), code="5xx")
    assert PREDICATES["replacing_felt"](incident(QUEUED, quiet, WANTED, late, model="m")).value == "unknown"


def test_without_pods_nothing_is_said_of_how_long_it_outlasts_them() -> None:
    assert PREDICATES["outlasts_replacing"](incident(TAIL_ALONE, model="m")).value == "unknown"


def infer_of(pod: str, levels: list[float | None]) -> Part:
    return served(pod=pod, rate=[None if v is None else 20.0 for v in levels], infer=levels)


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ([*steady(8, 80), *steady(None, 40)], [*steady(None, 80), *steady(30, 40)], "yes"),
        ([*steady(8, 70), *steady(None, 50)], [*steady(None, 70), *steady(8, 10), *steady(30, 40)], "no"),
        ([*steady(8, 80), *steady(30, 40)], [*steady(None, 80), *steady(30, 40)], "no"),
        ([*steady(8, 120)], [*steady(None, 80), *steady(30, 40)], "yes"),
    ],
    ids=["slow from its first request", "fast at first", "both slow at once", "slow beside a fast one"],
)
def test_a_revision_is_slower_beside_the_old_one_or_from_its_first_requests(
    old: list[float | None], new: list[float | None], value: Value
) -> None:
    pods = placed(PodPlacement("a", revision="r1"), PodPlacement("b", revision="r2"))
    told = incident(infer_of("a", old), infer_of("b", new), pods, model="m")
    assert PREDICATES["version_is_slower"](told).value == value


def test_nodes_of_which_too_little_is_known_are_not_said_to_be_all_alike() -> None:
    """Pods that came a moment before have no time before it to compare with."""
    young: list[Part] = [infer_of(pod, [*steady(None, 78), *steady(8, 2), *steady(30, 40)]) for pod in "ab"]
    pods = placed(PodPlacement("a", node="n1"), PodPlacement("b", node="n2"))
    slow = gateway("gateway_p99", stepped(30, 900))
    assert PREDICATES["one_node_alone"](incident(*young, pods, slow, model="m")).value == "unknown"


def test_a_node_whose_pods_were_fast_at_first_has_not_been_slow_all_along() -> None:
    came = [*steady(None, 70), *steady(8, 10), *steady(30, 40)]
    parts: list[Part] = [infer_of("a", came), infer_of("b", steady(8, 120))]
    pods = placed(PodPlacement("a", node="n1"), PodPlacement("b", node="n2"))
    assert PREDICATES["bad_node"](incident(*parts, pods, model="m")).value != "yes"
