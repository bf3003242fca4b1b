"""Why computing takes longer: sizes, versions, young pods, nodes, the models that it calls. Pure."""

from triage.answers import Answer
from triage.latency.incident import Incident, Movement
from triage.latency.kinds import By
from triage.latency.number import amount
from triage.latency.points import median
from triage.wording import names


def computes_slower(incident: Incident) -> Answer:
    """Time in the model per request rose, beyond its noise and by more than larger batches explain: each request of a batch waits
    for the whole of it."""
    infer, batch = incident.movement("infer"), incident.movement("batch")
    if not infer.known or not infer.before:
        return Answer("unknown", infer.missing or "time in the model was zero", infer.evidence)
    ratio = (infer.during or 0.0) / infer.before
    grown = max(1.0, (batch.during or 1.0) / batch.before) if batch.known and batch.before else 1.0
    said = f"{infer.quantity.says}: {infer.from_to}"
    if grown > 1.1:
        said += f"; {batch.quantity.says}: {batch.from_to}"
    slower = infer.clear and infer.difference > 0.5 and ratio > (1.3 * grown if grown > 1.1 else 1.1)
    return Answer("yes" if slower else "no", said, infer.evidence + batch.evidence)


def computing_grew(incident: Incident) -> Answer:
    """Computing is a fifth of what was added, or its tail rose: a few pods or requests may be slow where the mean hardly moves."""
    share, compute = incident.part("compute")
    tail = incident.movement("infer_tail")
    if tail.up(1.3, 1.0) == "yes":
        return Answer("yes", f"{tail.quantity.says}: {tail.from_to}", tail.evidence)
    if not compute.known:
        return Answer("unknown", compute.missing, compute.evidence)
    grew = compute.up(1.25, 0.5) == "yes" or (compute.clear and share is not None and share > 0.2)
    return Answer("yes" if grew else "no", f"{compute.quantity.says}: {compute.from_to}", compute.evidence)


def infer_tail_alone(incident: Incident) -> Answer:
    """Some requests compute for long, and the median does not. A summary's median has the minute before in it: where the mean rose
    by more than half of what the tail did, more than half of the requests were slow."""
    tail, middle = incident.movement("infer_tail"), incident.movement("infer_median")
    mean = incident.movement("infer")
    if not (tail.known and middle.known):
        seen = _mean_rose_alone(incident)
        return seen or Answer("unknown", tail.missing or middle.missing, tail.evidence)
    said = f"{tail.quantity.says}: {tail.from_to}; median: {middle.from_to}"
    only = tail.up(1.5, 1.0) == "yes" and middle.up(1.3, 1.0) == "no"
    if only and mean.known and mean.difference > 0.5 * tail.difference:
        return Answer("no", f"{said}; mean: {mean.from_to}", tail.evidence + mean.evidence)
    return Answer("yes" if only else "no", said, tail.evidence + middle.evidence)


def _mean_rose_alone(incident: Incident) -> Answer | None:
    """Without summaries: the mean of computing rose in each pod that can be compared, and half of the requests came back to the
    gateway as soon as before. Then it rose by those above the median. None: not seen."""
    mean, middle = incident.movement("infer"), incident.movement("gateway_median")
    pods = incident.history.groups("infer", "pod", incident.who())
    moved = {incident.movement("infer", by="pod", group=pod).up(1.1, 0.5) for pod in pods}
    flat = middle.known and middle.difference < 0.25 * mean.difference
    if mean.up(1.3, 1.0) != "yes" or not flat or "no" in moved or "yes" not in moved:
        return None
    said = f"{mean.quantity.says}: {mean.from_to}; {middle.quantity.says}: {middle.from_to}"
    return Answer("yes", said, mean.evidence + middle.evidence)


def infer_tail_matters(incident: Incident) -> Answer:
    """The tail of computing grew by a good part of what the tail of the whole did; without summaries, computing is most of what was
    added to the mean."""
    tail, whole = incident.movement("infer_tail"), incident.movement("p99")
    if not (tail.known and whole.known):
        share, infer = incident.part("infer")
        if share is not None and share > 0.5 and _mean_rose_alone(incident):
            said = f"{infer.quantity.says}: {infer.from_to}, {share:.0%} of the increase"
            return Answer("yes", said, infer.evidence)
        return Answer("unknown", tail.missing or whole.missing, tail.evidence)
    said = f"{tail.quantity.says}: {tail.from_to}; {whole.quantity.says}: {whole.from_to}"
    matters = tail.difference > 0.2 * whole.difference
    return Answer("yes" if matters else "no", said, tail.evidence + whole.evidence)


