"""Why computing takes longer: sizes, versions, young pods, nodes, the models that it calls. Pure."""

from triage.answers import Answer
from triage.latency.facts import Statistics
from triage.latency.incident import Incident, Movement
from triage.latency.kinds import By
from triage.latency.number import amount
from triage.wording import names


def computes_slower(incident: Incident) -> Answer:
    """Time in the model per request rose by more than larger batches explain: each request of a batch waits for the whole of
    it."""
    infer, batch = incident.movement("infer"), incident.movement("batch")
    if not infer.known or not infer.before:
        return Answer("unknown", infer.missing or "time in the model was zero", infer.evidence)
    ratio = (infer.during or 0.0) / infer.before
    grown = max(1.0, (batch.during or 1.0) / batch.before) if batch.known and batch.before else 1.0
    said = f"{infer.quantity.says}: {infer.from_to}"
    if grown > 1.1:
        said += f"; {batch.quantity.says}: {batch.from_to}"
    slower = ratio > 1.3 * grown and infer.difference > 0.5
    return Answer("yes" if slower else "no", said, infer.evidence + batch.evidence)


def infer_tail_alone(incident: Incident) -> Answer:
    """Some requests compute for long, and the median does not."""
    tail, middle = incident.movement("infer_tail"), incident.movement("infer_median")
    if not (tail.known and middle.known):
        return Answer("unknown", tail.missing or middle.missing, tail.evidence)
    said = f"{tail.quantity.says}: {tail.from_to}; median: {middle.from_to}"
    only = tail.up(1.5, 1.0) == "yes" and middle.up(1.3, 1.0) == "no"
    return Answer("yes" if only else "no", said, tail.evidence + middle.evidence)


def rare_batch_size(incident: Incident) -> Answer:
    """A batch size that was executed a few times only, and took many times as long as the others."""
    for evidence, facts in incident.facts(Statistics):
        for rows in (facts.during, facts.before):
            for row in rows:
                if row.model == incident.model and (said := _outlier(row.batches)):
                    return Answer("yes", said, (evidence.id,))
    if unseen := incident.missing("statistics"):
        return Answer("unknown", unseen)
    return Answer(
        "no", "no batch size took much longer than others", tuple(e.id for e, _ in incident.facts(Statistics))
    )


