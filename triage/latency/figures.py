"""The incident's own numbers for its mitigations: how many replicas, how much delay, how many requests at once. Pure."""

import json
import math
from collections.abc import Mapping

from triage.cluster_views import HpaView, PodPlacements, Rollouts
from triage.latency.history import Reading
from triage.latency.incident import Incident
from triage.latency.number import amount
from triage.latency.predicates.callers import caller
from triage.latency.predicates.computing import slowest_part
from triage.latency.predicates.gpus import slow_gpus
from triage.latency.predicates.mixes import crowding
from triage.latency.predicates.neighbours import cpu_neighbour, gpu_neighbours
from triage.latency.predicates.sizes import larger_requests
from triage.latency.predicates.warm_path import warm_path
from triage.owner import freeze_command, undo_command
from triage.wording import names

COMFORTABLE = 0.7
"""Of the instances' time: a queue with random arrivals then waits about twice the service time (M/M/1: rho / (1 - rho))."""


def figures(incident: Incident) -> Mapping[str, str]:
    """What may be filled into an action; what is not known is not there."""
    found: dict[str, str | None] = {
        "model": incident.model,
        "namespace": incident.snapshot.asked.namespace,
        **_workload(incident),
        **_capacity(incident),
        **_delay(incident),
        **_places(incident),
        **_versions(incident),
        "latency_query": _latency_query(incident),
        "warm_path": warm_path(incident),
    }
    return {name: value for name, value in found.items() if value}


def _workload(incident: Incident) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for _, rollouts in incident.facts(Rollouts):
        found["workload"] = rollouts.workload
        found["replicas"] = str(rollouts.replicas) if rollouts.replicas is not None else None
        if rollouts.revisions:
            found["revision"] = str(rollouts.revisions[-1].number)
        found["freeze"] = freeze_command(rollouts, incident.snapshot.asked.namespace)
        found["undo_rollout"] = undo_command(rollouts, incident.snapshot.asked.namespace)
    for _, hpa in incident.facts(HpaView):
        found |= {"hpa": hpa.name, "hpa_max": str(hpa.max_replicas)}
    if not found.get("replicas") and incident.pods():
        found["replicas"] = str(len(incident.pods()))
    target = incident.snapshot.asked.target
    if "workload" not in found and "/" in target:
        found["workload"] = target
    return found


def _capacity(incident: Incident) -> dict[str, str | None]:
    """Replicas for the requests that come now, by Little's law: requests in service = arrivals x service time, spread over
    instances that are to be busy for a comfortable share of the time. Arrivals: what is answered, and the growth of what waits."""
    settings = incident.settings.get(incident.model)
    compute = incident.movement("compute").during
    arrivals = arriving(incident)
    executions, done = incident.movement("executions").during, incident.movement("throughput").during
    if not (settings and settings.instances and compute and arrivals):
        return {}
    per_execution = max(1.0, done / executions) if executions and done else 1.0
    busy = arrivals * compute / 1000 / per_execution
    pods = max(1, len(incident.pods()))  # not those that a rollout has replaced
    needed = max(math.ceil(busy / (settings.instances * COMFORTABLE)), pods)
    found: dict[str, str | None] = {
        "replicas_needed": str(needed),
        "max_in_flight": str(max(1, math.floor(pods * settings.instances * per_execution))),
    }
    for _, hpa in incident.facts(HpaView):
        if needed > hpa.max_replicas:  # a patch to less would take replicas away
            found["hpa_patch"] = json.dumps({"spec": {"maxReplicas": needed}})
    return found


def arriving(incident: Incident) -> float | None:
    """Requests a second that come now, those included that pile up."""
    done = incident.movement("throughput").during
    if done is None:
        return None
    waiting = incident.read("waiting")
    growth = 0.0
    if waiting.trace is not None:
        low, high = incident.during
        there = [(at, value) for at, value in waiting.trace.present() if low + waiting.smear <= at <= high]
        if len(there) >= 4:
            (first, was), (last, now) = there[0], there[-1]
            growth = max(0.0, (now - was) / (last - first))
    return done + growth


