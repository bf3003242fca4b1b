"""Who else is on the hardware: the pod that took a node's CPU, and the pod that holds the same GPU. Pure.

Prometheus may see one namespace alone: that nobody is seen is then no answer."""

from collections.abc import Iterator
from dataclasses import dataclass

from triage.answers import Answer
from triage.gpu_errors import problems_of
from triage.gpus import Device, device_key, is_ours
from triage.latency.facts import Ranges, Series
from triage.latency.history import owner_by_name
from triage.latency.incident import Incident
from triage.latency.number import amount
from triage.latency.points import median
from triage.latency.predicates.computing import slower_nodes
from triage.latency.predicates.gpu_devices import devices, own_holders, own_pods, told
from triage.wording import names

_LEAST_CORES = 0.2
"""A smaller gain slows nobody."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    namespace: str
    pod: str
    place: str
    """Its node, or its GPU."""
    before: float | None
    """Cores, or share of the time in which the GPU was busy; 0 where it was not there, None where it is not known."""
    during: float
    evidence: str

    @property
    def gained(self) -> float:
        return self.during - self.before if self.before is not None else 0.0

    @property
    def name(self) -> str:
        """As `prod/batch-7c5d8b9f6d-x2v9k (workload batch)`; the workload where the pod's name tells it."""
        whole = f"{self.namespace}/{self.pod}" if self.namespace else self.pod
        owner = owner_by_name(self.pod)
        return f"{whole} (workload {owner})" if owner else whole


def cpu_neighbour_seen(incident: Incident) -> Answer:
    """Another pod on the nodes that became slow uses more CPU than before."""
    nodes = slower_nodes(incident)
    if incident.onset is None or not nodes:
        return Answer("unknown", "on which node the pods became slow is not known")
    seen = list(_neighbours(incident, "neighbour_cpu"))
    there = [one for one in seen if one.place in nodes]
    if not there:
        told = f"of the other pods on {names(nodes)} none is seen"
        return Answer("unknown", told if seen else _unseen(incident, "neighbour_cpu"))
    evidence = (there[0].evidence,)
    if found := cpu_neighbour(incident):
        said = f"{found.name} on {found.place}: {amount(found.before, 'cores')} before, {amount(found.during, 'cores')} during"
        return Answer("yes", said, evidence)
    spaces = {one.namespace for one in seen}
    if spaces == {incident.snapshot.asked.namespace}:
        return Answer("unknown", f"only pods of namespace {spaces.pop()} are seen", evidence)
    if blind := [node for node in nodes if any(one.place == node and one.before is None for one in there)]:
        said = f"how much CPU other pods on {names(blind)} used before it began is not known"
        return Answer("unknown", said, evidence)
    said = f"of the {len(there)} largest other pods on {names(nodes)} none uses much more CPU than before"
    return Answer("no", f"{said}: it may be a process of the node's own", evidence)


def cpu_neighbour(incident: Incident) -> Neighbour | None:
    """The pod of others that gained most CPU on the nodes that became slow."""
    nodes = slower_nodes(incident)
    there = [one for one in _neighbours(incident, "neighbour_cpu") if one.place in nodes]
    gained = [one for one in there if one.gained > max(_LEAST_CORES, 0.3 * (one.before or 0.0))]
    return max(gained, key=lambda one: (one.gained, one.name), default=None)


def gpu_neighbour_seen(incident: Incident) -> Answer:
    """Another pod holds a GPU of ours."""
    found = gpu_neighbours(incident)
    if found:
        first, *others = found
        since = ", and did not before" if first.before == 0 else ""
        more = f"; so do others: {names([other.name for other in others])}" if others else ""
        return Answer("yes", f"{first.name} holds {first.place} too{since}{more}", (first.evidence,))
    ours = devices(incident)
    if ours and all(_all_holders_told(incident, device) for device in ours):
        said = f"nobody else holds {names([device.name for device in ours])}"
        if any(len(device.held) > len(own_holders(incident, device)) for device in ours):
            said = f"nobody else held {names([device.name for device in ours])} while these pods did"
        return Answer("no", said, tuple(dict.fromkeys(one for device in ours for one in device.evidence)))
    because = _unseen(incident, "gpu_holders")
    if any(facts.measure == "gpu_holders" and facts.series for _, facts in incident.facts(Ranges)):
        because = (
            "of pods that share a GPU dcgm-exporter names one, unless KUBERNETES_VIRTUAL_GPUS=true;"
            " triton-gpu-agent names all"
        )
    return Answer("unknown", because)


def _all_holders_told(incident: Incident, device: Device) -> bool:
    """The kubelet tells triton-gpu-agent all of them, and did so to the end."""
    told_of = [facts for _, facts in incident.facts(Ranges) if facts.measure == "gpu_holders"]
    if not device.watched or not device.held or not told_of:
        return False
    end = min(incident.during[1], max(facts.start + (facts.steps - 1) * facts.step for facts in told_of))
    hidden = any(one.hides_holders and one.node == device.node for one in problems_of(told(incident)))
    return not hidden and device.seen_until >= end - device.grain


def gpu_neighbours(incident: Incident) -> list[Neighbour]:
    """Pods of others that hold a GPU of ours while it lasts: who came with it before who was there."""
    held = sorted(
        _neighbours(incident, "gpu_holders"), key=lambda one: (one.before != 0, -one.during, one.name)
    )
    return list({one.name: one for one in reversed(held)}.values())[::-1]  # one may hold several


def _neighbours(incident: Incident, measure: str) -> Iterator[Neighbour]:
    """The pods of others that the measure is known of, while it lasts."""
    own = own_pods(incident)
    asked = incident.snapshot.asked.namespace
    gpus = {device.key: device for device in devices(incident)} if measure == "gpu_holders" else {}
    for evidence, ranges in incident.facts(Ranges):
        if ranges.measure != measure or evidence.probe != "platform":
            continue
        told_before = {
            _place(measure, series) for series in ranges.series if incident.within(ranges, series, "before")
        }
        for series in ranges.series:
            namespace, pod = series.labels.get("namespace", ""), series.labels.get("pod", "")
            during = median(incident.within(ranges, series, "during"))
            if not pod or during is None or is_ours((namespace, pod), own, asked):
                continue
            # An idle GPU is held all the same; of a pod that has no series the exporter says that it is not there.
            known = incident.within(ranges, series, "before") if incident.onset else []
            untold = _place(measure, series) not in told_before
            there = measure == "gpu_holders" and bool(known)
            before = None if incident.onset is None or untold or there else median(known) or 0.0
            place = series.labels.get("node", "")
            if measure == "gpu_holders":
                device = gpus.get(device_key(series.labels))
                ours = own_holders(incident, device) if device else []
                if device and ours and not device.together((namespace, pod), ours):
                    continue  # it took what ours had given up, or gave it up to ours
                place = device.name if device else series.labels.get("gpu", "")
            yield Neighbour(namespace, pod, place, before, during, evidence.id)


def _place(measure: str, series: Series) -> tuple[str, ...]:
    """What is told of as a whole, so that who has no series there is not there."""
    return device_key(series.labels) if measure == "gpu_holders" else (series.labels.get("node", ""),)


def _unseen(incident: Incident, measure: str) -> str:
    for one in incident.snapshot.evidence:
        if one.missing and one.id == f"platform/{measure}":
            return one.missing.remedy
    return incident.history.missing(measure)
