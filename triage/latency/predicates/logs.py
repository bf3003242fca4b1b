"""What the servers' own logs add to what was measured. What they do not tell is no proof of the contrary: Triton 2.51's Python
backend answers the requests of a dead process with the reason, and writes it nowhere. Pure."""

from collections.abc import Sequence

from triage.answers import Answer
from triage.latency.change import Change
from triage.latency.incident import Incident
from triage.latency.kinds import ChangeKind
from triage.latency.predicates.failing import a_gpu_is_full, failing_in_backend

_NEAR_SECONDS = 60.0
"""Within so long of the incident: what a log tells began with what was measured."""


def backend_fails(incident: Incident) -> Answer:
    """Most failures are the backend's, by the counters; where those give no reason, by a log that tells of a dead process or of
    memory that cannot be had."""
    counted = failing_in_backend(incident)
    told = _meanwhile(incident, "backend_death", "out_of_memory")
    if not told or counted.value == "no":
        return counted
    return _added(counted, told[0])


def memory_fails(incident: Incident) -> Answer:
    """A GPU has no memory left, or a log tells that memory cannot be had."""
    full = a_gpu_is_full(incident)
    told = _meanwhile(incident, "out_of_memory")
    return _added(full, told[0]) if told else full


def outlasts_loads(incident: Incident) -> Answer:
    """It went on for longer after the last load or unload than that had taken. Only where all logs were read to their end."""
    if incident.onset is None:
        return Answer("unknown", "when it began is not known")
    if untold := incident.missing_logs():
        return Answer("unknown", untold)
    ids = {one.id for one in incident.snapshot.evidence if one.probe == "log"}
    loads = [one for one in _meanwhile(incident, "load", "unload") if ids & set(one.evidence)]
    if not loads:
        return Answer("unknown", "no log tells of a load at that time")
    last = max(loads, key=lambda one: one.latest)
    found = incident.onset
    end = found.ended.earliest if found.ended else incident.snapshot.asked.end or last.latest
    took, after = last.latest - last.at, end - last.latest
    said = f"{last.what}; it went on for {after:.3g} s after that"
    return Answer("yes" if after > max(took, 2 * _NEAR_SECONDS) else "no", said, last.evidence)


def _meanwhile(incident: Incident, *kinds: ChangeKind) -> Sequence[Change]:
    """Those that went on while the incident did, or shortly before it; a dead process is that of the model in question, unless it
    bears a name that is no model's."""
    if incident.onset is None:
        return ()
    low = incident.onset.onset.earliest - _NEAR_SECONDS
    high = incident.onset.ended.latest if incident.onset.ended else float("inf")
    found = [c for c in incident.changes if c.kind in kinds and c.latest >= low and c.earliest <= high]
    others = set(incident.models) - {incident.model}
    return [c for c in found if c.kind != "backend_death" or c.model not in others]


def _added(measured: Answer, told: Change) -> Answer:
    said = f"Triton's log: {told.what}"
    because = f"{measured.because}; {said}" if measured.value == "yes" else said
    return Answer(
        "yes", because, (*measured.evidence, *told.evidence) if measured.value == "yes" else told.evidence
    )
