"""What the nodes say of themselves, beside what their pods show. Pure."""

from triage.answers import Answer
from triage.cluster_views import Nodes, NodeView
from triage.latency.incident import Incident
from triage.latency.predicates.computing import always_slow_node, one_node_slower, slower_nodes
from triage.wording import names

_NEAR_SECONDS = 60.0
"""The kubelet reports its node's state every few seconds, and the control plane misses it after forty."""


def one_node_alone(incident: Incident) -> Answer:
    """All pods of some node got slower, none of another; with what those nodes say of themselves."""
    found = one_node_slower(incident)
    told = [
        words for _, node in _ill(incident) if node.name in slower_nodes(incident) and (words := ills(node))
    ]
    if found.value != "yes" or not told:
        return found
    ids = tuple(evidence for evidence, _ in _ill(incident)[:1])
    return Answer("yes", f"{found.because}; {names(told)}", found.evidence + ids)


def bad_node(incident: Incident) -> Answer:
    """One node's pods have been slower all along; or they got slower when their node became not ready, came under pressure, or
    reported a problem."""
    slow = always_slow_node(incident)
    if slow.value == "yes" or incident.onset is None:
        return slow
    latest = incident.onset.onset.latest + _NEAR_SECONDS
    for evidence, node in _ill(incident):
        since = [
            at
            for at in (None if node.ready else node.since, *node.pressures_since.values())
            if at is not None
        ]
        if node.name in slower_nodes(incident) and since and min(since) <= latest:
            alone = one_node_slower(incident)
            if alone.value == "yes":
                return Answer("yes", f"{alone.because}; {ills(node)}", (*alone.evidence, evidence))
    unasked = incident.missing("nodes")
    if unasked and slow.value == "no" and one_node_slower(incident).value != "no":
        return Answer("unknown", f"what the nodes say of themselves was not read: {unasked}")
    return slow


def ills(node: NodeView) -> str:
    """What is wrong with a node by its own words; empty: nothing."""
    told = [] if node.ready else ["not ready"]
    told += node.pressures
    told += ["closed to new pods"] if node.unschedulable else []
    return f"node {node.name}: {', '.join(told)}" if told else ""


def _ill(incident: Incident) -> list[tuple[str, NodeView]]:
    return [(one.id, node) for one, facts in incident.facts(Nodes) for node in facts.nodes if ills(node)]
