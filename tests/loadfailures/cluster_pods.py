"""Pods of the real control plane as a failure leaves them, and the on-call person's way to look at them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from telemetry.rules_dir import rules_dir
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kubelet import HELD
from tests.loadfailures.cluster_failures import IMAGE, ClusterFailure, Object
from triage.build_report import build_report
from triage.evidence import Snapshot
from triage.look import Sources, look
from triage.report import Report
from triage.rules import Rules, rules_from_folder, seals_from_folder

RULES = rules_from_folder(rules_dir(), "load-failure")
MAKE_SEAL = seals_from_folder(rules_dir())


def reader(
    namespace: str, rules: Sequence[str] | None = None, *, name: str = "on-call", nodes: bool = True
) -> str:
    """A service account with these rules in its namespace, all that are used if none are given, and perhaps nodes beside."""
    given = "\n".join(f"  - {rule}" for rule in (ALL if rules is None else rules))
    subjects = f"subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]"
    role = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: {namespace}}}
rules:
{given}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}
{subjects}
"""
    cluster = f"""---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {namespace}-{name}-nodes}}
rules:
  - {{apiGroups: [""], resources: [nodes], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {namespace}-{name}-nodes}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {namespace}-{name}-nodes}}
{subjects}
"""
    return role + cluster if nodes else role


ALL = (
    '{apiGroups: [""], resources: [pods], verbs: [get, list]}',
    '{apiGroups: [""], resources: [pods/log], verbs: [get]}',
    '{apiGroups: [""], resources: [events], verbs: [list]}',
    '{apiGroups: [""], resources: [pods/proxy], verbs: [get, create]}',
    "{apiGroups: [metrics.k8s.io], resources: [pods], verbs: [get]}",
    "{apiGroups: [apps], resources: [deployments, replicasets], verbs: [get, list]}",
)
"""All rights that the probes of a load failure use in a namespace."""


async def be_failing(plane: ControlPlane, namespace: str, failure: ClusterFailure) -> None:
    """Makes the pod, and tells of it what its kubelet, scheduler and helpers would."""
    name = failure.id
    triton: Object = {"name": "triton", "image": IMAGE} | failure.triton
    spec: Object = {"containers": [triton]} | failure.spec
    metadata: Object = {"name": name, "namespace": namespace}
    if failure.conditions:
        metadata["annotations"] = {HELD: "held"}
    else:
        spec["nodeName"] = spec.get("nodeName", "node-0")
    await plane.api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    for (container, previous), text in failure.logs.items():
        file = await plane.kubelet.log_file(namespace, name, container, previous=previous)
        await asyncio.to_thread(file.write_bytes, cri_lines(text))
    if failure.conditions:
        status = {"status": {"phase": "Pending", "conditions": [*failure.conditions]}}
        await plane.api.patch("v1", "Pod", name, status, namespace, subresource="status")
    else:
        await plane.kubelet.report(
            namespace,
            name,
            *failure.reports,
            phase=failure.phase,
            reason=failure.reason,
            message=failure.message,
        )
    for reason, message in failure.events:
        await plane.kubelet.event(namespace, name, reason, message)


async def look_at(kubeconfig: Path, namespace: str, target: str, rules: Rules = RULES) -> Snapshot:
    sources = Sources(target=target, namespace=namespace, kubeconfig=str(kubeconfig))
    return await look(sources, "", rules, MAKE_SEAL)


async def ask(kubeconfig: Path, namespace: str, target: str) -> Report:
    return build_report(await look_at(kubeconfig, namespace, target), RULES)
