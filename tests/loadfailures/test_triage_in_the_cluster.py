"""`triton-triage load-failure pod/NAME` on a real API server, with the logs of the real failures read through the kubelet's API."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kubelet import crash_loop, running
from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, End, Failure
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Outcomes, Seen
from tests.loadfailures.test_triage_is_right import assert_right
from triage.build_report import build_report
from triage.look import Sources, look
from triage.report import Report

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "load-failures"
READER = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: on-call, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: on-call, namespace: {NAMESPACE}}}
rules:
  - {{apiGroups: [""], resources: [pods, pods/log, events], verbs: [get, list]}}
  - {{apiGroups: [apps], resources: [deployments, replicasets], verbs: [get, list]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: on-call, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: on-call}}
subjects: [{{kind: ServiceAccount, name: on-call, namespace: {NAMESPACE}}}]
"""
IN_THE_CLUSTER = [
    *(f for f in FAILURES if f.end is not End.SERVING),
    *[f for f in FAILURES if f.end is End.SERVING and f.log_shows][::3],
]
"""Every server that does not answer, and a third of the others: each costs the API server a pod."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kubeconfig(control_plane: ControlPlane) -> AsyncIterator[Path]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(READER)
    yield await control_plane.service_account_kubeconfig(NAMESPACE, "on-call")
    await control_plane.delete_namespace(NAMESPACE)


@pytest.mark.parametrize("failure", IN_THE_CLUSTER, ids=str)
async def test_right_by_the_pod(
    failure: Failure, outcomes: Outcomes, control_plane: ControlPlane, kubeconfig: Path
) -> None:
    seen = await outcomes[failure.id]
    await be_the_pod(control_plane, failure, seen)
    report = await ask(seen, kubeconfig, f"pod/{failure.id}")
    assert_right(report.verdict, failure, shown=failure.log_shows)
    if failure.end is End.ENDED and failure.exit_code == 1 and report.verdict.model:
        assert report.verdict.confidence == "confirmed", report.unseen
    unready = failure.end is End.ENDED or failure.cause.label != NOT_A_LOAD_FAILURE
    assert report.impact[0] == (f"1 of 1 pod not ready: {failure.id}" if unready else "1 of 1 pod ready")


async def ask(seen: Seen, kubeconfig: Path, target: str) -> Report:
    sources = Sources(target=target, namespace=NAMESPACE, kubeconfig=str(kubeconfig))
    return build_report(await look(sources, "", seen.rules, seen.make_seal), seen.rules)


async def be_the_pod(control_plane: ControlPlane, failure: Failure, seen: Seen) -> None:
    """A pod with the failure's log: crash-looping where the server ended (its log is then the previous one), else running."""
    await control_plane.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": failure.id, "namespace": NAMESPACE},
            "spec": {
                "nodeName": "node-0",
                "containers": [{"name": "triton", "image": "registry.example/nvidia/tritonserver:24.10-py3"}],
            },
        }
    )
    ended = failure.end is End.ENDED
    file = await control_plane.kubelet.log_file(NAMESPACE, failure.id, "triton", previous=ended)
    await asyncio.to_thread(file.write_bytes, cri_lines(seen.log))
    if ended:
        assert failure.exit_code is not None
        code = failure.exit_code if failure.exit_code > 0 else 128 - failure.exit_code
        await control_plane.kubelet.report(NAMESPACE, failure.id, crash_loop("triton", exit_code=code))
    else:
        ready = failure.cause.label == NOT_A_LOAD_FAILURE
        await control_plane.kubelet.report(NAMESPACE, failure.id, running("triton", ready=ready))
