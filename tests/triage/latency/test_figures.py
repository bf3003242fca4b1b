"""The incident's own numbers: right where they can be known, absent where they cannot."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.triage.latency.evidence import (
    Part,
    at_step,
    hpa,
    incident,
    placed,
    rollouts,
    served,
    settings,
    steady,
    stepped,
    triton,
)
from triage.cluster_views import PodPlacement, Revision
from triage.latency.figures import arriving, figures
from triage.latency.predicates.warm_path import warm_path
from triage.wording import command, fill


def of(*parts: Part, **asked: str) -> dict[str, str]:
    return dict(figures(incident(*parts, **asked)))


def busy(rate: float, *, infer: float = 100.0, instances: int = 1, pods: int = 1) -> list[Part]:
    """Each pod answers `rate` requests a second, each of which takes `infer` ms of an instance."""
    slow = [served(pod=f"p{n}", rate=rate, queue=stepped(1, 50), infer=infer) for n in range(pods)]
    return [*slow, settings(instances=instances)]


@pytest.mark.parametrize(
    ("parts", "needed", "in_flight"),
    [
        (busy(7.0), "1", "1"),  # 0.7 requests in service, of one instance that may be busy for 0.7
        (busy(7.1), "2", "1"),
        (busy(70.0), "10", "1"),
        (busy(70.0, instances=5), "2", "5"),
        (busy(10.0, pods=4), "6", "4"),  # 40/s x 0.1 s = 4 in service; 4 / 0.7 = 5.7
        (busy(0.1, pods=4), "4", "4"),  # never fewer than there are
    ],
)
def test_replicas_are_the_requests_in_service_over_what_an_instance_may_be_busy(
    parts: list[Part], needed: str, in_flight: str
) -> None:
    found = of(*parts)
    assert (found["replicas_needed"], found["max_in_flight"]) == (needed, in_flight)


def test_requests_that_share_an_execution_share_its_time() -> None:
    batched = [triton("executions", steady(7.0, 120), pod="p0", model="m")]
    assert of(*busy(70.0))["replicas_needed"] == "10"
    assert of(*busy(70.0), batched)["replicas_needed"] == "1"


def test_what_piles_up_comes_as_well() -> None:
    """Ten requests a second are answered, and each step of thirty seconds 150 more wait."""
    pile = [*steady(0, 80), *(150.0 * n for n in range(40))]
    gaps = [None if 90 <= place < 110 else value for place, value in enumerate(pile)]
    for waiting in (pile, gaps):
        told = incident(*busy(10.0), triton("pending", waiting, pod="p0", model="m"))
        assert arriving(told) == pytest.approx(15)
    assert arriving(incident(*busy(10.0))) == 10
    assert arriving(incident()) is None


@given(rates=st.lists(st.floats(0.1, 2000), min_size=2, max_size=2), instances=st.integers(1, 8))
@hypothesis_settings(max_examples=10, deadline=None)
def test_more_requests_never_need_fewer_replicas(rates: list[float], instances: int) -> None:
    few, many = sorted(rates)
    needed = [int(of(*busy(rate, instances=instances))["replicas_needed"]) for rate in (few, many)]
    assert needed == sorted(needed)


def test_pods_that_a_rollout_replaced_are_not_counted() -> None:
    gone: list[float | None] = [*steady(1, 80), *steady(None, 40)]
    came: list[float | None] = [*steady(None, 80), *steady(1, 40)]
    told: list[Part] = [
        served(pod="old", rate=gone, queue=stepped(1, 50)),
        served(pod="new", rate=came, queue=stepped(1, 50)),
        settings(instances=1),
    ]
    assert of(*told)["replicas_needed"] == "1"


@pytest.mark.parametrize(
    "parts",
    [[], [settings(instances=2)], served(), [*served(), settings()]],
    ids=["nothing", "no series", "no settings", "instances not told"],
)
def test_what_is_not_known_is_absent_and_its_command_is_dropped(parts: list[Part]) -> None:
    found = of(*parts, model="m")
    assert {"replicas_needed", "max_in_flight", "hpa_patch"} & found.keys() == set()
    assert command("kubectl scale --replicas={replicas_needed}", found) is None
    assert fill("Add {replicas_needed} replicas.", found) == "Add REPLICAS_NEEDED replicas."
    assert all(found.values())


def test_the_autoscalers_maximum_is_raised_and_never_lowered() -> None:
    assert json.loads(of(*busy(70.0), hpa(4, 4))["hpa_patch"]) == {"spec": {"maxReplicas": 10}}
    assert "hpa_patch" not in of(*busy(70.0), hpa(4, 20))
    assert (of(*busy(70.0), hpa(4, 20))["hpa"], of(*busy(70.0), hpa(4, 20))["hpa_max"]) == ("llm", "20")


@pytest.mark.parametrize(
    ("parts", "needed"),
    [(served(infer=8.0), "0.8 ms"), (served(infer=900.0), "25 ms"), ([], "25 ms")],
    ids=["a tenth of computing", "half of the delay", "time of computing unknown"],
)
def test_a_shorter_delay_is_a_tenth_of_computing_and_at_most_half_of_what_it_is(
    parts: list[Part], needed: str
) -> None:
    found = of(*parts, settings(max_queue_delay_ms=50.0), model="m")
    assert (found["delay"], found["delay_needed"]) == ("50 ms", needed)
    assert "delay" not in of(*parts, settings(), model="m")


def test_the_pod_and_the_node_are_those_whose_time_in_the_model_stands_out() -> None:
    pods = placed(PodPlacement("a", "n1", ready=True), PodPlacement("b", "n2", ready=True))
    found = of(served(), served(pod="b", infer=stepped(8, 80)), pods)
    assert (found["pod"], found["node"]) == ("b", "n2")


@pytest.mark.parametrize("trouble", ["pending", "failure"])
def test_a_pod_that_answers_nothing_is_meant_and_not_the_slowest_of_the_healthy(trouble: str) -> None:
    """It has no time per request, and the command that restarts {pod} must not hit another."""
    hung: list[float | None] = [*steady(20, 80), *steady(0, 40)]
    found = of(
        served(pod="a"),
        served(pod="hung", rate=hung),
        served(pod="z", infer=9.0),
        *(triton(trouble, stepped(0, 0), pod=pod, model="m") for pod in "az"),
        triton(trouble, stepped(0, 20), pod="hung", model="m"),
    )
    assert found["pod"] == "hung"


def test_an_idle_pod_is_not_one_that_answers_nothing() -> None:
    idle: list[float | None] = [*steady(20, 80), *steady(0, 40)]
    none = [triton("pending", steady(0, 120), pod=pod, model="m") for pod in ("a", "b", "z")]
    found = of(served(pod="a", infer=stepped(8, 80)), served(pod="b", rate=idle), served(pod="z"), none)
    assert found["pod"] == "a"


def test_a_pod_that_was_killed_for_memory_or_that_no_node_takes_is_meant() -> None:
    killed = PodPlacement("b", ended_by="OOMKilled", ended_at=at_step(80))
    assert of(served(infer=stepped(8, 80)), placed(PodPlacement("a"), killed))["pod"] == "b"


def test_the_older_version_is_the_one_that_served_first_and_numbers_are_numbers() -> None:
    late: list[float | None] = [*steady(None, 50), *steady(20, 70)]
    found = of(served(version="2", rate=late), served(version="3"))
    assert (found["old_version"], found["new_version"]) == ("3", "2")
    found = of(served(version="9"), served(version="10"))
    assert (found["old_version"], found["new_version"]) == ("9", "10")
    assert "new_version" not in of(served(version="1"))


def test_the_workload_and_its_commands_are_the_clusters() -> None:
    revisions = (Revision(2, "b", 50.0), Revision(3, "a", 10.0, earlier_numbers=(1,)))
    found = of(served(), rollouts(*revisions, replicas=4), namespace="prod")
    assert (found["workload"], found["replicas"], found["revision"], found["namespace"]) == (
        "deployment/llm",
        "4",
        "3",
        "prod",
    )
    assert found["undo_rollout"] == "kubectl -n prod rollout undo deployment/llm --to-revision=2"
    assert of(served(), target="deploy/llm")["workload"] == "deploy/llm"
    assert "workload" not in of(served(), target="app=llm")


def test_the_query_quotes_the_models_name() -> None:
    query = of(model='a"b\\c')["latency_query"]
    assert '{model="a\\"b\\\\c"}' in query
    assert "latency_query" not in of()


def test_figures_ask_nothing_of_the_snapshot_that_is_not_there() -> None:
    assert of() == {"warm_path": warm_path(incident())}
