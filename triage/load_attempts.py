"""How each model's load went, by the log alone: begun, loaded, failed with a reason, and what else was said meanwhile.

The lines are of triton-inference-server/core: src/model_lifecycle.cc and src/model_repository_manager (before 21.10 all
in model_repository_manager.cc), the table of models of src/server.cc, and TRITONBACKEND_ModelInitialize,
which every backend prints."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from triage.log_records import Record

Outcome = Literal["loading", "loaded", "failed", "unloaded"]

_NAME = r"'(?P<model>[^'\n]+)'"
_EVENTS: Sequence[tuple[Outcome, re.Pattern[str]]] = (
    ("loading", re.compile(r"(?:re-)?loading: (?P<model>[^\s:][^:\n]*):(?P<version>\d+)")),
    (
        "loading",
        re.compile(r"TRITONBACKEND_ModelInitialize: (?P<model>[^\s(]+) \(version (?P<version>\d+)\)"),
    ),
    ("loaded", re.compile(rf"successfully loaded {_NAME}(?: version (?P<version>\d+))?")),
    ("unloaded", re.compile(rf"successfully unloaded {_NAME}(?: version (?P<version>\d+))?")),
    (
        "failed",
        re.compile(
            rf"[Ff]ailed to load (?:model )?{_NAME}(?: version (?P<version>\d+))?(?::\s*(?P<reason>.*))?",
            re.S,
        ),
    ),
    ("failed", re.compile(rf"Poll failed for model directory {_NAME}:\s*(?P<reason>.*)", re.S)),
    (
        "failed",
        re.compile(
            rf"load failed for model {_NAME}: version (?P<version>\d+) is at UNAVAILABLE state:\s*(?P<reason>.*)",
            re.S,
        ),
    ),
)
_INSTANCE = re.compile(r"TRITONBACKEND_ModelInstanceInitialize: (?P<instance>\S+) \(")
_SERVING = re.compile(r"Started (?:HTTPService|GRPCInferenceService|Metrics Service) at")
_NO_REPOSITORY = re.compile(r"failed to poll model repository '")
_NO_SERVER = re.compile(r"error: creating server: |^failed to load all models|No server context available")


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
    last: Record | None = None
    """The record of the outcome."""
    loaded_before: bool = False
    """An earlier load of it succeeded: what fails now is a reload, and the earlier version may still serve."""


@dataclass(slots=True)
class LoadLog:
    """`attempts` by model, in the order of their first line."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    serving: int | None = None
    """Line at which the server said that its ports are open."""
    no_server: int | None = None
    """Line at which it gave up starting."""
    no_repository: int | None = None
    """Line at which it said that a whole repository cannot be read; with --exit-on-error=false it serves all the same."""

    def of(self, outcome: Outcome) -> list[Attempt]:
        return [attempt for attempt in self.attempts.values() if attempt.outcome == outcome]


def read_attempts(records: Iterable[Record]) -> LoadLog:
    """The loads in these records."""
    log = LoadLog()
    for record in records:
        if record.row is not None:
            _see_row(log, record, *record.row)
            continue
        if _SERVING.search(record.text):
            log.serving = record.number
        if _NO_SERVER.search(record.text):
            log.no_server = record.number
        if _NO_REPOSITORY.search(record.text):
            log.no_repository = record.number
        for outcome, pattern in _EVENTS:
            if found := pattern.search(record.text):
                said = found.groupdict()
                _see(log, record, outcome, said["model"], said.get("version") or "", said.get("reason") or "")
                break
    return log


def model_of_instance(text: str, models: Iterable[str]) -> str | None:
    """The model whose instance (`M_0`, `M_0_1`) this line names."""
    found = _INSTANCE.search(text)
    if found is None:
        return None
    named = [model for model in models if re.fullmatch(re.escape(model) + r"(?:_\d+)*", found["instance"])]
    return max(named, key=len, default=None)


def _see_row(log: LoadLog, record: Record, model: str, version: str) -> None:
    state, _, reason = record.text.partition(":")
    match state.strip():
        case "READY":
            _see(log, record, "loaded", model, version, "")
        case "UNAVAILABLE" if reason.strip() and reason.strip() != "unloaded":
            _see(log, record, "failed", model, version, reason.strip())
        case "LOADING":
            _see(log, record, "loading", model, version, "")


def _see(log: LoadLog, record: Record, outcome: Outcome, model: str, version: str, reason: str) -> None:
    attempt = log.attempts.get(model)
    if attempt is None:
        attempt = log.attempts[model] = Attempt(model)
    if outcome == "loading":
        if attempt.outcome != "loading":  # anew
            loaded = attempt.loaded_before or attempt.outcome == "loaded"
            attempt = log.attempts[model] = Attempt(model, loaded_before=loaded)
        attempt.version = version or attempt.version
        attempt.began = attempt.began or record.number
        return
    if outcome == "failed" and attempt.outcome == "failed" and record.row is not None:
        reason = attempt.reason or reason  # the table repeats it
    if outcome == "loaded" and attempt.outcome == "failed" and record.row is not None:
        return  # another version of it
    if outcome == "failed" and attempt.outcome == "loaded":
        attempt.loaded_before = True
    attempt.outcome = outcome
    attempt.version = version or attempt.version
    attempt.reason = (reason or attempt.reason).strip()
    attempt.own = attempt.own or record.own
    attempt.ended = attempt.ended if attempt.ended and outcome == "failed" else record.number
    attempt.last = record
