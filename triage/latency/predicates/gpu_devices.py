"""The GPUs that are known of in an incident, and whose they are as far as that is told. Pure."""

from triage.cluster_views import PodPlacements
from triage.gpus import PAGE_TOTAL, PAGE_USED, Device, Holder, Told, find_devices, is_ours
from triage.latency.facts import Ranges
from triage.latency.incident import Incident

_PAGES = ("triton", "capture")


def devices(incident: Incident) -> list[Device]:
    """Those that the exporters tell of, and those that the Tritons' own pages name."""
    return incident.once("gpu devices", lambda: _devices(incident))


def _devices(incident: Incident) -> list[Device]:
    pages = [
        (one.id, ranges)
        for one, ranges in incident.facts(Ranges)
        if one.probe in _PAGES and ranges.measure in (PAGE_USED, PAGE_TOTAL)
    ]
    return find_devices([*told(incident), *pages])


def told(incident: Incident) -> list[Told]:
    """What the exporters of GPUs told, by the id of its evidence."""
    return [(one.id, ranges) for one, ranges in incident.facts(Ranges) if one.probe == "platform"]


def has_gpus(incident: Incident) -> bool:
    """Whether any source tells that there is a GPU, or may be: a series, limits, a resource claim, or the kind of an instance."""
    if any(ranges.measure.startswith("gpu_") and ranges.series for _, ranges in incident.facts(Ranges)):
        return True
    if any(pod.gpus != 0 for _, placed in incident.facts(PodPlacements) for pod in placed.pods):
        return True
    return any("KIND_GPU" in settings.instance_kinds for settings in incident.settings.values())


def unmapped_pods(incident: Incident) -> list[str]:
    """Pods in question that were given a GPU, or may have been by a claim, and run, and of which no source tells which one."""
    holding = {pod for device in devices(incident) for _, pod in own_holders(incident, device)}
    placed = (pod for _, facts in incident.facts(PodPlacements) for pod in facts.pods)
    return sorted({pod.pod for pod in placed if pod.gpus != 0 and pod.started_at is not None} - holding)


def own_pods(incident: Incident) -> set[str]:
    """The pods that were asked about."""
    placed = {pod.pod for _, facts in incident.facts(PodPlacements) for pod in facts.pods}
    return placed | set(incident.history.groups("throughput", "pod", incident.who("all")))


def own_holders(incident: Incident, device: Device) -> list[Holder]:
    """Those of its holders that were asked about."""
    own, asked = own_pods(incident), incident.snapshot.asked.namespace
    return [holder for holder in device.held if is_ours(holder, own, asked)]


def group_of(device: Device) -> str:
    """As `History` names it."""
    return "/".join(filter(None, device.key))
