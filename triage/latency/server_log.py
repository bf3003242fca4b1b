"""What Triton's own log tells of a server, and when: loads and unloads from their begin to their end, backend processes that died,
allocations that failed, the server's stop. Pure.

Only lines that carry the source file of the server or of a library within it count: what else is in a log, anybody may have
printed. The lines are of triton-inference-server/core: src/model_lifecycle.cc (loads; see `load_attempts`) and src/server.cc
(`Waiting for in-flight requests`), of server: src/http_server.cc and src/grpc/ (`Started ... at`), and of python_backend:
src/python_be.cc (`Stub process ... is not healthy`). Memory: ONNX Runtime's onnxruntime/core/framework/bfc_arena.cc, CUDA's
and PyTorch's words, which backends pass on in their errors."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from triage.evidence import LogLine
from triage.load_attempts import LoadLine, begins_anew, load_line, serves
from triage.log_records import Record, read_records
from triage.log_time import seconds_of, time_of

Kind = Literal["load", "unload", "backend_death", "out_of_memory", "stop"]

_UNLOADING = re.compile(r"^unloading: (?P<model>[^\s:][^:\n]*):(?P<version>\d+)\s*$")
_STOPS = re.compile(r"^Waiting for in-flight requests to complete")
_STUB = re.compile(r"Stub process (?:'(?P<instance>[^'\n]+)' )?is not healthy")
_INSTANCE = re.compile(r"(?:_\d+){1,2}$")
"""What follows a model's name in that of its instance, where its group has no name of its own: Triton 2.51 calls
those of `m` m_0_0 and m_0_1."""
_MEMORY = re.compile(
    r"CUDA(?: error:)? out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|Failed to allocate memory for requested buffer of size|Available memory of \d+ is smaller than requested"
    r"|cuda(?:Malloc|MallocAsync)\b[^\n]{0,200}out of memory|CUDNN_STATUS_ALLOC_FAILED|CUBLAS_STATUS_ALLOC_FAILED"
)
_KNOWN = re.compile(
    "|".join(
        (
            r"Stub process |Waiting for in-flight requests|Started (?:HTTPService|GRPCInferenceService|Metrics Service) at",
            r"== Triton Inference Server ==|inned memory pool",
            _MEMORY.pattern,
        )
    )
)


@dataclass(frozen=True, slots=True)
class Told:
    """Something that took from `began` to `ended`, seconds since 1970; what has no length ended as it began."""

    kind: Kind
    began: float
    ended: float
    says: str
    model: str = ""
    """Of a dead process: its instance's group, which may have a name of its own."""
    version: str = ""
    reason: str = ""
    """Of a load that failed."""
    open: bool = False
    """It was not seen to end."""


def is_known(line: str) -> bool:
    """Whether a line, besides those about loads and errors, is one that `read_server_log` looks for."""
    return _KNOWN.search(line) is not None


def read_server_log(lines: Iterable[LogLine], fetched_at: str, *, over: bool = False) -> list[Told]:
    """What these lines tell, in the order of its begin. `fetched_at`: when they were read, RFC 3339: it gives glog's stamps their
    year, and what has not ended lasts till then; unless it is `over`: of a process that has ended."""
    reader = _Reader(seconds_of(fetched_at))
    for record in read_records((line.number, line.text) for line in lines):
        if (at := time_of(record.lines[0], reader.fetched)) is not None:
            reader.see(record, at)
    return sorted(reader.close(over=over), key=lambda told: (told.began, told.ended))


