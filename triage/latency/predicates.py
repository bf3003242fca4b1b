"""Questions of the latency tree that need more than a shift, a level or a split: each a plain function of the incident, named in the
tree by its name here. Pure."""

from collections.abc import Callable, Mapping

from triage.answers import Answer, Value
from triage.latency.facts import HpaView, PodPlacements, Statistics
from triage.latency.history import Reading
from triage.latency.incident import Incident, Movement
from triage.latency.kinds import By
from triage.latency.number import amount
from triage.wording import names

_BUSY = 0.85
"""Of all instances: in a queue with random arrivals the wait is then six times the service (M/M/1: rho / (1 - rho))."""
_IDLE = 0.6
_LOST_WAKEUP_MS = (400.0, 650.0)
"""The batcher's fallback wait is 500 ms (triton-inference-server/core:src/dynamic_batch_scheduler.cc, default_wait_microseconds), and
the tail is what it adds to a request."""


def moved(incident: Incident) -> Answer:
    """Did anything that a caller feels get worse?"""
    if incident.onset is not None:
        reading = incident.read(incident.symptom)
        return Answer("yes", f"{incident.quantities[incident.symptom].says} rose", reading.evidence)
    whole = incident.movement("latency")
    if whole.known and whole.before:
        if whole.during and whole.during >= 1.3 * whole.before:
            return Answer("yes", f"{whole.quantity.says}: {_from_to(whole)}", whole.evidence)
        return Answer(
            "unknown",
            f"without a history only the server's life is there to compare with: {_from_to(whole)}",
            whole.evidence,
        )
    readings = [incident.read(name) for name in ("latency", "p99", "gateway_tail", "waiting")]
    seen = [
        reading
        for reading in readings
        if reading.trace is not None and len(incident.values(reading, "ever")) >= 12
    ]
    if seen:
        return Answer("no", incident.no_onset or "nothing rose", tuple(e for r in seen for e in r.evidence))
    return Answer("unknown", incident.no_onset or "nothing was measured for long enough")


def nothing_rose(incident: Incident) -> Answer:
    found = moved(incident)
    flipped: Value = {"yes": "no", "no": "yes", "unknown": "unknown"}[found.value]  # type: ignore[assignment]
    return Answer(flipped, found.because, found.evidence)


def inside(incident: Incident) -> Answer:
    """Is the time that was added spent in Triton?"""
    latency, tail, gateway = (incident.movement(name) for name in ("latency", "p99", "gateway_tail"))
    for one in (latency, tail):
        if one.up(1.3, 0.0) == "yes":
            return Answer("yes", f"{one.quantity.says}: {_from_to(one)}", one.evidence)
    if not latency.known:
        return Answer("unknown", latency.missing, latency.evidence)
    said = f"{latency.quantity.says}: {_from_to(latency)}"
    if tail.known:
        return Answer(
            "no", f"{said}; {tail.quantity.says}: {_from_to(tail)}", latency.evidence + tail.evidence
        )
    grew = gap_grew(incident)
    if gateway.known and grew.value != "yes":
        return Answer("unknown", f"{said}; {grew.because}", latency.evidence)
    return Answer("no", said, latency.evidence)


def ended(incident: Incident) -> Answer:
    if incident.onset is None:
        return Answer("unknown", incident.no_onset or "when it began is not known")
    evidence = incident.read(incident.symptom).evidence
    if incident.onset.ended is not None:
        return Answer("yes", f"{incident.quantities[incident.symptom].says} fell back", evidence)
    return Answer("no", "it has not fallen back", evidence)


