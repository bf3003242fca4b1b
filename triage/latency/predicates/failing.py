"""What fails, and what only the gateway sees. Pure."""

from triage.answers import Answer
from triage.latency.incident import Incident
from triage.latency.kinds import By
from triage.latency.points import last, mean
from triage.latency.predicates.gpu_devices import devices, group_of, unmapped_pods
from triage.wording import names

_FEW_ERRORS = 0.05
"""A second: fewer are nobody's incident."""


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
                by_reason[reason] = by_reason.get(reason, 0.0) + mean(values)
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
        values = last(incident.read("failure_share", by="pod", group=pod), 6)
        if values:
            worst[pod] = mean(values)
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
    said = f"the gateway answers {errors:.3g} errors/s ({were:.3g} before)"
    retries, latency = incident.movement("gateway_retries"), incident.movement("latency")
    triton = incident.movement("failures", "all")
    if triton.during is None and not incident.history.has_none("failure"):
        if errors <= _FEW_ERRORS and retries.up(2, 0.05) != "yes":
            return Answer("no", said, evidence)
        why = triton.missing or "too few points"
        return Answer("unknown", f"{said}; how many requests fail in Triton is not known: {why}", evidence)
    failures = triton.during or 0.0
    evidence += triton.evidence
    said += f", Triton counts {failures:.3g} failures/s"
    if errors > 2 * failures + _FEW_ERRORS and errors > 2 * were:
        return Answer("yes", said, evidence)
    if (
        retries.up(2, 0.05) == "yes"
        and (retries.during or 0) > 2 * failures
        and latency.flat(1.3, 1) == "yes"
    ):
        said = f"{said}; it retries {retries.during:.3g} requests/s, and none is slow"
        return Answer("yes", said, evidence + retries.evidence)
    return Answer("no", said, evidence)


def triton_answers_them_all(incident: Incident) -> Answer:
    """As many requests end well in Triton as come to the gateway, errors included."""
    gateway, triton = incident.read("gateway_traffic"), incident.read("throughput", "all")
    come, done = incident.values(gateway, "during"), incident.values(triton, "during")
    if len(come) < 3 or len(done) < 3:
        return Answer("unknown", gateway.missing or triton.missing or "too few points")
    calm_come, calm_done = incident.values(gateway, "before"), incident.values(triton, "before")
    evidence = gateway.evidence + triton.evidence
    if not (calm_come and calm_done and mean(calm_come) > 0 and mean(calm_done) > 0):
        said = "what part of the requests at the gateway Triton answered before it began is not known"
        return Answer("unknown", said, evidence)
    if mean(come) <= 0:
        return Answer("unknown", "no requests come to the gateway", evidence)
    share = mean(done) / mean(come) / (mean(calm_done) / mean(calm_come))
    said = f"of the requests at the gateway Triton answers {min(share, 9.99):.0%} as well as before"
    return Answer("yes" if share > 0.9 else "no", said, evidence)


def gap_grew(incident: Incident) -> Answer:
    """The gateway's tail rose, and Triton's did not as much. Where Triton's own tail is not known its mean tells something: if one
    request in a hundred took so much longer in Triton, the mean would have risen by a hundredth of it."""
    gap = incident.movement("gap")
    if gap.known:
        return Answer(gap.up(1.5, 5), f"{gap.quantity.says}: {gap.from_to}", gap.evidence)
    tail, latency = incident.movement("gateway_tail"), incident.movement("latency")
    if not (tail.known and latency.known):
        return Answer("unknown", tail.missing or latency.missing, tail.evidence)
    said = f"{tail.quantity.says}: {tail.from_to}; {latency.quantity.says}: {latency.from_to}"
    evidence = tail.evidence + latency.evidence
    if tail.up(1.3, 5) != "yes":
        return Answer("no", said, evidence)
    noise = _noise(incident.values(incident.read("latency"), "during"))
    if latency.difference + noise < 0.01 * tail.difference:
        return Answer("yes", said, evidence)
    return Answer("unknown", f"{said}; Triton's own tail would tell (summary_latencies=true)", evidence)


