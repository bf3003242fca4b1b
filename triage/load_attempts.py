"""How each model's load went, by the log alone: begun, loaded, failed with a reason, and what else was said meanwhile.

The lines are of triton-inference-server/core: src/model_lifecycle.cc and src/model_repository_manager (before 21.10 all
in model_repository_manager.cc), the table of models of src/server.cc, and TRITONBACKEND_ModelInitialize,
which every backend prints."""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Literal

from triage.log_records import Record

Outcome = Literal["loading", "loaded", "failed", "unloaded"]


@dataclass(frozen=True, slots=True)
class _Event:
    outcome: Outcome
    pattern: re.Pattern[str]
    begins: bool = False
    """Printed once for each load of a version: seen twice, the second load has begun."""
    at_once: bool = False
    """It is not tried at all: begins and ends with this line."""
    own_only: bool = False
    """Too plain to be believed of anybody but Triton."""


_NAME = r"'(?P<model>[^'/\n]+)'"
_VERSION = r"version (?P<version>\d+)"
_FAILED = r"[Ff]ailed to load"
_REASON = r"(?::\s*(?P<reason>.*))?"
_EVENTS = (
    _Event(
        "loading",
        re.compile(r"(?:^|\.cc:\d+\] \"?)(?:re-)?loading: (?P<model>[^\s:][^:\n]*):(?P<version>\d+)(?!\S)"),
        begins=True,
    ),
    _Event("loading", re.compile(rf"TRITONBACKEND_ModelInitialize: (?P<model>[^\s(]+) \({_VERSION}\)")),
    _Event("loaded", re.compile(rf"successfully loaded {_NAME}(?: {_VERSION})?")),
    _Event("unloaded", re.compile(rf"successfully unloaded {_NAME}(?: {_VERSION})?")),
    _Event("failed", re.compile(rf"{_FAILED} {_NAME} {_VERSION}{_REASON}", re.S)),
    _Event("failed", re.compile(rf"{_FAILED} model {_NAME}(?: {_VERSION})?{_REASON}", re.S)),
    _Event("failed", re.compile(rf"{_FAILED} {_NAME}, (?:failed to poll|no version)", re.S)),
    _Event("failed", re.compile(rf"{_FAILED} {_NAME}{_REASON}", re.S), own_only=True),
    _Event(
        "failed", re.compile(r"Poll failed for model directory '(?P<model>[^'\n]+)':\s*(?P<reason>.*)", re.S)
    ),
    _Event(
        "failed",
        re.compile(
            r"ensemble '?(?P<model>[^'\s/]+)'? depends on '?[^'\s]+'? which (?:has no loaded version|is not valid|contains invalid)"
        ),
        at_once=True,
        own_only=True,
    ),
    _Event(
        "failed",
        re.compile(
            rf"load failed for model {_NAME}: {_VERSION} is at UNAVAILABLE state:\s*(?P<reason>.*)", re.S
        ),
    ),
)
_INSTANCE = re.compile(r"TRITONBACKEND_ModelInstanceInitialize: (?P<instance>\S+) \(")
_LONGEST_NAME = 512
"""A name is that of a directory: no longer than 255 bytes; the rest is for numbers."""
_START = re.compile(r"^== Triton Inference Server ==|inned memory pool (?:is created|will not be)")
"""The container's banner, and one of the first things that the server says."""
_SERVING = re.compile(r"Started (?:HTTPService|GRPCInferenceService|Metrics Service) at")
_NO_REPOSITORY = re.compile(r"failed to poll model repository '")
_NO_SERVER = re.compile(r"error: creating server: |^failed to load all models|No server context available")
_NO_ENDPOINT = re.compile(r"failed to start [\w ]{1,20} service")
"""Triton ends without each of its ports (triton-inference-server/server: src/main.cc, StartEndpoints)."""


