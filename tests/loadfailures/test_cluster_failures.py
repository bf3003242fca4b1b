"""Failures that the cluster shows, on a real API server: the right leaf, how sure, and what to do first."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.loadfailures.cluster_failures import CLUSTER_FAILURES, ClusterFailure
from tests.loadfailures.cluster_pods import RULES, be_failing, look_at, reader
from tests.loadfailures.first_actions import missing_words
from triage.build_report import build_report

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "cluster-failures"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kubeconfig(control_plane: ControlPlane) -> AsyncIterator[Path]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(reader(NAMESPACE))
    yield await control_plane.service_account_kubeconfig(NAMESPACE, "on-call")
    await control_plane.delete_namespace(NAMESPACE)


@pytest.mark.parametrize("broken", CLUSTER_FAILURES, ids=str)
async def test_the_right_leaf_and_the_right_first_action(
    broken: ClusterFailure, control_plane: ControlPlane, kubeconfig: Path
) -> None:
    await be_failing(control_plane, NAMESPACE, broken)
    snapshot = await look_at(kubeconfig, NAMESPACE, f"pod/{broken.id}")
    report = build_report(snapshot, RULES)
    verdict = report.verdict
    assert (verdict.category, verdict.confidence) == (broken.category, broken.confidence), report
    assert not missing_words(verdict.action, broken.action), verdict.action
    told = [fact.text for fact in report.why]
    assert all(any(shown in text for text in told) for shown in broken.shows), told
    if broken.repository:
        assert f"model repository {broken.repository}" in " ".join(report.impact)
    if broken.telling:
        probe = {"events": "events", "state": "pod"}.get(broken.telling, "helper_log")
        kept = tuple(evidence for evidence in snapshot.evidence if evidence.probe != probe)
        without = build_report(msgspec.structs.replace(snapshot, evidence=kept), RULES).verdict
        assert without.category in ("cannot_tell", "not_a_load_failure")