def stalled(incident: Incident) -> Answer:
    """Requests wait and none completes, in all pods or in some: by the last points of the window."""
    waiting, done = incident.read("waiting"), incident.read("throughput")
    if waiting.trace is None or done.trace is None:
        return Answer("unknown", waiting.missing or done.missing)
    evidence = waiting.evidence + done.evidence
    pods = incident.history.groups("waiting", "pod", incident.who()) or [""]
    stuck = [pod for pod in pods if _is_stuck(incident, pod)]
    if stuck:
        last = incident.read("waiting", by="pod", group=stuck[0]) if stuck[0] else waiting
        values = [v for v in last.trace.values if v is not None] if last.trace else [0.0]
        where = f" in {names(stuck)}" if stuck[0] else ""
        return Answer("yes", f"{values[-1]:.3g} requests wait and none completes{where}", evidence)
    if len(_last(waiting, 4)) < 3 or len(_last(done, 3)) < 3:
        return Answer("unknown", "the last points of the window are not there", evidence)
    return Answer("no", "requests complete in every pod that has some", evidence)


def _is_stuck(incident: Incident, pod: str) -> bool:
    by: By | None = "pod" if pod else None
    waiting, done = incident.read("waiting", by=by, group=pod), incident.read("throughput", by=by, group=pod)
    waits, completes = _last(waiting, 4), _last(done, 3)
    if len(waits) < 3 or len(completes) < 3 or min(waits) <= 0.5 or max(completes) > 0:
        return False
    return any(value > 0 for value in incident.values(done, "ever"))


def _last(reading: Reading, count: int) -> list[float]:
    return [v for v in reading.trace.values[-count:] if v is not None] if reading.trace else []


def instances_busy(incident: Incident) -> Answer:
    """Are all instances busy all the time?"""
    share, because, evidence = busy(incident)
    if share is None:
        return Answer("unknown", because, evidence)
    return Answer("yes" if share >= _BUSY else "no", because, evidence)


def instances_idle(incident: Incident) -> Answer:
    share, because, evidence = busy(incident)
    if share is None:
        return Answer("unknown", because, evidence)
    return Answer("yes" if share < _IDLE else "no", because, evidence)