def _delay(incident: Incident) -> dict[str, str | None]:
    """The batcher need not wait longer than a tenth of the time of computing: a full batch forms by itself under load. Half of
    what it waits where the time of computing is not known."""
    settings = incident.settings.get(incident.model)
    if settings is None or not settings.max_queue_delay_ms:
        return {}
    infer = incident.movement("infer").during
    half = settings.max_queue_delay_ms / 2
    needed = half if infer is None else min(half, infer / 10)
    return {"delay": amount(settings.max_queue_delay_ms, "ms"), "delay_needed": amount(needed, "ms")}


def _places(incident: Incident) -> dict[str, str | None]:
    """The node and the pod that stand out, by the time in the model per request; before these a pod that answers nothing."""
    found: dict[str, str | None] = {}
    for by in ("node", "pod"):
        groups = incident.history.groups("infer", by, incident.who())
        levels: dict[str, float] = {}
        for group in groups:
            movement = incident.movement("infer", by=by, group=group)
            if movement.during is not None:
                levels[group] = movement.during
        if len(levels) > 1:
            found[by] = max(levels, key=lambda group: (levels[group], group))
        elif len(groups) == 1:
            found[by] = groups[0]
    for _, placements in incident.facts(PodPlacements):
        stuck = [pod.pod for pod in placements.pods if pod.unschedulable or pod.ended_by == "OOMKilled"]
        if stuck:
            found["pod"] = stuck[0]
    if silent := _silent_pod(incident):
        found["pod"] = silent
    if neighbour := cpu_neighbour(incident):
        found |= {"neighbour": neighbour.name, "node": neighbour.place}
    if sharers := gpu_neighbours(incident):
        came = [sharer for sharer in sharers if sharer.before == 0] or sharers
        found["gpu_neighbour"] = names([sharer.name for sharer in came])
    slow = slow_gpus(incident)
    if len({one.device.node for one in slow} - {""}) == 1:  # a command is for one node
        found["slow_gpu"] = names([one.device.name for one in slow])
        found["gpu_node"] = next(one.device.node for one in slow if one.device.node)
    if other := crowding(incident):
        found |= {"other_model": other.model, "other_model_load": other.from_to}
    if sender := caller(incident):
        found |= {"caller": sender.name, "caller_load": sender.from_to}
    if larger := larger_requests(incident):
        unit = larger.quantity.unit
        found["larger_by"] = f"from {amount(larger.before, unit)} to {amount(larger.during, unit)}"
    if part := slowest_part(incident):
        found["part"] = part[0]
    triton = next(
        (e.source.removeprefix("Triton at ") for e in incident.snapshot.evidence if e.probe == "index"), ""
    )
    found["triton"] = triton
    return found


def _silent_pod(incident: Incident) -> str:
    """The pod in which requests wait or fail and none ends well any more, where they did; its time per request is not known."""
    for pod in incident.history.groups("throughput", "pod", incident.who()):
        done = incident.read("throughput", by="pod", group=pod)
        if any(incident.values(done, "ever")) and not any(_last(done) or [1.0]):
            troubles = (incident.read(name, by="pod", group=pod) for name in ("waiting", "failures"))
            if any(min(_last(trouble), default=0.0) > 0 for trouble in troubles):
                return pod
    return ""


def _last(reading: Reading) -> list[float]:
    """What is known at the window's last three steps."""
    return [value for value in reading.trace.values[-3:] if value is not None] if reading.trace else []


def _versions(incident: Incident) -> dict[str, str | None]:
    versions = incident.history.groups("infer", "version", incident.who())
    born: list[tuple[int, int, str]] = []
    for version in versions:
        trace = incident.read("throughput", by="version", group=version).trace
        there = [i for i, v in enumerate(trace.values) if v] if trace else []
        if there:
            born.append((there[0], int(version) if version.isdecimal() else 0, version))
    if len(born) < 2:
        return {}
    born.sort()
    return {"old_version": born[-2][2], "new_version": born[-1][2]}


def _latency_query(incident: Incident) -> str | None:
    """PromQL of the mean time per request: it needs no option of Triton's."""
    if not incident.model:
        return None
    name = incident.model.replace("\\", "\\\\").replace('"', '\\"')
    chosen = f'{{model="{name}"}}'
    return (
        f"sum(rate(nv_inference_request_duration_us{chosen}[1m]))"
        f" / sum(rate(nv_inference_request_success{chosen}[1m])) / 1000"
    )
