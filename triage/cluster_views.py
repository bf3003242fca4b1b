"""What the cluster tells of a workload, as plain values: its pods' places, its rollouts and who drives them, its autoscaler, its
events and its nodes. Both trees read them. Times are seconds since 1970, UTC."""

from collections.abc import Mapping

import msgspec


class PodPlacement(msgspec.Struct, frozen=True):
    pod: str
    node: str = ""
    created_at: float | None = None
    started_at: float | None = None
    """Of its Triton container's present run, else of the pod."""
    ready: bool = False
    ready_since: float | None = None
    """When its present readiness, or unreadiness, began."""
    phase: str = ""
    revision: str = ""
    """Of its pod template: the pod-template-hash or controller-revision-hash label."""
    restarts: int = 0
    ended_by: str = ""
    """How its Triton container's last run ended, such as OOMKilled; empty: it never did."""
    ended_at: float | None = None
    unschedulable: str = ""
    """Why no node takes it; empty: one has."""
    gpus: int | None = 0
    """By its limits; None: a resource claim may be for a GPU."""
    cpu_limit: float | None = None
    """Cores."""
    terminating_since: float | None = None
    """When its deletion was asked for."""
    reason: str = ""
    """The pod's own, such as Evicted."""
    container: str = ""
    """The name of its Triton container."""


class PodPlacements(msgspec.Struct, frozen=True, tag="placements"):
    pods: tuple[PodPlacement, ...]


class Revision(msgspec.Struct, frozen=True):
    """One template of a workload's pods: a ReplicaSet's or a ControllerRevision's."""

    number: int
    hash: str
    created_at: float
    replicas: int = 0
    changes: tuple[str, ...] = ()
    """Against the revision before, such as `image of triton: a -> b`; never the value of an environment variable."""
    rolled_out_at: float | None = None
    """No later than this it was last rolled out. One that is returned to keeps `created_at` and gets the next number; None: it
    was, and nothing tells when."""
    earlier_numbers: tuple[int, ...] = ()
    """That it had before it was returned to; not empty: its last rollout was a rollback."""
    compared_with: int | None = None
    """The number that the workload had before; None: no earlier template is kept, so the changes are unknown."""


class Rollouts(msgspec.Struct, frozen=True, tag="rollouts"):
    """A workload's revisions in the order of their last rollouts: the last one is what its pods are made from."""

    workload: str
    """`deployment/NAME`."""
    managed_by: str = ""
    """`helm NAME`, `argocd NAME`, `flux kustomization/NAME`, `flux helmrelease/NAME` (who owns the object, and would revert
    another's change); empty: none seen."""
    managed_in: str = ""
    """The namespace of Helm's release or of Flux's object; empty: not told."""
    replicas: int | None = None
    updated: int | None = None
    available: int | None = None
    paused: bool = False
    revisions: tuple[Revision, ...] = ()
    strategy: str = ""
    """`RollingUpdate`, `Recreate`, `OnDelete`, `Canary` or `BlueGreen`; empty: not told."""
    max_unavailable: int | None = None
    """So many replicas may be missing while it rolls out; None: the strategy knows no such number, or it is not told."""
    stuck: bool = False
    """Its progress deadline is over: nothing undoes the rollout by itself."""
    aborted: bool = False
    """An Argo Rollout that went back to its stable pods, and stays there until it is retried."""
    stable: str = ""
    """Hash of the template that an Argo Rollout takes for stable."""
    partition: int = 0
    """So many of a StatefulSet's pods, the first ones, are not replaced by a rollout."""


class Canary(msgspec.Struct, frozen=True, tag="canary"):
    """The Flagger canary that rolls the workload out, and its primary, which serves meanwhile."""

    name: str
    phase: str = ""
    suspended: bool = False
    primary: str = ""
    """`deployment/NAME`."""
    primary_replicas: int | None = None
    primary_available: int | None = None


class NoCanary(msgspec.Struct, frozen=True, tag="no_canary"):
    """Flagger is not installed, or rolls out other workloads."""


class HpaCondition(msgspec.Struct, frozen=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: float | None = None


class HpaView(msgspec.Struct, frozen=True, tag="hpa"):
    name: str
    min_replicas: int
    max_replicas: int
    current: int
    desired: int
    conditions: tuple[HpaCondition, ...] = ()
    last_scaled_at: float | None = None
    metrics: tuple[str, ...] = ()
    """Each as `external triton_inference_concurrency: 12 of 8 a pod`."""


class NoHpa(msgspec.Struct, frozen=True, tag="no_hpa"):
    """The namespace's autoscalers were listed, and none is for this workload."""


class ClusterEvent(msgspec.Struct, frozen=True):
    at: float
    first_at: float
    object: str
    """`pod/NAME`, `horizontalpodautoscaler/NAME`, `node/NAME` ..."""
    reason: str
    message: str
    count: int = 1


class ClusterEvents(msgspec.Struct, frozen=True, tag="cluster_events"):
    """Of the workload, its ReplicaSets, its autoscaler and its pods."""

    events: tuple[ClusterEvent, ...]


class NodeView(msgspec.Struct, frozen=True):
    name: str
    ready: bool
    since: float | None = None
    """When that began."""
    pressures: tuple[str, ...] = ()
    """Conditions that are true, such as MemoryPressure."""
    unschedulable: bool = False
    pressures_since: Mapping[str, float] = {}
    """When each of those began, where that is told."""
    taints: tuple[str, ...] = ()
    """As kubectl writes them, `key=value:NoSchedule`."""
    gpus: int | None = None
    """That its pods may be given together; None where the node does not say."""


class Nodes(msgspec.Struct, frozen=True, tag="nodes"):
    nodes: tuple[NodeView, ...]


ClusterFacts = PodPlacements | Rollouts | Canary | NoCanary | HpaView | NoHpa | ClusterEvents | Nodes
