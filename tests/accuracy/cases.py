"""Simulated incidents, made once and kept: a case takes seconds, and a suite has hundreds."""

import hashlib
from pathlib import Path

import msgspec

from tests.build_cache import cache_folder
from tests.fleetsim.incidents import Incident, incident
from triage.evidence import Snapshot
from triage.latency.facts import Ranges

FLEETSIM = Path(__file__).parents[1] / "fleetsim"
NO_FAULT = ("load_test", "recovered", "bad_alert_rule", "usual_for_this_hour", "cannot_tell")
PAGES_AT = 1.4
"""Times its usual level, over a quarter of the time: what rises by less pages nobody."""


class _Kept(msgspec.Struct):
    label: str
    snapshot: Snapshot
    onset_at: float
    also_accepted: list[str]
    notes: str


def case(cause: str, seed: int, *, decoy: bool = False) -> Incident:
    """The incident of that cause and seed, by the simulator as it is now."""
    file = _folder() / f"{cause}-{seed}{'-decoy' if decoy else ''}.json"
    if not file.exists():
        made = incident(cause, seed, decoy=decoy)
        kept = _Kept(made.label, made.snapshot, made.onset_at, sorted(made.also_accepted), made.notes)
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_suffix(".new")
        whole.write_bytes(msgspec.json.encode(kept))
        whole.rename(file)
    read = msgspec.json.decode(file.read_bytes(), type=_Kept)
    return Incident(read.label, read.snapshot, read.onset_at, frozenset(read.also_accepted), read.notes)


def pages(one: Incident) -> bool:
    """Whether callers feel it: the gateway's tail stands well over its usual level, or it answers errors."""
    if one.label in NO_FAULT:
        return True
    series = {e.id: e.facts for e in one.snapshot.evidence if isinstance(e.facts, Ranges)}
    tail, traffic = series.get("gateway/gateway_p99"), series.get("gateway/gateway_requests")
    if tail is None or not tail.series:
        return True
    before, after = _around(tail, 0, one.onset_at)
    if not before or not after:
        return True
    if after[len(after) * 3 // 4] > PAGES_AT * before[len(before) // 2]:
        return True
    errors = [i for i, s in enumerate(traffic.series if traffic else ()) if s.labels.get("code") == "5xx"]
    return any(max(_around(traffic, i, one.onset_at)[1] or [0.0]) > 0.2 for i in errors if traffic)


def _around(facts: Ranges, which: int, onset: float) -> tuple[list[float], list[float]]:
    place = int((onset - facts.start) / facts.step)
    values = facts.series[which].values
    before = sorted(v for v in values[: max(0, place)] if v is not None)
    return before, sorted(v for v in values[place + 2 :] if v is not None)


def _folder() -> Path:
    digest = hashlib.sha256()
    for file in sorted(FLEETSIM.glob("*.py")):
        if not file.name.startswith("test_"):
            digest.update(file.read_bytes())
    return cache_folder() / "fleetsim" / digest.hexdigest()[:16]
