"""What the probes brought, as plain values: the walk, the report and a saved bundle see nothing else.

Everything here is already redacted and printable; see `seal`."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from triage.latency.facts import LatencyFacts

MissingReason = Literal[
    "not_given",
    "not_found",
    "forbidden",
    "unreachable",
    "timeout",
    "refused",
    "not_started",
    "expired",
    "truncated",
    "parse_error",
    "no_series",
    "not_enabled",
    "too_few_points",
]
"""Why evidence is not there. A closed list: no reason is ever "no"."""


class Missing(msgspec.Struct, frozen=True):
    reason: MissingReason
    detail: str
    """What happened, in the source's words."""
    remedy: str
    """What somebody can do to see it after all."""


class LogLine(msgspec.Struct, frozen=True, array_like=True):
    number: int
    text: str


class LogExcerpt(msgspec.Struct, frozen=True, tag="log"):
    """Lines of a log, in order; all of it where it is small."""

    lines: tuple[LogLine, ...]
    lines_read: int
    bytes_read: int
    dropped: int = 0
    """Lines that were read and not kept: none of them reports an outcome or a known message, nor an error for which there was
    room."""
    cut: bool = False
    """The log has parts that were not read at all."""
    ends_at: str = ""
    """When the container runtime took the last line, in UTC; empty where no runtime says so."""


class IndexRow(msgspec.Struct, frozen=True):
    """A row of `POST /v2/repository/index`; a model that was never asked to load has a name alone."""

    name: str
    version: str = ""
    state: str = ""
    reason: str = ""


class RepositoryIndex(msgspec.Struct, frozen=True, tag="index"):
    rows: tuple[IndexRow, ...]
    error: str = ""
    """Triton's own error instead of rows: it cannot read a repository."""


class Readiness(msgspec.Struct, frozen=True, tag="readiness"):
    """The HTTP status of a readiness path; 200 is ready, anything else is not. Without a model it is the server's."""

    status: int
    model: str = ""
    version: str = ""


class ServerMetadata(msgspec.Struct, frozen=True, tag="server"):
    name: str
    version: str
    extensions: tuple[str, ...] = ()


class ModelConfig(msgspec.Struct, frozen=True, tag="config"):
    """What Triton made of the configuration of a model; only a loaded version has one."""

    model: str
    loaded: bool = True
    backend: str = ""
    platform: str = ""
    max_batch_size: int | None = None


class ProbeView(msgspec.Struct, frozen=True):
    """A probe of the kubelet; times are in seconds, and Kubernetes' own defaults where the pod names none."""

    kind: str
    """`startup`, `readiness` or `liveness`."""
    asks: str = ""
    """Such as `GET :8000/v2/health/ready`."""
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    failures: int = 3

    @property
    def patience(self) -> int:
        """Seconds from the container's start after which it is restarted, if the probe never succeeds."""
        return self.initial_delay + self.failures * self.period


class MountView(msgspec.Struct, frozen=True):
    volume: str
    path: str
    read_only: bool = False
    sub_path: str = ""


class VolumeView(msgspec.Struct, frozen=True):
    name: str
    kind: str
    """As the API names it: `persistentVolumeClaim`, `emptyDir`, `csi`; empty where it names none."""
    of: str = ""
    """What it is made from: a claim, a driver, an image, a server's path; `Memory` of an emptyDir in memory."""
    read_only: bool = False
    limit: str = ""
    """Most that an emptyDir may hold, as written."""


class ContainerView(msgspec.Struct, frozen=True):
    """A container's state now and before, as `terminated: Error, exit code 1: message` and the like; empty where none.

    What its specification says follows: never a value of its environment."""

    name: str
    image: str
    init: bool
    ready: bool
    restarts: int
    state: str
    last_state: str = ""
    exit_code: int | None = None
    """Of the present state, else of the last one."""
    ended_by: str = ""
    """The reason of that end, such as OOMKilled."""
    began_at: str = ""
    """When its present run began, in UTC; empty where none runs."""
    last_began_at: str = ""
    last_ended_at: str = ""
    """Of the run that ended last, in UTC."""
    sidecar: bool = False
    """An init container that goes on running beside the others."""
    image_id: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    """Name, which may be empty, and number."""
    requests: Mapping[str, str] = {}
    limits: Mapping[str, str] = {}
    """Quantities by resource, as written."""
    probes: tuple[ProbeView, ...] = ()
    mounts: tuple[MountView, ...] = ()


class PodView(msgspec.Struct, frozen=True, tag="pod"):
    namespace: str
    name: str
    phase: str
    ready: bool
    node: str = ""
    reason: str = ""
    owner: str = ""
    """The workload above it, `deployment/NAME`."""
    containers: tuple[ContainerView, ...] = ()
    started_at: str = ""
    """When the kubelet took it, in UTC."""
    leaving: bool = False
    """It is being deleted."""
    troubles: tuple[str, ...] = ()
    """Conditions that say why it is not placed or is ended, `PodScheduled: Unschedulable: message`."""
    volumes: tuple[VolumeView, ...] = ()