def durations_vary(incident: Incident) -> Answer:
    """Some requests compute far longer than most: only then can keeping the order of answers hold any of them. By the tail, or,
    where those are fewer than its share, by what they add to the mean."""
    mean, middle, tail = (incident.movement(name) for name in ("infer", "infer_median", "infer_tail"))
    if not middle.during or mean.during is None:
        return Answer(
            "unknown", middle.missing or mean.missing or "too few points since it began", middle.evidence
        )
    said = (
        f"{mean.quantity.says}: {amount(mean.during, 'ms')}; median: {amount(middle.during, 'ms')}"
        f"; 99th percentile: {amount(tail.during, 'ms') if tail.during is not None else 'not measured'}"
    )
    varies = mean.during > 1.3 * middle.during or (tail.during or 0.0) > 3 * middle.during
    return Answer("yes" if varies else "no", said, middle.evidence + mean.evidence)


def a_part_moved(incident: Incident) -> Answer:
    """A model that this one calls, by its configuration or by moving with it, takes longer than before."""
    parts = incident.parts()
    if not parts:
        return Answer("unknown", incident.missing("settings") or "which models it is made of is not known")
    if slower := slowest_part(incident):
        name, movement = slower
        said = f"{name}: {movement.quantity.says} {movement.from_to}"
        if incident.model not in incident.settings:  # what slows them both makes them slower together as well
            unasked = incident.missing("settings") or "its configuration is not known"
            return Answer("unknown", f"{said}; whether {incident.model} calls it is not known: {unasked}")
        return Answer("yes", said, movement.evidence)
    return Answer("no", f"none of {names(parts)} takes longer")


def slowest_part(incident: Incident) -> tuple[str, Movement] | None:
    parts = [name for name in incident.parts() if _may_be_called(incident, name)]
    found = [(name, incident.movement_of(name, "latency")) for name in parts]
    moved = [(name, one) for name, one in found if one.up(1.3, 0.5) == "yes"]
    return max(moved, key=lambda row: row[1].difference, default=None)


def _may_be_called(incident: Incident, name: str) -> bool:
    """By the configuration; else a model that this one calls ends as many requests as this one does, whatever happens to them."""
    settings = incident.settings.get(incident.model)
    own, its = incident.movement("throughput"), incident.movement_of(name, "throughput")
    if (settings and settings.parts) or not (own.before and own.during and its.before and its.during):
        return True
    return 1 / 1.5 <= its.during / its.before / (own.during / own.before) <= 1.5


def version_is_slower(incident: Incident) -> Answer:
    """A version of the model, or a revision of the pods, that came into use computes longer than the one before it: at the same
    time, or from its first requests on where they did not serve at the same time. What was as fast at first became slow by
    something else."""
    known = ""
    both: tuple[By, By] = ("version", "revision")
    for by in both:
        groups = incident.history.groups("infer", by, incident.who())
        served: dict[str, list[tuple[float, float]]] = {}
        for group in groups:
            reading = incident.read("infer", by=by, group=group)
            points = reading.trace.present() if reading.trace else []
            if len(points) >= _FIRST_POINTS:
                served[group] = points
        known = known or (f"only {by} {groups[0]} served" if len(groups) == 1 else "")
        if len(served) < 2:
            continue
        *_, old, new = sorted(served, key=lambda group: (served[group][0][0], group))
        before, since = _comparable(served[old], served[new])
        said = (
            f"{by} {new} takes {amount(since, 'ms')} in the model per request, {old} {amount(before, 'ms')}"
        )
        came = served[new][0][0] > served[old][0][0]
        evidence = incident.read("infer", by=by, group=new).evidence
        if came and since > 1.3 * before and _slow_at_first(served[new], before):
            return Answer("yes", said, evidence)
        known = known or said
    reading = incident.read("infer")
    return Answer(
        "no" if known else "unknown", known or reading.missing or "too few points", reading.evidence
    )


_FIRST_POINTS = 3


def _comparable(old: list[tuple[float, float]], new: list[tuple[float, float]]) -> tuple[float, float]:
    """The medians of both: of the steps at which both served, or of all where those are fewer than three."""
    shared = {time for time, _ in old} & {time for time, _ in new}
    enough = len(shared) >= _FIRST_POINTS
    middles = [median([v for time, v in points if not enough or time in shared]) for points in (old, new)]
    return middles[0] or 0.0, middles[1] or 0.0


def _slow_at_first(new: list[tuple[float, float]], usual: float) -> bool:
    return min(value for _, value in new[:_FIRST_POINTS]) > 1.15 * usual