@dataclass(slots=True)
class Attempt:
    """The last load of one model that the log shows; line numbers are of records, None where not seen."""

    model: str
    version: str = ""
    began: int | None = None
    ended: int | None = None
    outcome: Outcome = "loading"
    reason: str = ""
    own: bool = False
    """Whether the outcome stands in Triton's own line."""
    said: int = 0
    """Line of the last record that tells of its outcome."""
    last: Record | None = None
    """The record of the outcome."""
    versions: set[str] = field(default_factory=set)
    """Those that this load is of."""
    earlier: set[str] = field(default_factory=set)
    """Those of an earlier load that succeeded, until they are unloaded."""

    @property
    def latest(self) -> int:
        """Line at which it was last spoken of."""
        return max(self.began or 0, self.said)

    @property
    def loaded_before(self) -> bool:
        """What fails now is a reload, and the earlier version may still serve."""
        return bool(self.earlier)


@dataclass(slots=True)
class LoadLog:
    """`attempts` by model, in the order of their first line."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    serving: int | None = None
    """Line at which the server said that its ports are open."""
    no_server: int | None = None
    """Line at which it gave up starting."""
    life: int = 0
    """Line at which the life of the server began that serves now: what stands before it is over."""
    no_repository: int | None = None
    """Line at which it said that a whole repository cannot be read; with --exit-on-error=false it serves all the same."""
    has_own: bool = False
    """Whether Triton's lines have their source in this log. A line without it is then anybody's: by itself it makes no model
    known."""

    def of(self, outcome: Outcome) -> list[Attempt]:
        return [attempt for attempt in self.attempts.values() if attempt.outcome == outcome]


@dataclass(frozen=True, slots=True)
class LoadLine:
    """What one line says of a load. Empty where it does not say: version, reason."""

    outcome: Outcome
    model: str
    version: str = ""
    reason: str = ""
    begins: bool = False
    at_once: bool = False


def load_line(record: Record) -> LoadLine | None:
    """What the line says of a load, if it says anything of one."""
    for event in _EVENTS:
        if (record.own or not event.own_only) and (found := event.pattern.search(record.text)):
            said = found.groupdict()
            version, reason = said.get("version") or "", said.get("reason") or ""
            return LoadLine(event.outcome, said["model"], version, reason, event.begins, event.at_once)
    return None


def begins_anew(record: Record) -> bool:
    """Whether a server begins to live with this line."""
    return _START.search(record.text) is not None


def serves(record: Record) -> bool:
    """Whether it says that a port is open, which Triton does once all models are loaded that it starts with."""
    return _SERVING.search(record.text) is not None


def read_attempts(records: Iterable[Record]) -> LoadLog:
    """The loads in these records."""
    records = list(records)
    log = LoadLog(has_own=any(record.own and record.level for record in records))
    began = 0
    for record in records:
        if record.row is not None:
            if record.own or not log.has_own or record.row[0] in log.attempts:
                _see_row(log, record, *record.row)
            continue
        if begins_anew(record):
            began = record.number
            _see_start(log)
        if serves(record):
            log.serving = record.number
            if record.own:
                _see_served(log, began)
        endpoint = record.own and record.source.startswith("main.cc") and _NO_ENDPOINT.search(record.text)
        if endpoint or _NO_SERVER.search(record.text):
            log.no_server = record.number
        if _NO_REPOSITORY.search(record.text):
            log.no_repository = record.number
        if said := load_line(record):
            if log.has_own and not record.own and said.outcome == "failed" and said.model not in log.attempts:
                continue
            if said.at_once:
                _see(log, record, "loading", said.model, "", "")
            _see(log, record, said.outcome, said.model, said.version, said.reason, begins=said.begins)
    return log


def model_of_instance(text: str, models: Container[str]) -> str | None:
    """The model whose instance (`M_0`, `M_0_1`) this line names; where names are alike, the longest."""
    found = _INSTANCE.search(text)
    return named_or_numbered(found["instance"], models) if found else None


def named_or_numbered(name: str, models: Container[str]) -> str | None:
    """The model of this name, or with numbers after it as its instances have; the longest that there is."""
    if len(name) > _LONGEST_NAME:
        return None
    while name not in models:
        name, number = name.rpartition("_")[::2]
        if not name or not number.isdecimal():
            return None
    return name


def _see_row(log: LoadLog, record: Record, model: str, version: str) -> None:
    state, _, reason = record.text.partition(":")
    match state.strip():
        case "READY":
            _see(log, record, "loaded", model, version, "")
        case "UNAVAILABLE" if reason.strip() and reason.strip() != "unloaded":
            _see(log, record, "failed", model, version, reason.strip())
        case "Not loaded":  # src/server.cc, PrintModels: a model of which no version was found
            _see(log, record, "failed", model, "", reason.strip())
        case "LOADING":
            _see(log, record, "loading", model, version, "")


def _see_start(log: LoadLog) -> None:
    """A new life of the server: nothing is loaded. How a load of the life before failed still tells something."""
    log.serving = None
    log.attempts = {name: attempt for name, attempt in log.attempts.items() if attempt.outcome != "loaded"}
    for attempt in log.attempts.values():
        attempt.earlier = set()


def _see_served(log: LoadLog, began: int) -> None:
    """The life that began there came up. A model that it did not speak of was taken out meanwhile."""
    log.life = began
    log.attempts = {name: attempt for name, attempt in log.attempts.items() if attempt.latest >= began}
    if log.no_repository is not None and log.no_repository < began:
        log.no_repository = None


def _see(
    log: LoadLog,
    record: Record,
    outcome: Outcome,
    model: str,
    version: str,
    reason: str,
    *,
    begins: bool = False,
) -> None:
    attempt = log.attempts.get(model)
    if attempt is None:
        attempt = log.attempts[model] = Attempt(model)
    match outcome:
        case "loading":
            _see_loading(log, attempt, record, version, begins=begins)
            return
        case "unloaded" if not _ends_serving(attempt, version):
            return
        case "failed" if attempt.outcome == "failed" and record.row is not None:
            reason = attempt.reason or reason  # the table repeats it
        case "failed" if attempt.outcome == "loaded":
            attempt.earlier, attempt.versions = attempt.earlier | attempt.versions, {version}
        case "loaded" if attempt.outcome == "failed" and (record.row or _is_other(version, attempt)):
            return  # another version of it
        case "loaded":
            attempt.versions = attempt.versions or {version}
    told = attempt.outcome == outcome == "failed" and reason.strip() in ("", attempt.reason)
    attempt.own = record.own or (attempt.own and attempt.outcome == outcome)
    attempt.outcome = outcome
    attempt.version = version or attempt.version
    attempt.reason = "" if outcome == "loaded" else (reason or attempt.reason).strip()
    attempt.ended = attempt.ended if attempt.ended and outcome == "failed" else record.number
    attempt.said = record.number
    if not told:  # what is said again says less: no reason, or no time
        attempt.last = record


def _see_loading(log: LoadLog, attempt: Attempt, record: Record, version: str, *, begins: bool) -> None:
    if attempt.outcome != "loading" or (begins and version in attempt.versions):  # anew
        earlier = attempt.earlier | (attempt.versions if attempt.outcome == "loaded" else set())
        attempt = log.attempts[attempt.model] = Attempt(attempt.model, earlier=earlier)
    attempt.version = version or attempt.version
    attempt.began = attempt.began or record.number
    attempt.versions.add(version)


def _ends_serving(attempt: Attempt, version: str) -> bool:
    """Whether this unload leaves the model unloaded. Triton unloads the earlier version once the next one is loaded, and when
    one version fails to load, the others of that load (core: src/model_lifecycle.cc, OnLoadComplete)."""
    if attempt.outcome == "failed" or (attempt.outcome == "loading" and attempt.began):
        return False
    if version in attempt.earlier:
        attempt.earlier.discard(version)
        return False
    attempt.versions -= {version, ""}
    return not attempt.versions


def _is_other(version: str, attempt: Attempt) -> bool:
    return bool(version and attempt.version and version != attempt.version)
