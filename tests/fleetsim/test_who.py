"""Who is named beside the cause: the pod that took the node's CPU, the pod on the same GPU."""

import random
from functools import cache

from tests.accuracy.judge import rules
from tests.fleetsim.incidents import CAUSES, incident
from tests.fleetsim.incidents import Incident as Played
from triage.latency.figures import figures
from triage.latency.incident import Incident
from triage.report import Report
from triage.report_of import report_of


def drawn(cause: str, notes: str) -> int:
    """The first seed whose case is of that kind."""
    return next(seed for seed in range(50) if notes in CAUSES[cause](random.Random(f"{cause} {seed}")).notes)


@cache
def played(cause: str, seed: int) -> Played:
    return incident(cause, seed, past=())


def told(cause: str, notes: str) -> Report:
    return report_of(played(cause, drawn(cause, notes)).snapshot, rules())


def test_the_pod_that_took_the_nodes_cpu_is_named() -> None:
    report = told("noisy_neighbour", "more work than cores")
    assert report.verdict.category == "noisy_neighbour"
    assert "data/batch-6b4c7d8f9c-" in report.actions[0].do
    assert "data/batch-6b4c7d8f9c-" in report.why[-1].text


def test_no_pod_is_blamed_for_what_the_hypervisor_took() -> None:
    report = told("noisy_neighbour", "stolen")
    assert "data/batch" not in report.actions[0].do


def test_the_pod_on_the_same_gpu_is_named() -> None:
    snapshot = played("gpu_shared", 0).snapshot
    found = figures(Incident(snapshot, rules().measures, rules().quantities))
    assert found["gpu_neighbour"] == "data/notebook-0"
