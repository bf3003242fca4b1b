"""What the probes of the p99 tree bring, as plain values. Times are seconds since 1970, UTC.

A measure is a row of `rules/measures/`; both Prometheus and scrapes of a live Triton give `Ranges` of the same measures, so that
nothing behind them knows which it was."""

from collections.abc import Mapping

import msgspec


class Series(msgspec.Struct, frozen=True):
    labels: Mapping[str, str]
    """The measure's `by` labels in our names: pod, node, model, version, reason, gpu, container. Others are summed away."""
    values: tuple[float | None, ...]
    """One for each step of the grid, in the measure's unit; None where nothing was measured. Never NaN or infinite."""


class Ranges(msgspec.Struct, frozen=True, tag="ranges"):
    """One measure over time, on an even grid. No series: the source answered and has none."""

    measure: str
    start: float
    """The time of the first step. A step's value is of the `smear` seconds that end there."""
    step: float
    steps: int
    smear: float
    """The window of the rate or average that each value covers; 0 for a gauge as it stood."""
    series: tuple[Series, ...]
    ago: float = 0.0
    """Seconds by which the whole grid was moved back, to see the same hour of an earlier day; `start` is already moved."""
    cut: bool = False
    """Series were left out."""
    warnings: tuple[str, ...] = ()
    """The source's own, such as Thanos telling of a partial answer: its series may be too few or too low."""


class Lifetime(msgspec.Struct, frozen=True, tag="lifetime"):
    """What a live server's counters had counted when it was first looked at, since it started or loaded the model. Ratios of
    these are the only baseline where there is no history; the incident so far is in them too."""

    totals: Mapping[str, tuple[Series, ...]]
    """By measure; each series has one value, in the measure's unit times seconds."""


class Batch(msgspec.Struct, frozen=True):
    """Executions of one batch size."""

    size: int
    executions: int
    input_ms: float
    """Sum over the executions; so are the others."""
    infer_ms: float
    output_ms: float


class ModelStatistics(msgspec.Struct, frozen=True):
    model: str
    version: str
    executions: int
    inferences: int
    failures: int
    failure_ms: float
    """Time in requests that failed: no metric has it."""
    batches: tuple[Batch, ...] = ()
    last_inference: float | None = None


class Statistics(msgspec.Struct, frozen=True, tag="statistics"):
    """The statistics API twice: what was counted before the first look, and between the two, `seconds` apart."""

    seconds: float
    before: tuple[ModelStatistics, ...]
    during: tuple[ModelStatistics, ...]


class ModelSettings(msgspec.Struct, frozen=True, tag="settings"):
    """What a loaded model's configuration says of its scheduling. None and empty: Triton's default."""

    model: str
    backend: str = ""
    max_batch_size: int = 0
    instances: int | None = None
    """Over all its instance groups."""
    instance_kinds: tuple[str, ...] = ()
    dynamic_batching: bool = False
    preferred_batch_sizes: tuple[int, ...] = ()
    max_queue_delay_ms: float = 0.0
    preserve_ordering: bool = False
    priority_levels: int = 0
    default_priority: int = 0
    max_queue_size: int = 0
    """Of the default queue policy, or the largest of the priorities'; 0: no limit."""
    queue_timeout_ms: float = 0.0
    queue_timeout_action: str = ""
    """`REJECT` or `DELAY`, where there is a timeout."""
    sequence_batching: bool = False
    max_sequence_idle_ms: float = 0.0
    max_candidate_sequences: int = 0
    parts: tuple[str, ...] = ()
    """The models of an ensemble's steps."""
    response_cache: bool = False
    decoupled: bool = False
    warm_up: bool = False
    rate_limited: bool = False


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
    gpus: int = 0
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


class RepositoryChange(msgspec.Struct, frozen=True):
    seen_at: float
    """When the recorder first saw it; it happened after `after`."""
    after: float
    model: str
    what: str
    """`config changed`, `version 3 added`, `file 2/model.py changed` and the like."""


class RepositoryChanges(msgspec.Struct, frozen=True, tag="repository_changes"):
    """A recorder's fingerprints of each model's configuration and files, compared."""

    recorded_from: float
    recorded_to: float
    changes: tuple[RepositoryChange, ...]


LatencyFacts = (
    Ranges
    | Lifetime
    | Statistics
    | ModelSettings
    | PodPlacements
    | Rollouts
    | Canary
    | NoCanary
    | HpaView
    | NoHpa
    | ClusterEvents
    | Nodes
    | RepositoryChanges
)
