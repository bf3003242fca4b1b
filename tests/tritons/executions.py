"""The ground truth: what the test models really executed, written by themselves, apart from every counter of
Triton.

Each execution appends a line when it starts and one when it ends to a file of its model instance in the
folder named by `$TRITON_GROUND_TRUTH`. Standard library only: models import it inside Triton's Python
stub."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER_VARIABLE = "TRITON_GROUND_TRUTH"


@dataclass(frozen=True)
class Execution:
    """One call of a model's execute(), or one decoupled request's work. Times in nanoseconds; ends are None
    while it runs."""

    model: str
    version: str
    instance: str
    requests: int
    started_ns: int
    """CLOCK_MONOTONIC, comparable with `time.monotonic_ns()` of every process on this machine."""
    ended_ns: int | None
    started_at_ns: int
    """CLOCK_REALTIME."""
    ended_at_ns: int | None


class Recorder:
    """Writes one model instance's executions."""

    def __init__(self, model: str, version: str, instance: str) -> None:
        folder = Path(os.environ[FOLDER_VARIABLE])
        self._identity = {"model": model, "version": version, "instance": instance}
        # The process id keeps apart the same instance before and after a reload or restart.
        self._file = folder / f"{instance}.{version}.{os.getpid()}.jsonl"
        self._next = 0

    @contextmanager
    def execution(self, requests: int) -> Iterator[None]:
        """Around the work on `requests` requests; an exception ends the execution like a return does."""
        number, self._next = self._next, self._next + 1
        self._append({"id": number, "event": "start", "requests": requests, **self._identity})
        try:
            yield
        finally:
            self._append({"id": number, "event": "end"})

    def _append(self, line: dict[str, object]) -> None:
        clocks = {"monotonic_ns": time.monotonic_ns(), "realtime_ns": time.time_ns()}
        with self._file.open("a") as record:  # one write of a short line: whole for a reader beside it
            record.write(json.dumps(line | clocks) + "\n")


def read_executions(folder: Path) -> list[Execution]:
    """Everything recorded in `folder`, by start."""
    found = []
    for file in folder.glob("*.jsonl"):
        starts: dict[int, dict[str, object]] = {}
        ends: dict[int, dict[str, object]] = {}
        for text in file.read_text().splitlines():
            line = json.loads(text)
            (starts if line["event"] == "start" else ends)[line["id"]] = line
        found += [_execution(start, ends.get(number)) for number, start in starts.items()]
    return sorted(found, key=lambda execution: execution.started_ns)


def _execution(start: dict[str, object], end: dict[str, object] | None) -> Execution:
    return Execution(
        model=str(start["model"]),
        version=str(start["version"]),
        instance=str(start["instance"]),
        requests=_integer(start["requests"]),
        started_ns=_integer(start["monotonic_ns"]),
        ended_ns=_integer(end["monotonic_ns"]) if end else None,
        started_at_ns=_integer(start["realtime_ns"]),
        ended_at_ns=_integer(end["realtime_ns"]) if end else None,
    )


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"not an integer in a ground-truth record: {value!r}")
    return value