def new_pods_slow(incident: Incident) -> Answer:
    """Pods that began within the window compute long at first, and soon as fast as those that were there. Those that began after it
    did are no cause: a fleet that is late with its capacity has such too."""
    young: dict[str, list[float]] = {}
    too_late: list[str] = []
    old: list[float] = []
    for pod in incident.history.groups("infer", "pod", incident.who()):
        trace = incident.read("infer", by="pod", group=pod).trace
        there = trace.present() if trace else []
        if trace is None or not there:
            continue
        values = [value for _, value in there]
        if there[0][0] <= trace.start + 2 * trace.step:
            old += values
        elif _began_before(incident, pod):
            young[pod] = values
        else:
            too_late.append(pod)
    evidence = incident.read("infer").evidence
    if not young:
        said = "no pod began within the window" if old else incident.read("infer").missing
        if too_late:
            said = f"{names(sorted(too_late))} began when it had begun"
        return Answer("no" if old else "unknown", said, evidence)
    usual = sorted(old)[len(old) // 2] if old else None
    warmed = [pod for pod, values in young.items() if _warmed_up(values, usual)]
    told = [pod for pod, values in young.items() if len(values) >= 4]
    said = f"{names(sorted(young))} began within the window"
    if 2 * len(warmed) > len(told):  # not those alone that happened to begin as something else did
        return Answer(
            "yes", f"{said}; {names(warmed)} took more than twice the usual time at first", evidence
        )
    return Answer("no", f"{said}, and did not begin slow to become fast", evidence)


def _began_before(incident: Incident, pod: str) -> bool:
    """Whether it answered, or could have, before it surely had begun; a pod's series are there before its first request ends."""
    answers = incident.read("throughput", by="pod", group=pod).trace
    there = answers.present() if answers else []
    return incident.onset is None or not there or there[0][0] <= incident.onset.onset.latest


def _warmed_up(values: list[float], usual: float | None) -> bool:
    late = sorted(values[len(values) // 2 :])
    level = usual if usual is not None else late[len(late) // 2]
    return (
        len(values) >= 4
        and values[0] > 1.3 * level
        and max(values[:3]) > 2 * level
        and late[len(late) // 2] < 1.5 * level
    )


def one_node_slower(incident: Incident) -> Answer:
    """All pods of some node got slower, none of another."""
    return _by(incident, "node", "infer")


def slower_nodes(incident: Incident) -> list[str]:
    """Those whose pods got slower."""
    nodes = incident.history.groups("infer", "node", incident.who())
    return [node for node in nodes if incident.movement("infer", by="node", group=node).up(1.3, 0.5) == "yes"]


def _by(incident: Incident, by: By, quantity: str) -> Answer:
    groups = incident.history.groups(quantity, by, incident.who())
    if len(groups) < 2:
        return Answer("unknown", f"no two of kind {by} to compare")
    moved = [g for g in groups if incident.movement(quantity, by=by, group=g).up(1.3, 0.5) == "yes"]
    still = [g for g in groups if incident.movement(quantity, by=by, group=g).up(1.3, 0.5) == "no"]
    said = f"slower in {names(moved) or 'none'}, not in {names(still) or 'none'}"
    evidence = incident.read(quantity).evidence
    if moved and still:
        return Answer("yes", said, evidence)
    if len(moved) + len(still) < len(groups):
        return Answer("unknown", f"{said}; of the others too little is known", evidence)
    return Answer("no", said, evidence)


def always_slow_node(incident: Incident) -> Answer:
    """The pods of one node compute longer than the others for as long as they have been there, from the first on."""
    nodes = incident.history.groups("infer", "node", incident.who())
    levels: dict[str, tuple[float, float]] = {}
    for node in nodes:
        values = incident.values(incident.read("infer", by="node", group=node), "ever")
        if len(values) >= 6:
            ranked = sorted(values)
            least = min(ranked[len(ranked) // 4], *values[:_FIRST_POINTS])
            levels[node] = (least, ranked[len(ranked) // 2])
    if len(levels) < 2:
        return Answer("unknown", "no two nodes to compare")
    slowest = max(levels, key=lambda node: (levels[node][1], node))
    others = sorted(level[1] for node, level in levels.items() if node != slowest)
    usual = others[len(others) // 2]
    said = f"{slowest} takes {amount(levels[slowest][1], 'ms')} in the model per request, the others {amount(usual, 'ms')}"
    return Answer("yes" if levels[slowest][0] > 1.3 * usual else "no", said, incident.read("infer").evidence)


def gpu_busier(incident: Incident) -> Answer:
    """The GPU is busier than what all models here compute explains: an execution that takes twice as long keeps it busy twice as
    long."""
    known = ""
    for name in ("gpu_sm_busy", "gpu_busy"):
        gpu, own = incident.movement(name), incident.movement("computing", "all")
        known = known or gpu.missing or own.missing
        if not (gpu.known and own.known):
            continue
        if not (gpu.before and own.before):  # no number of times as much
            idle = own if gpu.before else gpu
            known = known or f"{idle.quantity.says}: {idle.from_to}"
            continue
        explained = max(1.0, (own.during or 0.0) / own.before)
        said = f"{gpu.quantity.says}: {gpu.from_to}; computed here: {own.from_to}"
        more = (gpu.during or 0.0) > 1.15 * explained * gpu.before and gpu.difference > 0.05
        return Answer("yes" if more else "no", said, gpu.evidence + own.evidence)
    return Answer("unknown", known or "no source tells how busy the GPU is")