def busy(incident: Incident) -> tuple[float | None, str, tuple[str, ...]]:
    """The share of the instances' time in which they compute, while it lasts; with why, and by what. A batch of eight that takes
    100 ms adds 800 ms to the duration counters, so these are divided by the requests of an execution."""
    settings = incident.settings.get(incident.model)
    computing = incident.read("computing")
    values = sorted(incident.values(computing, "during"))
    if not values:
        return None, computing.missing or "what is computed was not measured", computing.evidence
    if settings is None or not settings.instances or settings.parts:
        because = incident.missing("settings") or "how many instances the model has is not known"
        return None, because, computing.evidence
    executions, done = incident.movement("executions").during, incident.movement("throughput").during
    per_execution = max(1.0, done / executions) if executions and done else 1.0
    pods = max(1, len(incident.pods()))
    share = values[len(values) // 2] / per_execution / (settings.instances * pods)
    shown = f"{settings.instances} instance{'s' if settings.instances != 1 else ''} in {pods} pod{'s' if pods != 1 else ''}"
    evidence = (*computing.evidence, f"settings:{incident.model}")
    return share, f"{shown} were busy {min(share, 1):.0%} of the time", evidence


def at_its_ceiling(incident: Incident) -> Answer:
    """More requests wait than before while no more are answered than ever before: work comes faster than it is done."""
    waiting, done = incident.movement("waiting"), incident.movement("throughput")
    if not (waiting.known and done.known):
        return Answer("unknown", waiting.missing or done.missing, waiting.evidence)
    evidence = waiting.evidence + done.evidence
    grows = (waiting.during or 0) >= max(1.0, 2 * (waiting.before or 0))
    said = f"requests that wait: {_from_to(waiting)}; answered: {_from_to(done)}"
    return Answer("yes" if grows and (done.during or 0) > 0 else "no", said, evidence)


def hardware_idle(incident: Incident) -> Answer:
    """The instances are busy, and what they run on is not: the GPU of a model that runs on one, else the CPU of each busy instance."""
    settings = incident.settings.get(incident.model)
    if settings is None:
        return Answer(
            "unknown", incident.missing("settings") or "whether the model runs on a GPU is not known"
        )
    if any("GPU" in kind for kind in settings.instance_kinds):
        for name in ("gpu_sm_busy", "gpu_busy"):
            reading = incident.read(name)
            values = sorted(incident.values(reading, "during"))
            if values:
                value = values[len(values) // 2]
                said = f"{incident.quantities[name].says}: {amount(value, 'share')}"
                return Answer("yes" if value < _IDLE else "no", said, reading.evidence)
        return Answer("unknown", "no source tells how busy the GPU is")
    used, computing = incident.movement("cpu_used"), incident.movement("computing")
    if used.during is None or not computing.during:
        return Answer("unknown", used.missing or computing.missing)
    each = used.during / max(1.0, computing.during)
    said = f"an instance that computes uses {each:.2g} CPU cores"
    return Answer("yes" if each < 0.5 else "no", said, used.evidence + computing.evidence)


def queue_is_the_delay(incident: Incident) -> Answer:
    """The median request waits about as long as the batcher is told to wait for others."""
    settings = incident.settings.get(incident.model)
    if settings is None:
        return Answer("unknown", incident.missing("settings") or "the configuration was not read")
    evidence = (f"settings:{incident.model}",)
    if not settings.max_queue_delay_ms:
        return Answer("no", f"{incident.model} has no queue delay", evidence)
    delay = settings.max_queue_delay_ms
    for name in ("queue_median", "queue"):
        now = incident.movement(name).during
        if now is not None:
            fits = 0.6 * delay <= now <= 1.25 * delay
            said = f"{incident.quantities[name].says} is {amount(now, 'ms')}, and the batcher may wait {amount(delay, 'ms')}"
            return Answer("yes" if fits else "no", said, evidence + incident.read(name).evidence)
    return Answer("unknown", incident.read("queue").missing, evidence)


def half_second_tail(incident: Incident) -> Answer:
    """The tail in the queue stands half a second above the median: the wait after which the batcher looks again by itself."""
    tail, middle = incident.movement("queue_tail"), incident.movement("queue_median")
    if tail.during is None or middle.during is None:
        return Answer("unknown", tail.missing or middle.missing)
    low, high = _LOST_WAKEUP_MS
    said = f"{tail.quantity.says} is {amount(tail.during, 'ms')}, the median {amount(middle.during, 'ms')}"
    excess = tail.during - middle.during
    return Answer("yes" if low <= excess <= high else "no", said, tail.evidence + middle.evidence)


def bursts(incident: Incident) -> Answer:
    """Most requests hardly wait, and some wait long, while there is room on average."""
    tail, middle, whole = (
        incident.movement("queue_tail"),
        incident.movement("queue_median"),
        incident.movement("queue"),
    )
    if tail.during is not None and middle.during is not None:
        said = (
            f"in the queue: 99th percentile {amount(tail.during, 'ms')}, median {amount(middle.during, 'ms')}"
        )
        return Answer(
            "yes" if tail.during > 5 * max(middle.during, 0.2) else "no",
            said,
            tail.evidence + middle.evidence,
        )
    peak, mean = incident.movement("waiting_peak"), incident.movement("waiting")
    if peak.during is not None and mean.during is not None:
        said = f"at most {peak.during:.3g} requests waited at once, {mean.during:.3g} on average"
        return Answer(
            "yes" if peak.during > 4 * max(mean.during, 0.5) else "no", said, peak.evidence + mean.evidence
        )
    return Answer("unknown", tail.missing or peak.missing or whole.missing)


def infer_tail_alone(incident: Incident) -> Answer:
    """Some requests compute for long, and the median does not."""
    tail, middle = incident.movement("infer_tail"), incident.movement("infer_median")
    if not (tail.known and middle.known):
        return Answer("unknown", tail.missing or middle.missing, tail.evidence)
    said = f"{tail.quantity.says}: {_from_to(tail)}; median: {_from_to(middle)}"
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


def failing_in_backend(incident: Incident) -> Answer:
    """Most requests that fail do so in the backend: the reason is on the counter since Triton 24.07."""
    by_reason: dict[str, float] = {}
    evidence: tuple[str, ...] = ()
    for ranges in incident.history.of_measure("failure"):
        evidence += (ranges.id,)
        for series in ranges.facts.series:
            if not incident.model or series.labels.get("model") == incident.model:
                values = incident.within(ranges.facts, series, "during")
                reason = series.labels.get("reason", "")
                by_reason[reason] = by_reason.get(reason, 0.0) + _mean(values)
    total = sum(by_reason.values())
    if not evidence:
        return Answer("unknown", incident.history.missing("failure"))
    if total <= 0:
        return Answer("no", "no request fails in Triton", evidence)
    if set(by_reason) <= {""}:
        return Answer("unknown", "this Triton does not tell why requests fail (since 24.07)", evidence)
    backend = by_reason.get("BACKEND", 0.0) / total
    return Answer(
        "yes" if backend > 0.8 else "no", f"{backend:.0%} of the failures are the backend's", evidence
    )


def a_pod_fails_whole(incident: Incident) -> Answer:
    """In some pod nearly every request fails."""
    share = incident.read("failure_share")
    pods = incident.history.groups("failures", "pod", incident.who())
    if share.trace is None or not pods:
        return Answer("unknown", share.missing or "no source tells one pod from another", share.evidence)
    worst: dict[str, float] = {}
    for pod in pods:
        values = _last(incident.read("failure_share", by="pod", group=pod), 6)
        if values:
            worst[pod] = _mean(values)
    whole = [pod for pod, value in worst.items() if value > 0.9]
    if whole:
        return Answer("yes", f"nearly every request fails in {names(whole)}", share.evidence)
    return Answer("no", "no pod fails nearly every request", share.evidence)


def gateway_sees_errors(incident: Incident) -> Answer:
    """The gateway answers errors that no counter of Triton has."""
    told: dict[str, list[float]] = {"during": [], "before": []}
    evidence: tuple[str, ...] = ()
    for ranges in incident.history.of_measure("gateway_requests"):
        evidence += (ranges.id,)
        for when, values in list(told.items()):
            for series in ranges.facts.series:
                if series.labels.get("code", "").startswith("5"):
                    told[when] = values + incident.within(ranges.facts, series, when)
    if not evidence:
        return Answer("unknown", incident.history.missing("gateway_requests"))
    errors = sum(told["during"]) / max(1, len(told["during"]))
    were = sum(told["before"]) / max(1, len(told["before"]))
    failures = incident.movement("failures", "all").during or 0.0
    said = f"the gateway answers {amount(errors, 'errors/s')} ({amount(were, 'errors/s')} before), Triton counts {amount(failures, 'failures/s')}"
    return Answer("yes" if errors > 2 * failures + 0.05 and errors > 2 * were else "no", said, evidence)


def triton_answers_them_all(incident: Incident) -> Answer:
    """As many requests end well in Triton as come to the gateway, errors included."""
    gateway, triton = incident.read("gateway_traffic"), incident.read("throughput", "all")
    come, done = incident.values(gateway, "during"), incident.values(triton, "during")
    if len(come) < 3 or len(done) < 3:
        return Answer("unknown", gateway.missing or triton.missing or "too few points")
    calm_come, calm_done = incident.values(gateway, "before"), incident.values(triton, "before")
    usual = _mean(calm_done) / _mean(calm_come) if calm_come and calm_done and _mean(calm_come) > 0 else 1.0
    share = _mean(done) / max(_mean(come), 1e-9) / max(usual, 1e-9)
    said = f"of the requests at the gateway Triton answers {min(share, 9.99):.0%} as well as before"
    return Answer("yes" if share > 0.9 else "no", said, gateway.evidence + triton.evidence)


def gap_grew(incident: Incident) -> Answer:
    """The gateway's tail rose, and Triton's did not as much. Where Triton's own tail is not known its mean tells something: if one
    request in a hundred took so much longer in Triton, the mean would have risen by a hundredth of it."""
    gap = incident.movement("gap")
    if gap.known:
        return Answer(gap.up(1.5, 5), f"{gap.quantity.says}: {_from_to(gap)}", gap.evidence)
    tail, latency = incident.movement("gateway_tail"), incident.movement("latency")
    if not (tail.known and latency.known):
        return Answer("unknown", tail.missing or latency.missing, tail.evidence)
    said = f"{tail.quantity.says}: {_from_to(tail)}; {latency.quantity.says}: {_from_to(latency)}"
    evidence = tail.evidence + latency.evidence
    if tail.up(1.3, 5) != "yes":
        return Answer("no", said, evidence)
    noise = _noise(incident.values(incident.read("latency"), "during"))
    if latency.difference + noise < 0.01 * tail.difference:
        return Answer("yes", said, evidence)
    return Answer("unknown", f"{said}; Triton's own tail would tell (summary_latencies=true)", evidence)


def _noise(values: list[float]) -> float:
    """Twice the standard error of the median, by the median absolute deviation."""
    if not values:
        return 0.0
    middle = sorted(values)[len(values) // 2]
    spread = 1.4826 * sorted(abs(value - middle) for value in values)[len(values) // 2]
    return float(2 * spread / len(values) ** 0.5)


def computes_slower(incident: Incident) -> Answer:
    """Time in the model per request rose by more than larger batches explain: every request of a batch waits for the whole of it."""
    infer, batch = incident.movement("infer"), incident.movement("batch")
    if not infer.known or not infer.before:
        return Answer("unknown", infer.missing or "time in the model was zero", infer.evidence)
    ratio = (infer.during or 0.0) / infer.before
    grown = max(1.0, (batch.during or 1.0) / batch.before) if batch.known and batch.before else 1.0
    said = f"{infer.quantity.says}: {_from_to(infer)}"
    if grown > 1.1:
        said += f"; {batch.quantity.says}: {_from_to(batch)}"
    slower = ratio > 1.3 * grown and infer.difference > 0.5
    return Answer("yes" if slower else "no", said, infer.evidence + batch.evidence)


def even_traffic(incident: Incident) -> Answer:
    """The requests that were added come more evenly than any crowd of independent callers would send them (whose counts vary by
    their square root), which is how a load generator sends."""
    traffic = incident.read("gateway_traffic")
    now = incident.values(traffic, "during")
    moved = incident.movement("gateway_traffic")
    if len(now) < 6 or not moved.known or not moved.before:
        return Answer(
            "unknown", traffic.missing or moved.missing or "too few points since it began", traffic.evidence
        )
    if (moved.during or 0) < 1.3 * moved.before:
        return Answer("no", f"{moved.quantity.says}: {_from_to(moved)}", traffic.evidence)
    waiting = incident.values(incident.read("waiting", "all"), "during")
    if waiting and _mean(waiting[len(waiting) // 2 :]) > max(2.0, 1.2 * _mean(waiting[: len(waiting) // 2])):
        # What a full server answers is even by itself, and gateways count what was answered.
        return Answer(
            "unknown", "requests pile up, so what is answered does not show how they come", traffic.evidence
        )
    # Two points apart, so that their windows do not overlap; and differences, so that a slow drift is no variation.
    apart = max(1, round(traffic.smear / traffic.trace.step)) if traffic.trace else 1
    steps = sorted(abs(late - early) for early, late in zip(now, now[apart:], strict=False))
    if len(steps) < 4:
        return Answer("unknown", "too few points since it began", traffic.evidence)
    spread = (
        1.4826 * steps[len(steps) // 2] * (traffic.smear or (traffic.trace.step if traffic.trace else 1.0))
    )
    mean = _mean(now) * (traffic.smear or (traffic.trace.step if traffic.trace else 1.0))
    dispersion = spread**2 / 2 / max(mean, 1e-9)
    said = f"{moved.quantity.says}: {_from_to(moved)}, varying by {dispersion:.2g} times what independent callers would"
    return Answer("yes" if dispersion < 0.5 else "no", said, traffic.evidence)


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
        return Answer("yes", f"{name}: {movement.quantity.says} {_from_to(movement)}", movement.evidence)
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


def hpa_at_max(incident: Incident) -> Answer:
    for evidence, hpa in incident.facts(HpaView):
        limited = [
            c
            for c in hpa.conditions
            if c.type == "ScalingLimited" and c.status == "True" and c.reason == "TooManyReplicas"
        ]
        full = hpa.desired >= hpa.max_replicas
        said = f"{hpa.name} wants {hpa.desired} of at most {hpa.max_replicas} replicas"
        return Answer("yes" if full or limited else "no", said, (evidence.id,))
    reading = incident.read("hpa_room")
    values = incident.values(reading, "during")
    if values:
        room = sorted(values)[len(values) // 2]
        return Answer(
            "yes" if room <= 0 else "no",
            f"{room:g} replicas up to the autoscaler's maximum",
            reading.evidence,
        )
    return Answer("unknown", incident.missing("hpa") or "no source tells of an autoscaler")


def hpa_blind(incident: Incident) -> Answer:
    for evidence, hpa in incident.facts(HpaView):
        for condition in hpa.conditions:
            if condition.type in ("ScalingActive", "AbleToScale") and condition.status == "False":
                return Answer("yes", f"{hpa.name}: {condition.reason}: {condition.message}", (evidence.id,))
        return Answer("no", f"{hpa.name} gets its metrics", (evidence.id,))
    return Answer("unknown", incident.missing("hpa") or "no autoscaler was seen")


def hpa_flapping(incident: Incident) -> Answer:
    """The replicas that are to run went down and up again, several times."""
    reading = incident.read("replicas_wanted")
    values = [v for v in reading.trace.values if v is not None] if reading.trace else []
    if len(values) < 12:
        return Answer("unknown", reading.missing or "too few points of the wanted replicas", reading.evidence)
    swing = max(1.0, 0.15 * sorted(values)[len(values) // 2])
    turns = _swings(values, swing)
    said = f"the wanted replicas went up and down {turns // 2} times by {swing:.2g} or more"
    return Answer("yes" if turns >= 4 else "no", said, reading.evidence)


def _swings(values: list[float], least: float) -> int:
    """Turns between rises and falls of at least so much (a zigzag of that threshold)."""
    turns, low, high, direction = 0, values[0], values[0], 0
    for value in values[1:]:
        low, high = min(low, value), max(high, value)
        if direction >= 0 and high - value >= least:
            turns, direction, low, high = turns + 1, -1, value, value
        elif direction <= 0 and value - low >= least:
            turns, direction, low, high = turns + 1, 1, value, value
    return turns


def hpa_late(incident: Incident) -> Answer:
    """More replicas were wanted than were ready, for a while after it began, and they came."""
    ready, wanted = incident.read("replicas_ready"), incident.read("replicas_wanted")
    if ready.trace is None or incident.onset is None:
        return Answer("unknown", ready.missing or "when it began is not known")
    before, ever = incident.values(ready, "before"), incident.values(ready, "ever")
    asked = incident.values(wanted, "during") or incident.values(wanted, "ever")[-6:]
    there = incident.values(ready, "during") or ever[-6:]
    if not before or not ever or not asked or not there:
        return Answer("unknown", wanted.missing or "too few points of the replicas", ready.evidence)
    lagging = sum(1 for want, have in zip(asked, there, strict=False) if want > 1.1 * have)
    said = f"ready replicas: {before[-1]:g} when it began, {ever[-1]:g} at the end; for {lagging} points fewer than wanted"
    evidence = ready.evidence + wanted.evidence
    return Answer("yes" if lagging >= 3 and max(asked) > before[-1] else "no", said, evidence)


def pods_wait_for_a_node(incident: Incident) -> Answer:
    for evidence, facts in incident.facts(PodPlacements):
        stuck = [pod for pod in facts.pods if pod.unschedulable]
        if stuck:
            return Answer("yes", f"{stuck[0].pod}: {stuck[0].unschedulable}", (evidence.id,))
        return Answer("no", "every pod has a node", (evidence.id,))
    reading = incident.read("pods_pending")
    values = incident.values(reading, "during")
    if values:
        most = sorted(values)[len(values) // 2]
        return Answer("yes" if most >= 1 else "no", f"{most:g} pods pending", reading.evidence)
    return Answer("unknown", incident.missing("placements") or reading.missing)


def out_of_memory(incident: Incident) -> Answer:
    """A Triton was killed for memory within the window."""
    asked = incident.snapshot.asked
    for evidence, facts in incident.facts(PodPlacements):
        for pod in facts.pods:
            recent = pod.ended_at is None or asked.start is None or pod.ended_at >= asked.start
            if pod.ended_by == "OOMKilled" and recent:
                return Answer("yes", f"Triton in {pod.pod} was killed for memory", (evidence.id,))
        return Answer("no", "no Triton was killed for memory", (evidence.id,))
    return Answer("unknown", incident.missing("placements"))


def usual_for_this_hour(incident: Incident) -> Answer:
    """The same hours of yesterday or a week ago look the same."""
    now = incident.movement(incident.symptom or "latency", "all" if not incident.model else "model")
    if now.during is None:
        return Answer("unknown", now.missing)
    seen = False
    for ago, when in (("1d", "a day ago"), ("7d", "a week ago")):
        past = incident.history.read(incident.symptom or "latency", incident.who(), ago)
        if past.trace is None:
            continue
        shifted = [v for v in incident.then(past.trace, ago) if v is not None]
        if len(shifted) >= 3:
            seen = True
            level = sorted(shifted)[len(shifted) // 2]
            if level >= now.during / 1.2 and (now.before is None or level > 1.3 * now.before):
                said = f"{now.quantity.says} was {amount(level, now.quantity.unit)} at this time {when}, {amount(now.during, now.quantity.unit)} now"
                return Answer("yes", said, now.evidence + past.evidence)
    if seen:
        return Answer("no", "at this time of earlier days it was lower", now.evidence)
    return Answer("unknown", "there is no history of this hour on earlier days")


def drifts(incident: Incident) -> Answer:
    """What waits climbs and climbs, while less and less is executed."""
    waiting, done = incident.read("waiting"), incident.read("executions")
    now, work = incident.values(waiting, "during"), incident.values(done, "during")
    if len(now) < 6 or len(work) < 6:
        return Answer("unknown", waiting.missing or done.missing or "too few points since it began")
    half = len(now) // 2
    climbs = _mean(now[half:]) > 1.5 * _mean(now[:half]) and _mean(now[half:]) > 1
    decays = _mean(work[len(work) // 2 :]) < 0.9 * _mean(work[: len(work) // 2])
    said = f"waiting {_mean(now[:half]):.3g} then {_mean(now[half:]):.3g}; executions {_mean(work[: len(work) // 2]):.3g}/s then {_mean(work[len(work) // 2 :]):.3g}/s"
    return Answer("yes" if climbs and decays else "no", said, waiting.evidence + done.evidence)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


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


def _from_to(moved: Movement) -> str:
    unit = moved.quantity.unit
    return f"{amount(moved.before, unit)} before, {amount(moved.during, unit)} during"


PREDICATES: Mapping[str, Callable[[Incident], Answer]] = {
    function.__name__: function
    for function in (
        moved,
        nothing_rose,
        inside,
        ended,
        stalled,
        instances_busy,
        instances_idle,
        at_its_ceiling,
        hardware_idle,
        queue_is_the_delay,
        half_second_tail,
        bursts,
        infer_tail_alone,
        rare_batch_size,
        failing_in_backend,
        a_pod_fails_whole,
        gateway_sees_errors,
        triton_answers_them_all,
        gap_grew,
        computes_slower,
        even_traffic,
        a_part_moved,
        version_is_slower,
        new_pods_slow,
        hpa_at_max,
        hpa_blind,
        hpa_flapping,
        hpa_late,
        pods_wait_for_a_node,
        out_of_memory,
        usual_for_this_hour,
        drifts,
        one_node_alone,
        always_slow_node,
    )
}
