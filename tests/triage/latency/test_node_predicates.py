"""What a node says of itself weighs where its pods alone got slower, and only if it said so by then."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    evidence,
    incident,
    placed,
    platform,
    rules,
    served,
    steady,
    stepped,
)
from triage.cluster_views import Nodes, NodeView, PodPlacement
from triage.evidence import Evidence
from triage.latency.predicates import PREDICATES
from triage.latency.walk import walk

BEGAN = at_step(80)
PLACED = placed(PodPlacement("a", "n1", ready=True), PodPlacement("b", "n2", ready=True))
ONE_SLOW: list[Part] = [served(infer=stepped(8.0, 30.0)), served(pod="b"), PLACED]
BOTH_SLOW: list[Part] = [served(infer=stepped(8.0, 30.0)), served(pod="b", infer=stepped(8.0, 30.0)), PLACED]


def nodes(name: str = "n1", *, ready: bool = True, since: float = 0.0, **pressures: float) -> Evidence:
    ill = NodeView(name, ready, since, tuple(pressures), pressures_since=pressures)
    others = [NodeView(n, True, 0.0) for n in ("n1", "n2") if n != name]
    return evidence("nodes", "nodes", Nodes((ill, *others)))


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ([ONE_SLOW, nodes(MemoryPressure=BEGAN - 20)], "yes"),
        ([ONE_SLOW, nodes(ready=False, since=BEGAN + 40)], "yes"),
        ([ONE_SLOW, nodes(DiskPressure=BEGAN + 900)], "no"),
        ([ONE_SLOW, nodes("n2", MemoryPressure=BEGAN - 20)], "no"),
        ([BOTH_SLOW, nodes(MemoryPressure=BEGAN - 20)], "no"),
        ([ONE_SLOW, nodes()], "no"),
        ([ONE_SLOW], "unknown"),
        ([BOTH_SLOW], "no"),
    ],
    ids=[
        "pressure",
        "not ready",
        "long after",
        "the fast one",
        "all are slow",
        "well",
        "nodes not seen",
        "nor needed",
    ],
)
def test_a_node_is_bad_where_it_said_so_by_the_time_its_pods_alone_got_slower(
    parts: list[Part], value: str
) -> None:
    assert PREDICATES["bad_node"](incident(*parts, model="m")).value == value


def test_what_the_slow_node_says_stands_beside_what_its_pods_show() -> None:
    found = PREDICATES["one_node_alone"](incident(ONE_SLOW, nodes(PIDPressure=BEGAN + 900), model="m"))
    assert (found.value, found.because) == ("yes", "slower in n1, not in n2; node n1: PIDPressure")
    assert found.evidence[-1] == "nodes"


def test_a_node_under_pressure_whose_pods_got_slower_is_named() -> None:
    under_pressure = nodes(MemoryPressure=BEGAN - 20)
    calm = [platform("node_cpu_used", steady(0.4, 120), node=node) for node in ("n1", "n2")]
    for more, confidence in ((calm, "confirmed"), ([], "likely")):  # a noisy neighbour would be the cause
        found = walk(rules().tree, incident(ONE_SLOW, under_pressure, *more, model="m"))
        first = found.candidates[0]
        assert (first.leaf.category, first.confidence) == ("bad_node", confidence)
