"""What happened to each request of one pod, by the load generator's and the test model's own records.

For request *i*: `sent` <= `entered` Triton's queue <= leaves it <= `started` <= `ended` <= `counted_by` Triton. An instance
is busy until its execution before has ended, and a batcher waits as long as it is told, so *i* certainly waits from entering
until then (`due`). What lies between `due` and `started` (front end, copying in, waking the model's process) is *unseen*: partly
in Triton's queue time and partly not.

`entered` is no earlier than `sent`, and no earlier than the sending of any request that was executed before: the queue is first
in, first out. Nor did any request enter before one to which the server said that it has no such model. It matters while a model
is loaded by call: the call holds one of Triton's HTTP threads, and requests on connections of that thread stand still before the
queue, seconds long, where no counter can see them. One that was sent during a call and not answered before the call ended may
have stood there for all of its time (`stood_still`).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.groundtruth.generator import Request

REPORT_SECONDS: Final = 0.01
"""Triton's Python backend counts a request just after it has sent the answer: a scheduler's slice or two on a busy machine."""
NO_SUCH_MODEL: Final = (400, 404)
NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Served:
    """A request that the model executed. Times in monotonic seconds."""

    number: int
    sent: float
    entered: float
    started: float
    ended: float
    counted_by: float
    """Triton has counted it by then: its answer was read, or its instance had begun another."""
    status: int | None
    free: float
    """When its instance had ended the execution before it; before all times for the instance's first."""
    due: float
    """Until when it certainly waited."""
    batch: int
    """How many requests were executed with it, itself among them."""
    stood_still: bool
    cached: bool = False
    """Answered and not executed."""

    @property
    def answered(self) -> bool:
        return self.status == 200

    @property
    def failed(self) -> bool:
        """The model raised: counted as a failure, and in no duration."""
        return self.status == 500

    @property
    def queued(self) -> float:
        return self.started - self.entered

    @property
    def executed(self) -> float:
        return self.ended - self.started

    @property
    def unseen(self) -> float:
        return self.queued if self.stood_still else self.started - self.due

    @property
    def reporting(self) -> float:
        """Seconds after executing that may count as computing."""
        return self.counted_by - self.ended


@dataclass(slots=True)
class Disturbance:
    """What was done to the server meanwhile, in monotonic seconds."""

    calls: list[tuple[float, float]] = field(default_factory=list)
    """From when until when a load or unload call ran."""
    removals: list[float] = field(default_factory=list)
    """When counters began to be taken away, by an unload or a crash."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How the model's dynamic batcher is told to wait; without one each execution is one request, at once."""

    most: int = 1
    delay_seconds: float = 0.0


ONE_BY_ONE: Final = Batching()


def read_lives(folder: Path) -> list[list[tuple[int, float, float]]]:
    """The model's records: one list for each life of an instance."""
    lives: dict[Path, list[tuple[int, float, float]]] = defaultdict(list)
    for file in folder.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            number, started, ended = json.loads(line)
            lives[file].append((number, started, ended))
    return list(lives.values())


def from_cache(request: Request) -> Served:
    """Counted at some moment between its sending and a little after its answer."""
    read = request.sent if request.done is None else request.done
    sent = request.sent
    return Served(
        request.number,
        sent,
        sent,
        sent,
        sent,
        read + REPORT_SECONDS,
        request.status,
        sent,
        sent,
        1,
        False,
        True,
    )


@dataclass(frozen=True, slots=True)
class _Execution:
    started: float
    ended: float
    numbers: tuple[int, ...]
    free: float
    following: float
    """When its instance began the next."""
    born: float
    """No request entered before."""


def _executions(
    lives: Iterable[Sequence[tuple[int, float, float]]], turned_away: Sequence[Request]
) -> list[_Execution]:
    """In the order of execution."""
    found: list[_Execution] = []
    for life in lives:
        ordered = sorted(life, key=lambda line: line[1])
        born = max((r.sent for r in turned_away if (r.done or 0.0) < ordered[0][1]), default=NEVER)
        batches = [list(lines) for _, lines in groupby(ordered, key=lambda line: line[1])]
        ends = [NEVER, *(batch[0][2] for batch in batches)]
        begins = [*(batch[0][1] for batch in batches[1:]), -NEVER]
        for batch, free, following in zip(batches, ends, begins, strict=False):
            numbers = tuple(number for number, _, _ in batch)
            found.append(_Execution(batch[0][1], batch[0][2], numbers, free, following, born))
    return sorted(found, key=lambda execution: execution.started)


def executed_requests(
    requests: Mapping[int, Request],
    lives: Iterable[Sequence[tuple[int, float, float]]],
    turned_away: Sequence[Request],
    disturbance: Disturbance,
    batching: Batching,
) -> Iterator[Served]:
    """The executed requests in the order of execution."""
    entered = NEVER
    for execution in _executions(lives, turned_away):
        members = sorted((requests[number] for number in execution.numbers), key=lambda request: request.sent)
        entries = []
        for request in members:
            entered = max(entered, request.sent, execution.born)
            entries.append(entered)
        waits = entries[0] + batching.delay_seconds
        if len(members) >= batching.most:
            waits = min(waits, entries[-1])
        for request, its_entry in zip(members, entries, strict=True):
            read = execution.ended if request.done is None else request.done
            yield Served(
                request.number,
                request.sent,
                its_entry,
                execution.started,
                execution.ended,
                max(execution.ended, min(read + REPORT_SECONDS, execution.following)),
                request.status,
                execution.free,
                min(execution.started, max(its_entry, execution.free, waits)),
                len(members),
                any(
                    begun <= request.sent <= over and read > over - REPORT_SECONDS
                    for begun, over in disturbance.calls
                ),
            )
