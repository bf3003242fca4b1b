"""One way in which a real Triton does not get a model up, and what a good diagnosis of it says.

A failure is described by its cause alone: files, arguments, what a client does. Log and index are the server's own; the
expectations quote from them what the diagnosis must rest on."""

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.loadfailures.object_store import Store
from tests.tritons.install import TritonInstall
from tests.tritons.server import TritonServer

Files = Mapping[str, str | bytes]
"""Path in the failure's folder -> content; a path that ends in `/` is an empty folder."""

NOT_A_LOAD_FAILURE = "not_a_load_failure"
LABELS = {
    "repository_layout",
    "model_config",
    "backend_unavailable",
    "file_permissions",
    "artifact_integrity",
    "runtime_version",
    "storage_access",
    "host_resources",
    "dependency_model",
    "warmup_failure",
    "model_unsupported",
    "load_concurrency",
    "model_code",
    NOT_A_LOAD_FAILURE,
}
"""Of the categories of triage, those that a Triton without GPU and TensorRT can show."""


class End(enum.Enum):
    """Where the server stands once nothing more happens."""

    SERVING = "answers; the index says which models are up"
    ENDED = "ended by itself before it answered: no URL"
    HUNG = "runs, says nothing more and never answers: no URL"


class Row(enum.Enum):
    """What the repository index says of a model."""

    REASON = "UNAVAILABLE with a reason"
    NAME_ONLY = "its name, without version, state and reason: as of a model that nobody asked to load"
    ABSENT = "no row"
    READY = "READY, without a reason"
    REFUSED = "the index itself is an error answer"


@dataclass(frozen=True)
class Cause:
    """Why one model is not up, in the categories of triage."""

    label: str
    model: str | None
    """As in the repository; None where no model is at fault."""
    log: str | None = None
    """In the log line that shows the cause; None where no line shows it."""
    index: str | None = None
    """In this model's reason in the repository index, or in the index's error answer; None where neither shows the cause."""
    row: Row | None = None
    """None without an index (the server does not answer) or without a model."""
    secondary: tuple[str, ...] = ()
    """Labels that also hold, or that a good answer may mention."""


@dataclass(frozen=True)
class Failure:
    id: str
    broken: str
    """One sentence: what is wrong, as its author knows it."""
    cause: Cause
    files: Files
    also: tuple[Cause, ...] = ()
    """Further models that are not up: for causes of their own, or because of `cause`."""
    end: End = End.SERVING
    exit_code: int | None = None
    """Of a process that ENDED; minus the signal's number where one ended it."""
    healthy: tuple[str, ...] = ()
    """Models that are READY beside it."""
    repository: str = "models"
    """In the failure's folder, or a URL."""
    arguments: tuple[str, ...] = ()
    """`{folder}` stands for the failure's folder, `{taken_port}` for a port that another program holds, `{store_port}` for the
    store's; so in `repository`, `environment` and `disks`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    store: Store | None = None
    """An object store that listens on loopback."""
    disks: Mapping[str, int] = field(default_factory=dict)
    """Path -> bytes: small file systems that only this server sees."""
    dead_mount: str = ""
    """A path in the failure's folder whose FUSE daemon has died."""
    unreadable: tuple[str, ...] = ()
    """Files that get mode 000. The server then runs without root's right to read what it may not."""
    memory_bytes: int | None = None
    """Limit of the data of each process."""
    open_files: int | None = None
    """Limit of each process."""
    tries: int = 1
    """More than 1 where a race inside Triton decides: it is started anew until it ends as said."""
    prepare: Callable[[Path, TritonInstall], None] | None = None
    """Copies parts of the installed server into the failure's folder."""
    client: Callable[[TritonServer, Path], Awaitable[None]] | None = None
    """What is asked of the server once it answers; gets the failure's folder too. Raises if the answer is not the expected one."""

    @property
    def log_shows(self) -> bool:
        return self.cause.log is not None

    @property
    def index_shows(self) -> bool:
        return self.cause.index is not None

    def __str__(self) -> str:
        return self.id


def load_refused(
    label: str, model: str, reason: str, *secondary: str, version: int = 1, log: str | None = None
) -> Cause:
    """A version that failed to load: the log's line and the index give the same reason. `log` where another line shows more."""
    line = log or f"failed to load '{model}' version {version}: {reason}"
    return Cause(label, model, line, reason, Row.REASON, secondary)


def poll_failed(label: str, model: str, problem: str, *secondary: str, log: str | None = None) -> Cause:
    """A model that Triton never tried to load, since its folder or configuration is no model: the index has its name only."""
    line = log or f"Poll failed for model directory '{model}': {problem}"
    return Cause(label, model, line, None, Row.NAME_ONLY, secondary)


def without_index(cause: Cause) -> Cause:
    """The same cause where the server does not answer."""
    return Cause(cause.label, cause.model, cause.log, None, None, cause.secondary)