def _outlier(batches: tuple[object, ...]) -> str:
    rows = [(b.size, b.executions, b.infer_ms / b.executions) for b in batches if b.executions]  # type: ignore[attr-defined]
    if len(rows) < 2:
        return ""
    usual = sorted(each for _, executions, each in rows for _ in range(min(executions, 50)))
    middle = usual[len(usual) // 2]
    size, executions, each = max(rows, key=lambda row: row[2])
    if executions <= 5 and each > 10 * middle and each - middle > 100:
        return f"batch size {size} was executed {executions} times, {amount(each, 'ms')} each; others {amount(middle, 'ms')}"
    return ""


def a_part_moved(incident: Incident) -> Answer:
    """A model that this one calls, by its configuration or by moving with it, takes longer than before."""
    settings = incident.settings.get(incident.model)
    parts = (
        settings.parts
        if settings and settings.parts
        else tuple(m for m in incident.models if m != incident.model)
    )
    if not parts:
        return Answer("unknown", incident.missing("settings") or "which models it is made of is not known")
    slower = slowest_part(incident)
    if slower:
        name, movement = slower
        return Answer("yes", f"{name}: {movement.quantity.says} {movement.from_to}", movement.evidence)
    return Answer("no", f"none of {names(parts)} takes longer")


def slowest_part(incident: Incident) -> tuple[str, Movement] | None:
    settings = incident.settings.get(incident.model)
    parts = (
        settings.parts
        if settings and settings.parts
        else tuple(m for m in incident.models if m != incident.model)
    )
    found = [(name, incident.movement_of(name, "latency")) for name in parts]
    moved = [(name, one) for name, one in found if one.up(1.3, 0.5) == "yes"]
    return max(moved, key=lambda row: row[1].difference, default=None)


def version_is_slower(incident: Incident) -> Answer:
    """A version that came into use computes longer than the one before it did."""
    versions = incident.history.groups("infer", "version", incident.who())
    if len(versions) < 2:
        only = f"only version {versions[0]} served" if versions else incident.history.missing("infer_time")
        return Answer("no" if versions else "unknown", only, incident.read("infer").evidence)
    first: dict[str, float] = {}
    levels: dict[str, float] = {}
    for version in versions:
        reading = incident.read("infer", by="version", group=version)
        values = sorted(incident.values(reading, "ever"))
        if reading.trace is not None and len(values) >= 3:
            first[version] = next(i for i, v in enumerate(reading.trace.values) if v is not None)
            levels[version] = values[len(values) // 2]
    if len(levels) < 2:
        return Answer("unknown", "too few points of one of the versions", incident.read("infer").evidence)
    new = max(levels, key=lambda version: (first[version], int(version) if version.isdigit() else 0))
    old = max((v for v in levels if v != new), key=lambda version: -first[version])
    said = f"version {new} takes {amount(levels[new], 'ms')} in the model per request, version {old} {amount(levels[old], 'ms')}"
    slower = levels[new] > 1.3 * levels[old]
    return Answer("yes" if slower else "no", said, incident.read("infer", by="version", group=new).evidence)


def new_pods_slow(incident: Incident) -> Answer:
    """Pods that began within the window compute longer than those that were there, and get faster."""
    pods = incident.history.groups("infer", "pod", incident.who())
    young: list[tuple[str, list[float]]] = []
    old: list[tuple[str, list[float]]] = []
    for pod in pods:
        reading = incident.read("infer", by="pod", group=pod)
        if reading.trace is None:
            continue
        there = [i for i, v in enumerate(reading.trace.values) if v is not None]
        if there:
            values = [v for v in reading.trace.values if v is not None]
            (young if there[0] > 2 else old).append((pod, values))
    if not young:
        return Answer(
            "no" if old else "unknown",
            "no pod began within the window" if old else incident.read("infer").missing,
        )
    usual = sorted(v for _, values in old for v in values)
    level = usual[len(usual) // 2] if usual else None
    slow = [pod for pod, values in young if max(values[:3]) > 2 * (level or sorted(values)[len(values) // 2])]
    said = f"{names([pod for pod, _ in young])} began within the window"
    evidence = incident.read("infer").evidence
    if slow:
        return Answer(
            "yes",
            f"{said}; the first requests in {names(slow)} took more than twice the usual time",
            evidence,
        )
    return Answer("no", f"{said}, and were not slower at first", evidence)


def one_node_alone(incident: Incident) -> Answer:
    """All pods of some node got slower, none of another."""
    return _by(incident, "node", "infer")


def _by(incident: Incident, by: By, quantity: str) -> Answer:
    groups = incident.history.groups(quantity, by, incident.who())
    if len(groups) < 2:
        return Answer("unknown", f"no two of kind {by} to compare")
    moved = [g for g in groups if incident.movement(quantity, by=by, group=g).up(1.3, 0.5) == "yes"]
    still = [g for g in groups if incident.movement(quantity, by=by, group=g).up(1.3, 0.5) == "no"]
    said = f"slower in {names(moved) or 'none'}, not in {names(still) or 'none'}"
    return Answer("yes" if moved and still else "no", said, incident.read(quantity).evidence)


def always_slow_node(incident: Incident) -> Answer:
    """The pods of one node compute longer than the others for as long as they have been there."""
    nodes = incident.history.groups("infer", "node", incident.who())
    levels = {}
    for node in nodes:
        values = sorted(incident.values(incident.read("infer", by="node", group=node), "ever"))
        if len(values) >= 6:
            levels[node] = (values[len(values) // 4], values[len(values) // 2])
    if len(levels) < 2:
        return Answer("unknown", "no two nodes to compare")
    slowest = max(levels, key=lambda node: (levels[node][1], node))
    others = sorted(level[1] for node, level in levels.items() if node != slowest)
    usual = others[len(others) // 2]
    said = f"{slowest} takes {amount(levels[slowest][1], 'ms')} in the model per request, the others {amount(usual, 'ms')}"
    return Answer("yes" if levels[slowest][0] > 1.3 * usual else "no", said, incident.read("infer").evidence)