def order_holds(incident: Incident) -> Answer:
    """Answers keep the order of requests, so that a slow one holds those that are ready behind it, and callers wait longer than
    Triton's own tail."""
    gap, settings = gap_grew(incident), incident.settings.get(incident.model)
    if settings is not None and not settings.preserve_ordering:
        return Answer(
            "no", f"{incident.model} does not keep the order", incident.settings_ids(incident.model)
        )
    if settings is None and gap.value != "no":
        return Answer(
            "unknown", incident.missing("settings") or "whether answers keep the order is not known"
        )
    return gap


def _noise(values: list[float]) -> float:
    """Twice the standard error of the median, by the median absolute deviation."""
    if not values:
        return 0.0
    middle = sorted(values)[len(values) // 2]
    spread = 1.4826 * sorted(abs(value - middle) for value in values)[len(values) // 2]
    return float(2 * spread / len(values) ** 0.5)


_BY_GPU: tuple[By, ...] = ("gpu", "pod")
_FULL = 0.97


def a_gpu_is_full(incident: Incident) -> Answer:
    """Some GPU of ours has no memory left. Where nobody tells whose the nodes' GPUs are, only what all of them show is surely
    ours."""
    known = {group_of(device): device for device in devices(incident)}
    evidence: dict[str, tuple[str, ...]] = {}
    full: dict[str, float] = {}
    for name in ("gpu_memory_share", "gpu_device_memory_share"):
        for by in _BY_GPU:
            for group in incident.history.groups(name, by, incident.who("all")):
                reading = incident.read(name, "all", by=by, group=group)
                values = sorted(incident.values(reading, "during"))
                if values:
                    evidence[group] = reading.evidence
                if values and (middle := values[len(values) // 2]) > _FULL:
                    full[group] = middle
    ours = [group for group in full if group not in known or known[group].held]
    if full and (ours or full.keys() >= known.keys()):
        group = (ours or list(full))[0]
        where = known[group].name if group in known else group
        return Answer("yes", f"{full[group]:.0%} of the GPU's memory is in use in {where}", evidence[group])
    if full:
        where = names([known[group].name for group in full])
        said = f"memory is full in {where}; whose GPU that is, no source tells"
        return Answer("unknown", said, tuple(dict.fromkeys(one for group in full for one in evidence[group])))
    if not evidence:
        return Answer("unknown", incident.read("gpu_memory_share", "all").missing)
    blind = [device.name for group, device in known.items() if device.held and group not in evidence]
    if blind := blind + [f"pod {pod}'s GPU" for pod in unmapped_pods(incident) if pod not in evidence]:
        return Answer("unknown", f"no source tells how full {names(blind)} is while it lasts")
    told = dict.fromkeys(one for ids in evidence.values() for one in ids)
    return Answer("no", "every GPU has memory left", tuple(told))


def gateway_adds_it(incident: Incident) -> Answer:
    """What callers wait more is the gateway's own: its wait for Triton grew by less than a third of it."""
    share, said, evidence = _behind_the_gateway(incident)
    if share is None or 0.3 <= share <= 0.6:
        return Answer("unknown", said, evidence)
    return Answer("yes" if share < 0.3 else "no", said, evidence)


def behind_the_gateway(incident: Incident) -> Answer:
    """What callers wait more is spent behind the gateway: its wait for Triton grew by most of it."""
    share, said, evidence = _behind_the_gateway(incident)
    if share is None or 0.3 <= share <= 0.6:
        return Answer("unknown", said, evidence)
    return Answer("yes" if share > 0.6 else "no", said, evidence)


def _behind_the_gateway(incident: Incident) -> tuple[float | None, str, tuple[str, ...]]:
    tail, upstream = incident.movement("gateway_tail"), incident.movement("upstream_tail")
    if not (tail.known and upstream.known):
        return None, tail.missing or upstream.missing, tail.evidence
    said = f"{tail.quantity.says}: {tail.from_to}; {upstream.quantity.says}: {upstream.from_to}"
    evidence = tail.evidence + upstream.evidence
    both = [incident.read(name).trace for name in ("gateway_tail", "upstream_tail")]
    if both[0] == both[1]:  # Istio's servers alone, Traefik without its routers: one series stands for both
        return None, f"{said}: one series tells both, and so not where callers wait", evidence
    return (upstream.difference / tail.difference if tail.difference > 0 else None), said, evidence
