"""Incidents that were recorded on real Tritons with a real Prometheus (`make incidents`), asked about again: the evidence is what
the command saved that night, judged by the rules of today."""

import json
from functools import cache
from pathlib import Path

import msgspec
import pytest

from tests.accuracy.judge import rules
from tests.fleetsim.observe import SOURCES as PROBES
from triage.bundle import load_snapshot
from triage.cluster_views import PodPlacement, PodPlacements, Revision, Rollouts
from triage.evidence import Evidence, Missing, Snapshot
from triage.latency.facts import Ranges
from triage.report import Report
from triage.report_of import report_of

RECORDED = Path(__file__).parent / "recorded"
NAMES = sorted(file.name.removesuffix(".json.gz") for file in RECORDED.glob("*.json.gz"))
TRUTHS: dict[str, dict[str, float | str]] = json.loads((RECORDED / "truths.json").read_text())
SOURCES = (
    *("prometheus", "triton", "gateway", "platform", "past"),
    *("kubernetes", "placements", "rollouts", "cluster_events", "hpa"),
    *("live", "settings", "statistics", "capture"),
    "log",
)
WHOLE_SOURCES = ("prometheus", "kubernetes", "live", "gateway")
CHANGES = {"rollout_or_termination", "slower_version", "cold_start", "observer_effect"}
"""What blames a rollout."""
NOTHING_BEGAN = ("bad-alert-rule",)
"""Its onset is that of the harness's second phase, which is as the first."""
INNOCENT = ("value of env LOG_FORMAT changed",)


latency_rules = cache(rules)


@cache
def recorded(name: str) -> Snapshot:
    return load_snapshot(RECORDED / f"{name}.json.gz")


@cache
def told(name: str) -> Report:
    return report_of(recorded(name), latency_rules())


@pytest.mark.parametrize("name", NAMES)
def test_the_cause_is_named_boldly_and_dated(name: str) -> None:
    report, truth = told(name), TRUTHS[name]
    assert report.verdict.category == truth["label"]
    assert report.verdict.confidence in ("confirmed", "likely")
    if name in NOTHING_BEGAN:
        assert report.onset is None
        return
    assert report.onset is not None
    # Rates look back four scrapes of a second each, and summaries a minute: the interval says how far.
    earliest, latest = report.onset.earliest - 2, report.onset.latest + 2
    assert earliest <= float(truth["onset"]) <= latest or abs(report.onset.at - float(truth["onset"])) <= 5


def _with_a_source(name: str) -> list[str]:
    """Those that showed something that night."""
    seen = {one.probe for one in recorded(name).evidence if one.facts is not None}
    return [source for source in SOURCES if seen & set(PROBES.get(source, (source,)))]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        pytest.param(name, each, marks=() if each in WHOLE_SOURCES else pytest.mark.accuracy)
        for name in NAMES
        for each in _with_a_source(name)
    ],
)
def test_with_a_source_gone_no_other_cause_is_named(name: str, source: str) -> None:
    """It stays, or cannot be told, or what is left is a consequence that the whole evidence shows as well. Parts of a source are
    taken in `make accuracy`."""
    report = report_of(_without(recorded(name), *PROBES.get(source, (source,))), latency_rules())
    also_seen = {other.category for other in told(name).alternatives}
    left = report.verdict.category
    assert left in {told(name).verdict.category, "cannot_tell"} | also_seen, report.headline


@pytest.mark.parametrize("name", NAMES)
def test_an_innocent_rollout_shortly_before_is_not_blamed(name: str) -> None:
    """Pods of the new revision behave like those of the old one."""
    snapshot, onset = recorded(name), float(TRUTHS[name]["onset"])
    real = next((one.facts for one in snapshot.evidence if isinstance(one.facts, Rollouts)), None)
    decoys = _decoy_of(real, onset) if real else _decoy(snapshot, onset)
    replaced = {probe for probe, _ in decoys}
    evidence = [one for one in snapshot.evidence if one.probe not in replaced]
    evidence += [_evidence(probe, facts) for probe, facts in decoys]
    report = report_of(msgspec.structs.replace(snapshot, evidence=tuple(evidence)), latency_rules())
    assert report.verdict.category == TRUTHS[name]["label"] or report.verdict.category not in CHANGES


def _decoy_of(real: Rollouts, onset: float) -> list[tuple[str, PodPlacements | Rollouts]]:
    """The pods that were there before came by a rollout; what was rolled out later really was."""
    first, *later = real.revisions
    old = msgspec.structs.replace(first, hash="6c8d9f7b5", created_at=onset - 86_400)
    decoy = msgspec.structs.replace(first, number=first.number + 1, created_at=onset - 200, changes=INNOCENT)
    shifted = [msgspec.structs.replace(each, number=each.number + 1) for each in later]
    return [("rollouts", msgspec.structs.replace(real, revisions=(old, decoy, *shifted)))]


def _decoy(snapshot: Snapshot, onset: float) -> list[tuple[str, PodPlacements | Rollouts]]:
    old = Revision(number=1, hash="6c8d9f7b5", created_at=onset - 86_400)
    new = Revision(number=2, hash="5d4f8c7b9", created_at=onset - 200, changes=INNOCENT)
    names = _pods(snapshot)
    placed = PodPlacements(
        tuple(PodPlacement(pod, started_at=onset - 190, ready=True, revision=new.hash) for pod in names)
    )
    rollouts = Rollouts("deployment/web", replicas=len(names), updated=len(names), revisions=(old, new))
    return [("placements", placed), ("rollouts", rollouts)]


def _without(snapshot: Snapshot, *probes: str) -> Snapshot:
    missing = Missing("unreachable", "no answer within 10 s", "look whether it is up, and ask again")
    left = (
        msgspec.structs.replace(one, facts=None, missing=missing) if one.probe in probes else one
        for one in snapshot.evidence
    )
    return msgspec.structs.replace(snapshot, evidence=tuple(left))


def _pods(snapshot: Snapshot) -> list[str]:
    ranges = [e.facts for e in snapshot.evidence if e.id == "triton/success" and isinstance(e.facts, Ranges)]
    return sorted({series.labels["pod"] for one in ranges for series in one.series if "pod" in series.labels})


def _evidence(probe: str, facts: PodPlacements | Rollouts) -> Evidence:
    return Evidence(
        id=probe,
        probe=probe,
        source=probe,
        query="",
        command="",
        fetched_at="2026-11-23T00:00:00Z",
        facts=facts,
    )
