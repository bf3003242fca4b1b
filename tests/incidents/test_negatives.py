"""Each recorded incident and its negative look alike and are told apart."""

import pytest

from tests.incidents.negatives import NEGATIVES, Negative
from tests.incidents.test_recorded import NAMES, TRUTHS, latency_rules, recorded, told
from triage.latency.incident import Incident

NOTHING_FELT = "bad-alert-rule"
RECORDED = [name for name in NAMES if name != NOTHING_FELT]


def test_each_recorded_incident_has_a_negative_with_another_cause() -> None:
    assert [name for name in RECORDED if name not in NEGATIVES] == []
    assert [name for name in RECORDED if NEGATIVES[name].incident not in NAMES] == []
    labels = {name: TRUTHS[name]["label"] for name in NAMES}
    assert [name for name in RECORDED if labels[NEGATIVES[name].incident] == labels[name]] == []


@pytest.mark.parametrize("name", RECORDED)
def test_they_look_alike(name: str) -> None:
    """Else to tell them apart would show nothing."""
    negative = NEGATIVES[name]
    assert _rise(name, negative) > 1.2
    assert _rise(negative.incident, negative) > 1.2


@pytest.mark.parametrize("name", RECORDED)
def test_neither_is_told_as_the_other(name: str) -> None:
    """Nor as what fits as well."""
    other = NEGATIVES[name].incident
    for one, another in ((name, other), (other, name)):
        verdict = told(one).verdict
        assert TRUTHS[another]["label"] not in (verdict.category, *verdict.also), told(one).headline


def _rise(name: str, negative: Negative) -> float:
    """The quantity's mean from the true onset on, for that before."""
    incident, onset = (
        Incident(recorded(name), latency_rules().measures, latency_rules().quantities),
        float(TRUTHS[name]["onset"]),
    )
    trace = incident.read(negative.look, by=None).trace
    assert trace is not None, f"{negative.look} was not measured in {name}"
    there = trace.present()
    before, during = ([value for at, value in there if (at >= onset) == late] for late in (False, True))
    return (sum(during) / len(during)) / max(sum(before) / len(before), 1e-6)
