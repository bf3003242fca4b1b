"""What the cluster's readers bring, as the facts of the trees; and why one brought nothing, with the right that is missing."""

import re
from datetime import datetime

from telemetry.flagger import FlaggerCanary
from telemetry.hpa_status import HpaStatus
from telemetry.kubernetes_api import KubernetesError
from telemetry.nodes import NodeState
from telemetry.object_events import ObjectEvent
from telemetry.placements import Placement
from telemetry.revision_reader import WorkloadRevisions
from telemetry.target import Workload
from triage.cluster_views import (
    Canary,
    ClusterEvent,
    HpaCondition,
    HpaView,
    NodeView,
    PodPlacement,
    Revision,
    Rollouts,
)
from triage.evidence import Missing, MissingReason

_REFUSED = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)" '
    r"(?P<where>in the namespace|at the cluster)"
)
_FORBIDDEN = 403


def missing(error: KubernetesError, instead: str = "") -> Missing:
    """Why there is no answer; of a missing right the rule that would give it, or what can be done `instead`."""
    if error.reason == "Timeout":
        return Missing("timeout", str(error), "ask again; the API server may be busy")
    if error.reason == "Malformed":
        return Missing(
            "parse_error", str(error), "is this the API server's address? a proxy may have answered"
        )
    reasons: dict[int | None, MissingReason] = {
        401: "forbidden",
        403: "forbidden",
        404: "not_found",
        None: "unreachable",
    }
    reason = reasons.get(error.status, "refused")
    remedy = {
        "forbidden": f"{_right(error)}, or {instead}" if instead else _right(error),
        "not_found": "check the name and -n",
        "unreachable": "check --kubeconfig, --context and the way to the API server",
    }.get(reason, "see the message")
    return Missing(reason, _said(error), remedy)


def _said(error: KubernetesError) -> str:
    """Without the advice at its end where the remedy has the very rule."""
    return str(error).partition("; grant this identity")[0] if refused_right(error) else str(error)


def refused_right(error: KubernetesError) -> str:
    """What this identity may not do, without the object that it was refused for; empty where that is not said."""
    refused = _REFUSED.search(error.detail)
    if refused is None or error.status != _FORBIDDEN:
        return ""
    return f"this identity {refused[0].removesuffix(refused['where']).rstrip()}"


def _right(error: KubernetesError) -> str:
    refused = _REFUSED.search(error.detail)
    if refused is None:
        return "grant the right that the message names"
    verb, resource, group, where = refused.group("verb", "resource", "group", "where")
    role = "ClusterRole" if where == "at the cluster" else "Role"
    return f'add to the {role}: apiGroups: ["{group}"], resources: [{resource}], verbs: [{verb}]'


def called(workload: Workload) -> str:
    return f"{workload.kind.lower()}/{workload.name}"


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None


def pod_placement(found: Placement) -> PodPlacement:
    return PodPlacement(
        pod=found.pod,
        node=found.node,
        created_at=_seconds(found.created_at),
        started_at=_seconds(found.started_at),
        ready=found.ready,
        ready_since=_seconds(found.ready_since),
        phase=found.phase,
        revision=found.template,
        restarts=found.restarts,
        ended_by=found.ended_by,
        ended_at=_seconds(found.ended_at),
        unschedulable=found.unschedulable,
        gpus=found.gpus,
        cpu_limit=found.cpu_limit,
        terminating_since=_seconds(found.terminating_since),
        reason=found.reason,
        container=found.container,
    )


def rollouts(found: WorkloadRevisions) -> Rollouts:
    return Rollouts(
        workload=called(found.workload),
        managed_by=str(found.owner),
        managed_in=found.owner.namespace,
        replicas=found.replicas,
        updated=found.updated,
        available=found.available,
        paused=found.paused,
        revisions=tuple(
            Revision(
                number=each.number,
                hash=each.hash,
                created_at=each.created_at.timestamp(),
                replicas=each.replicas,
                changes=each.changes,
                rolled_out_at=_seconds(each.rolled_out_at),
                earlier_numbers=each.earlier_numbers,
                compared_with=each.compared_with,
            )
            for each in found.revisions
        ),
        strategy=found.strategy,
        max_unavailable=found.max_unavailable,
        stuck=found.stuck,
        aborted=found.aborted,
        stable=found.stable,
        partition=found.partition,
    )


def canary(found: FlaggerCanary, workload: Workload) -> Canary:
    return Canary(
        name=found.name,
        phase=found.phase,
        suspended=found.suspended,
        primary=called(Workload(workload.kind, found.primary)),
        primary_replicas=found.primary_replicas,
        primary_available=found.primary_available,
    )


def hpa_view(found: HpaStatus) -> HpaView:
    return HpaView(
        name=found.name,
        min_replicas=found.min_replicas,
        max_replicas=found.max_replicas,
        current=found.current,
        desired=found.desired,
        conditions=tuple(
            HpaCondition(
                each.type, each.status, each.reason, each.message, _seconds(each.last_transition_time)
            )
            for each in found.conditions
        ),
        last_scaled_at=_seconds(found.last_scaled_at),
        metrics=found.metrics,
    )


def cluster_event(found: ObjectEvent) -> ClusterEvent:
    return ClusterEvent(
        at=found.last_at.timestamp(),
        first_at=found.first_at.timestamp(),
        object=f"{found.kind.lower()}/{found.name}",
        reason=found.reason,
        message=found.message,
        count=found.count,
    )


def node_view(found: NodeState) -> NodeView:
    return NodeView(
        name=found.name,
        ready=found.ready,
        since=_seconds(found.since),
        pressures=found.pressures,
        unschedulable=found.unschedulable,
        pressures_since={name: at.timestamp() for name, at in found.pressures_since.items()},
        taints=found.taints,
        gpus=found.gpus,
    )
