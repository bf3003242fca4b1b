"""What the probes of the p99 tree bring, as plain values. Times are seconds since 1970, UTC.

A measure is a row of `rules/measures/`; both Prometheus and scrapes of a live Triton give `Ranges` of the same measures, so that
nothing behind them knows which it was."""

from collections.abc import Mapping

import msgspec

from triage.cluster_views import ClusterFacts


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


LatencyFacts = Ranges | Lifetime | Statistics | ModelSettings | RepositoryChanges | ClusterFacts