@dataclass
class _Reader:
    fetched: float | None
    told: list[Told] = field(default_factory=list)
    last: float = 0.0
    _loads: dict[tuple[str, str], float] = field(default_factory=dict)
    _unloads: dict[tuple[str, str], float] = field(default_factory=dict)
    _again: dict[tuple[Kind, str], int] = field(default_factory=dict)
    """Where in `told` what is said once for each request stands."""
    _life: int = 0
    """How much of `told` is of earlier lives of the server."""
    _starting: bool = False
    _stopping: bool = False

    def see(self, record: Record, at: float) -> None:
        self.last = max(self.last, at)
        if begins_anew(record):
            self._end_life(at)
            self._starting = True
        elif not record.own or record.row is not None:
            return
        elif serves(record):
            self._forget_start()
        elif _STOPS.search(record.text):
            self._stopping = True
            self._add("stop", at, at, "Triton begins to stop")
        elif found := load_line(record):
            self._see_load(found, at)
        elif unloading := _UNLOADING.search(record.text):
            self._unloads[unloading["model"], unloading["version"]] = at
        elif stub := _STUB.search(record.text):
            self._see_again("backend_death", stub["instance"] or "a model", at)
        elif _MEMORY.search(record.text):
            self._see_again("out_of_memory", record.source.partition(":")[0], at)

    def close(self, *, over: bool) -> list[Told]:
        if self._starting:
            self._forget_start()
        until = self.last if over or self.fetched is None else max(self.last, self.fetched)
        self._end_life(until)
        return self.told

    def _see_load(self, line: LoadLine, at: float) -> None:
        model, version = line.model, line.version
        match line.outcome:
            case "loading" if line.begins:
                self._loads[model, version] = at
            case "loaded":
                begun = self._close(
                    self._loads, model, line.version if (model, version) in self._loads else ""
                )
                self._load_ended(model, begun, at, "loads" if begun else "is loaded")
            case "failed" if version or any(name == model for name, _ in self._loads):
                begun = self._close(self._loads, model, version)
                self._load_ended(
                    model, begun or {(model, version): at}, at, "fails to load", line.reason.strip()
                )
            case "unloaded" if not self._stopping:  # a server that stops unloads them all
                began = self._unloads.pop((model, version), None)
                self._add("unload", at if began is None else began, at, "is unloaded", model, version)
            case _:
                return

    def _load_ended(
        self, model: str, begun: dict[tuple[str, str], float], at: float, says: str, reason: str = ""
    ) -> None:
        _, version = min(begun, key=lambda key: begun[key], default=("", ""))
        self.told.append(Told("load", min(begun.values(), default=at), at, says, model, version, reason))

    @staticmethod
    def _close(open_: dict[tuple[str, str], float], model: str, version: str) -> dict[tuple[str, str], float]:
        """The loads of the model, or of one version of it, that are over now: success is told once for all versions."""
        over = {key: at for key, at in open_.items() if key[0] == model and version in ("", key[1])}
        for key in over:
            del open_[key]
        return over

    def _see_again(self, kind: Kind, who: str, at: float) -> None:
        """What is said once for each request: from the first time to the last."""
        place = self._again.get((kind, who))
        if place is not None:
            self.told[place] = replace(self.told[place], ended=at)
            return
        self._again[kind, who] = len(self.told)
        if kind == "backend_death":
            self._add(kind, at, at, f"the process of {who} is dead", _INSTANCE.sub("", who))
        else:
            self._add(kind, at, at, f"{who} cannot allocate memory")

    def _forget_start(self) -> None:
        """What a server loads before it serves holds up no request of its own."""
        kept = [told for place, told in enumerate(self.told) if place < self._life or told.kind != "load"]
        self.told, self._again = kept, {}
        self._loads.clear()
        self._starting = False

    def _end_life(self, at: float) -> None:
        """What had begun and was not seen to end: it went on till then."""
        for (model, version), began in self._loads.items():
            self.told.append(Told("load", began, at, "begins to load", model, version, open=True))
        self._loads.clear()
        self._unloads.clear()
        self._again.clear()
        self._life = len(self.told)
        self._stopping = False

    def _add(
        self, kind: Kind, began: float, ended: float, says: str, model: str = "", version: str = ""
    ) -> None:
        self.told.append(Told(kind, began, ended, says, model, version))
