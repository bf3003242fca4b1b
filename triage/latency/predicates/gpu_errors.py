"""Whether a GPU of ours had errors: XID errors of the driver, or one that its node's agent cannot see. Pure.

None is said only of what was watched while it lasted."""

from collections.abc import Iterator, Sequence

from triage.answers import Answer
from triage.cluster_views import PodPlacements
from triage.gpu_errors import XidSeen, problems_of, xids_seen
from triage.gpus import XID_LAST, XID_WATCHED, Device
from triage.latency.facts import Ranges, Series
from triage.latency.incident import Incident
from triage.latency.predicates.gpu_devices import devices, has_gpus, own_pods, told, unmapped_pods
from triage.wording import names
from triage.xids import told_xid


def gpu_errors_seen(incident: Incident) -> Answer:
    """The driver reported XID errors of a GPU of ours within the window, or the agent of its node that it cannot see one."""
    held = [device for device in devices(incident) if device.holders]
    ours = held or devices(incident)
    seen = [one for one in xids_seen(told(incident)) if any(map(one.is_of, ours))]
    since = [one for one in seen if one.at is not None]
    anybody = not ours or bool(unmapped_pods(incident))
    lasting = [
        one
        for one in problems_of(told(incident))
        if one.of_driver and (one.ended is None or one.ended >= incident.during[0])
    ]
    problems = [one for one in lasting if anybody or any(map(one.is_of, ours))]
    said = [f"{next(filter(one.is_of, ours)).name}: {xid_says(incident, one)}" for one in since[-3:]]
    said += [one.says for one in problems[:3]]
    evidence = tuple(dict.fromkeys([*(one.evidence for one in since), *(one.evidence for one in problems)]))
    if not said:
        return _none_seen(incident, ours, seen)
    if not held and not problems and not all(any(one.is_of(device) for one in since) for device in ours):
        return Answer("unknown", f"{'; '.join(said)}; whose GPU that is, no source tells", evidence)
    return Answer("yes", "; ".join(said), evidence)


def xid_says(incident: Incident, seen: XidSeen) -> str:
    """Such as `XID 79 (GPU has fallen off the bus) at 11:46:10 UTC`."""
    namespace = incident.snapshot.asked.namespace
    return seen.says(told_xid(seen.code, incident.xids), own_pods(incident), namespace)


def _none_seen(incident: Incident, ours: Sequence[Device], before: Sequence[XidSeen]) -> Answer:
    """`before`: those whose time is not known."""
    if not has_gpus(incident) and any(incident.facts(PodPlacements)):
        return Answer("no", "nothing tells that these pods have a GPU")
    if not ours:
        return Answer("unknown", incident.history.missing(XID_LAST))
    watched, last = dict(_known(incident, XID_WATCHED)), dict(_known(incident, XID_LAST))
    if unsure := [one for one in before if one.device[0] not in watched]:
        said = "; ".join(xid_says(incident, one) for one in unsure[-3:])
        return Answer("unknown", f"{said}; a last code does not tell whether it came again")
    blind = [device.name for device in ours if device.gpu not in watched and device.gpu not in last]
    blind += [f"pod {pod}'s GPU" for pod in unmapped_pods(incident)]
    if blind:
        said = f"no source tells the XID errors of {names(blind)} while it lasts"
        return Answer("unknown", f"{said}: scrape triton-gpu-agent or dcgm-exporter on all GPU nodes")
    used = dict.fromkeys(watched.get(device.gpu) or last[device.gpu] for device in ours)
    return Answer("no", "no XID error of these GPUs was reported", tuple(used))


def _known(incident: Incident, measure: str) -> Iterator[tuple[str, str]]:
    """GPUs whose XID errors would have been told while it lasts, and the evidence of that."""
    for evidence, ranges in told(incident):
        for series in ranges.series if ranges.measure == measure else ():
            values = incident.within(ranges, series, "during")
            watches = measure == XID_LAST or all(values)
            if watches and _to_the_end(incident, ranges, series):
                yield series.labels.get("gpu", ""), evidence


def _to_the_end(incident: Incident, ranges: Ranges, series: Series) -> bool:
    """Whether it is known of all but a few steps, the last ones among them: an exporter that died with its GPU tells of nothing."""
    low, high = incident.during
    times = [ranges.start + place * ranges.step for place in range(ranges.steps)]
    there = [value is not None for at, value in zip(times, series.values, strict=True) if low <= at <= high]
    return any(there[-3:]) and sum(there) >= 0.9 * len(there)
