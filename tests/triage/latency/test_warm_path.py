"""How soon capacity that is added now answers: told where it is known, and said where it is not."""

from typing import Any

import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    evidence,
    gateway,
    hpa,
    incident,
    nothing_of,
    placed,
    rollouts,
    rules,
    served,
    settings,
    snapshot,
    stepped,
)
from triage.cluster_views import NoHpa, PodPlacement, Revision
from triage.latency.figures import figures
from triage.latency.predicates.warm_path import warm_path, warm_path_seen
from triage.report_of import report_of


def pod(name: str, created: int, seconds: float, **more: Any) -> PodPlacement:
    began = at_step(created)
    told = {"ready": True, "ready_since": began + seconds, "created_at": began, **more}
    return PodPlacement(name, "n1", **told)


COLD, WARM = settings("m"), settings("m", warm_up=True)
SLOW_AT_FIRST = "m has no model_warmup: its first requests will be slow"


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ([pod("a", 0, 85)], "about 85 s to be ready here (1 pod seen)"),
        ([pod("a", 0, 10), pod("b", 5, 80), pod("c", 6, 85), pod("d", 7, 95)], "about 85 s to be ready here (3 pods seen)"),
        ([pod("a", 0, 80), pod("flipped", 1, 3000)], "about 80 s to be ready here (2 pods seen)"),
        ([pod("a", 0, 400)], "about 6.7 min to be ready here (1 pod seen)"),
        ([pod("a", 0, 85), pod("again", 1, 9, restarts=1), pod("starts", 2, 9, ready=False), pod("lost", 3, 7200)],
         "about 85 s to be ready here (1 pod seen)"),
    ],
    ids=["one", "the newest three", "a flip lengthens", "minutes", "not a first start"],
)  # fmt: skip
def test_a_start_lasts_from_the_newest_pods_creation_to_their_readiness(
    pods: list[PodPlacement], said: str
) -> None:
    told = incident(*served(), COLD, placed(*pods))
    assert warm_path(told) == f"a new pod takes {said}, and {SLOW_AT_FIRST}"
    answer = warm_path_seen(told)
    assert (answer.value, answer.evidence) == ("yes", ("placements", "settings:m"))


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([], "placements: nothing was given to ask"),
        ([nothing_of("placements", "forbidden")], "source of placements: forbidden"),
        ([placed(pod("a", 0, 9, restarts=2))], "no pod is seen that is ready since its start"),
    ],
    ids=["not asked", "no right", "all restarted"],
)
def test_what_no_start_shows_is_not_guessed(parts: list[Part], why: str) -> None:
    told = incident(*served(), *parts)
    answer = warm_path_seen(told)
    assert answer.value == "unknown"
    assert answer.because == (
        f"how long a new pod takes to be ready is not known ({why}), and whether m has a model_warmup is not known"
    )
    assert figures(told)["warm_path"] == answer.because


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([WARM], "m has a model_warmup"),
        ([settings("m", parts=("a", "b")), settings("a", warm_up=True), settings("b", warm_up=True)],
         "m has a model_warmup"),
        ([settings("m", parts=("a", "b")), settings("a"), settings("b", warm_up=True)],
         "a has no model_warmup: its first requests will be slow"),
        ([settings("m", parts=("a", "b")), settings("a", warm_up=True)],
         "whether all parts of m have a model_warmup is not known"),
    ],
    ids=["warm", "warm parts", "a cold part", "a part not seen"],
)  # fmt: skip
def test_of_an_ensemble_its_parts_decide(parts: list[Part], said: str) -> None:
    assert warm_path(incident(*served(), *parts, model="m")).endswith(f", and {said}")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([hpa(4, 7)], "autoscaler llm adds up to 3 pods by itself"),
        ([hpa(4, 4)], "autoscaler llm adds none: it is at its maximum"),
        ([evidence("hpa", "hpa", NoHpa())], "no autoscaler adds pods"),
        ([placed(pod("a", 0, 9), PodPlacement("b", unschedulable="0/3 nodes are available"))],
         "no node takes 1 pod that should run already"),
        ([placed(pod("a", 0, 9), PodPlacement("b", "n1", created_at=at_step(119)))], "1 pod not ready yet"),
    ],
    ids=["room", "at its maximum", "none", "no node", "starting"],
)  # fmt: skip
def test_whether_pods_come_by_themselves_is_told_beside(parts: list[Part], said: str) -> None:
    assert warm_path_seen(incident(*served(), WARM, *parts)).because.split("; ")[1:] == [said]


def test_the_report_on_an_overload_says_what_more_capacity_takes() -> None:
    more = served("m", "a", rate=stepped(5, 10), queue=stepped(1, 900), infer=100.0)
    parts = [*more, settings("m", instances=1), gateway("gateway_p99", stepped(120, 1200)),
             placed(pod("a", 0, 85)), rollouts(Revision(1, "x", 0.0), replicas=1)]  # fmt: skip
    report = report_of(snapshot(*parts, namespace="prod", target="deploy/llm"), rules())
    assert report.verdict.category == "overload"
    path = f"a new pod takes about 85 s to be ready here (1 pod seen), and {SLOW_AT_FIRST}"
    assert report.actions[0].do == f"Add capacity: 2 replicas for what comes now (now 1); {path}."
    assert report.why[-1].text == f"What added capacity takes: {path}."
    assert report.why[-1].evidence == ("placements", "settings:m")
