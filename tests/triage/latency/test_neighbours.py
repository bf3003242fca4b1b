"""Who else is on the hardware, and what is said where that cannot be seen."""

import msgspec
import pytest

from tests.triage.latency.evidence import (
    Part,
    incident,
    nothing_of,
    placed,
    platform,
    rules,
    served,
    snapshot,
    steady,
    stepped,
)
from triage.cluster_views import PodPlacement
from triage.latency.figures import figures
from triage.latency.predicates.neighbours import cpu_neighbour_seen, gpu_neighbour_seen
from triage.render_html import render_html
from triage.render_text import render_text
from triage.report_of import report_of

BATCH = "batch-6b4c7d8f9c-q8w2z"
FLEET: list[Part] = [
    served(pod="a", infer=stepped(8, 80)),
    served(pod="b"),
    placed(PodPlacement("a", "n1"), PodPlacement("b", "n2")),
]
"""Pod a, on node n1, became slow."""


def uses(pod: str, before: float | None, during: float, node: str = "n1", namespace: str = "data") -> Part:
    values = steady(before, 80) + steady(during, 40)
    return platform("neighbour_cpu", values, node=node, namespace=namespace, pod=pod)


@pytest.mark.parametrize(
    ("parts", "neighbour"),
    [
        ([uses(BATCH, 0.5, 12)], f"data/{BATCH} (workload batch)"),
        ([uses("db-0", 4, 4.5), uses("new-0", None, 8)], "data/new-0"),
        ([uses("db-0", 9, 12), uses("small-0", 0.5, 6)], "data/small-0"),  # the gain counts, not the size
        ([uses(BATCH, 0.5, 12, node="n2")], None),  # on a node whose pod is well
        ([uses("a", 1, 12, namespace="prod")], None),  # our own
        ([uses("a", 1, 12, namespace="staging")], "staging/a"),  # another's of the same name
        ([uses("db-0", 4, 5)], None),
        ([uses("tiny-0", 0, 0.1)], None),
        ([uses("db-0", None, 8)], None),
    ],
    ids=[
        "grew",
        "came",
        "the gain",
        "another node",
        "our own",
        "same name elsewhere",
        "hardly",
        "tiny",
        "not measured before",
    ],
)
def test_the_neighbour_is_the_other_pod_on_the_slow_node_that_gained_most(
    parts: list[Part], neighbour: str | None
) -> None:
    told = incident(*FLEET, *parts, namespace="prod")
    assert figures(told).get("neighbour") == neighbour
    assert (cpu_neighbour_seen(told).value == "yes") == (neighbour is not None)


def test_a_pod_of_our_name_is_ours_where_no_namespace_was_given() -> None:
    told = incident(*FLEET, uses("a", 1, 12, namespace="prod"))
    assert "neighbour" not in figures(told)


def test_what_it_used_is_told() -> None:
    answer = cpu_neighbour_seen(incident(*FLEET, uses(BATCH, 0.5, 12), namespace="prod"))
    assert answer.because == f"data/{BATCH} (workload batch) on n1: 0.5 cores before, 12 cores during"
    assert answer.evidence == ("platform/neighbour_cpu",)


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([], "unknown", "no source tells the CPU of the other pods on these nodes, five of each node"),
        ([nothing_of("platform/neighbour_cpu")], "unknown", "ask again"),
        ([uses("other-0", 4, 4, namespace="prod")], "unknown", "only pods of namespace prod are seen"),
        ([uses("db-0", 4, 4, node="n2")], "unknown", "of the other pods on n1 none is seen"),
        ([uses("db-0", None, 8), uses("far-0", 4, 4, node="n2")], "unknown",
         "how much CPU other pods on n1 used before it began is not known"),
        ([uses("db-0", 4, 4)], "no", "of the 1 largest other pods on n1 none uses much more CPU than before"
         ": it may be a process of the node's own"),
    ],
    ids=["not asked", "no answer", "one namespace", "another node", "not measured before", "none grew"],
)  # fmt: skip
def test_nobody_seen_is_nobody_only_where_others_are_seen(
    parts: list[Part], value: str, because: str
) -> None:
    answer = cpu_neighbour_seen(incident(*FLEET, *parts, namespace="prod"))
    assert (answer.value, answer.because) == (value, because)


def holds(pod: str, before: float | None, during: float | None, namespace: str = "prod") -> Part:
    values = steady(before, 80) + steady(during, 40)
    return platform("gpu_holders", values, gpu="GPU-1", namespace=namespace, pod=pod)


@pytest.mark.parametrize(
    ("parts", "sharer", "because"),
    [
        ([holds("a", 0.4, 0.9), holds("notebook-0", None, 0.9)], "prod/notebook-0",
         "prod/notebook-0 holds GPU-1 too, and did not before"),
        ([holds("notebook-0", 0.4, 0.9)], "prod/notebook-0", "prod/notebook-0 holds GPU-1 too"),
        ([holds("old-0", 0.4, 0.9), holds("z-0", None, 0.9)], "prod/z-0",
         "prod/z-0 holds GPU-1 too, and did not before; so do others: prod/old-0"),
        ([holds("old-0", 0.4, None), holds("a", 0.4, 0.9)], None,
         "of pods that share a GPU dcgm-exporter names one, unless KUBERNETES_VIRTUAL_GPUS=true; triton-gpu-agent names all"),
        ([], None, "no source tells the pods that hold a GPU of ours"),
    ],
    ids=["came", "was there", "came among others", "it left", "not asked"],
)  # fmt: skip
def test_the_pod_on_the_same_gpu_is_named_and_never_excluded(
    parts: list[Part], sharer: str | None, because: str
) -> None:
    told = incident(*FLEET, *parts, namespace="prod")
    answer = gpu_neighbour_seen(told)
    assert figures(told).get("gpu_neighbour") == sharer
    assert (answer.value, answer.because) == ("yes" if sharer else "unknown", because)


NOISY: list[Part] = [*FLEET, platform("node_cpu_used", stepped(0.3, 0.99), node="n1")]


def test_the_report_names_the_neighbour_in_its_action_and_its_reasons() -> None:
    report = report_of(snapshot(*NOISY, uses(BATCH, 0.5, 12), namespace="prod", target="deploy/web"), rules())
    assert report.verdict.category == "noisy_neighbour"
    assert report.actions[0].do.startswith(
        f"Cordon n1, and have the owner of data/{BATCH} (workload batch) delete that pod"
    )
    assert len(report.actions) == 1
    assert f"Another pod on the node takes more CPU: data/{BATCH}" in report.why[-1].text


def test_without_a_name_the_action_says_how_to_find_one_and_what_was_not_seen() -> None:
    report = report_of(snapshot(*NOISY, namespace="prod", target="deploy/web"), rules())
    assert report.verdict.category == "noisy_neighbour"
    assert "NEIGHBOUR" not in report.actions[0].do
    assert "spec.nodeName=n1`" in report.actions[0].do
    assert "another pod on the node takes more CPU" in {one.what for one in report.unseen}


def test_a_hostile_name_stays_text() -> None:
    name = '<img src=x>"; rm -rf / `id` \x1b[31m'
    found = snapshot(*NOISY, uses(name, 0.5, 12), namespace="prod", target="deploy/web")
    report = report_of(found, rules())
    assert report.verdict.category == "noisy_neighbour"
    assert "<img" not in render_html(report)
    assert "\x1b[31m" not in render_text(report)
    assert all(name not in (action.command or "") for action in report.actions)
    assert msgspec.json.encode(report)