class ContainerUse(msgspec.Struct, frozen=True):
    container: str
    cores: float
    memory_bytes: int


class PodUse(msgspec.Struct, frozen=True, tag="use"):
    """What metrics.k8s.io measured of a pod, averaged over `window_seconds` until `at`."""

    at: str
    window_seconds: float
    containers: tuple[ContainerUse, ...]


class GpuUse(msgspec.Struct, frozen=True):
    gpu: str
    used_bytes: float
    total_bytes: float


class GpuMemory(msgspec.Struct, frozen=True, tag="gpu_memory"):
    """Memory of the GPUs that a Triton sees, by its own metrics page: everybody's use of them, not its own alone."""

    gpus: tuple[GpuUse, ...]


class GpuHolder(msgspec.Struct, frozen=True):
    namespace: str
    pod: str
    gpus: int
    leaving: bool = False


class GpuHolders(msgspec.Struct, frozen=True, tag="gpu_holders"):
    """The pods on a node that were given GPUs, the asked one among them."""

    node: str
    pods: tuple[GpuHolder, ...]


class EventView(msgspec.Struct, frozen=True):
    at: str
    reason: str
    message: str
    count: int = 1


class PodEvents(msgspec.Struct, frozen=True, tag="events"):
    events: tuple[EventView, ...]


class PodList(msgspec.Struct, frozen=True, tag="pods"):
    """The pods that the target means, and those of them that were looked at."""

    names: tuple[str, ...]
    unready: tuple[str, ...]
    looked_at: tuple[str, ...]


class RepositoryFile(msgspec.Struct, frozen=True):
    """A file or folder of a model, by its path within the model's folder."""

    path: str
    kind: str
    """By content, such as `onnx` or `lfs_pointer` (triage/repository/content.py); else `folder`, or `other` for a pipe or the
    like; empty where it was not read."""
    size: int = 0
    """Bytes."""
    mode: str = ""
    """Permission bits, in octal."""
    owner: int = 0
    group: int = 0
    link: str = ""
    """Where it points to."""
    unread: str = ""
    """Why its content is not known."""


class RepositoryModel(msgspec.Struct, frozen=True):
    name: str
    versions: tuple[int, ...] = ()
    """Those that are there, from the newest."""
    loaded: tuple[int, ...] = ()
    """Those of them that Triton would load by the version policy."""
    policy: str = ""
    backend: str = ""
    files: tuple[RepositoryFile, ...] = ()
    """The first of them, where there are many."""
    more_files: int = 0
    config: Mapping[str, str] = {}
    """The fields of config.pbtxt by path, with short values."""


class RepositoryProblem(msgspec.Struct, frozen=True):
    """Something in the folder that would stop a load, as a text that `rules/signatures/repository.yaml` judges."""

    model: str
    text: str
    version: str = ""


class RepositoryView(msgspec.Struct, frozen=True, tag="repository"):
    """A model repository as it lies on disk."""

    models: tuple[RepositoryModel, ...]
    problems: tuple[RepositoryProblem, ...]
    unread: tuple[str, ...] = ()
    """What could not be looked at, and why."""
    files: int = 0
    checksums: int = 0
    """Files that were held against a manifest."""


Facts = (
    LogExcerpt
    | RepositoryIndex
    | Readiness
    | ServerMetadata
    | ModelConfig
    | PodList
    | PodView
    | PodEvents
    | RepositoryView
    | PodUse
    | GpuMemory
    | GpuHolders
    | LatencyFacts
)


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of one source, or why there is none. Exactly one of `facts` and `missing` is there."""

    id: str
    """Such as `log`, `index`, `pod:web-1`, `log:web-1/triton/previous`."""
    probe: str
    source: str
    """In words: `log file server.log`, `Triton at http://...`."""
    query: str
    """The path, the file, or the API call, exact."""
    command: str
    """How to ask the same by hand."""
    fetched_at: str
    """UTC, RFC 3339."""
    subject: str = ""
    """The pod whose evidence it is; empty without a cluster."""
    facts: Facts | None = None
    missing: Missing | None = None
    masked: int = 0
    """Values that redaction took out."""
    sha256: str = ""
    """Of the redacted facts."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the person asked for."""

    tree: str
    target: str = ""
    namespace: str = ""
    model: str = ""
    kubeconfig: str = ""
    """As given, and so is `context`; empty: kubectl's own choice."""
    context: str = ""
    start: float | None = None
    """The window that was asked about, in seconds since 1970; None for what knows no time."""
    end: float | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that a walk may use."""

    asked: Asked
    collected_at: str
    took_seconds: float
    evidence: tuple[Evidence, ...]
