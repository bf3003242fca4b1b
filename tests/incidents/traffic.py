"""What users send: streams of requests, and the schedule that a seed makes of them."""

import enum
import random
from collections.abc import Iterable
from dataclasses import dataclass


class Arrivals(enum.Enum):
    EVEN = "at even distances"
    POISSON = "independent of each other"
    BURSTS = "many at once, in even distances"


@dataclass(frozen=True)
class Stream:
    """Requests of one kind, sent without waiting for answers."""

    per_second: float
    work_ms: float = 40
    kind: str = "user"
    model: str = "ranker"
    arrivals: Arrivals = Arrivals.POISSON
    burst: int = 1
    """Requests that arrive together, where they arrive in bursts."""
    heavy_share: float = 0.0
    heavy_ms: float = 0.0
    numbers: int = 2
    """In a request's tensor: its size."""
    keys: int = 0
    """Distinct requests; 0: no two are the same."""
    batch_sizes: tuple[int, ...] = ()
    """Of the client's own batches, in turn; empty: the model takes none, or batches of 1."""
    batched: bool = False
    """The model has a batch dimension."""
    priority: int = 0
    sequence_length: int = 0
    """Requests of a sequence; 0: no sequences."""
    sequences_end: bool = True
    """False: the last request of a sequence does not say that it is the last."""
    timeout_seconds: float = 10.0
    retries: int = 0
    retry_after_seconds: float = 0.2


@dataclass(frozen=True)
class Due:
    """One request of a schedule."""

    at: float
    """Seconds after the schedule began."""
    stream: Stream
    number: int
    """Within its stream."""
    work_ms: float
    key: int
    batch_size: int


def schedule(streams: Iterable[Stream], seconds: float, *, seed: str) -> list[Due]:
    """Every request of `seconds`, by when it is due; the same for the same seed."""
    dues = []
    for index, stream in enumerate(streams):
        dice = random.Random(f"{seed}/{index}")
        dues += [_due(stream, number, at, dice) for number, at in enumerate(_times(stream, seconds, dice))]
    return sorted(dues, key=lambda due: due.at)


def _times(stream: Stream, seconds: float, dice: random.Random) -> list[float]:
    if stream.arrivals is Arrivals.POISSON:
        times, at = [], dice.expovariate(stream.per_second)
        while at < seconds:
            times.append(at)
            at += dice.expovariate(stream.per_second)
        return times
    together = stream.burst if stream.arrivals is Arrivals.BURSTS else 1
    count = int(stream.per_second * seconds) // together
    return [index * together / stream.per_second for index in range(count) for _ in range(together)]


def _due(stream: Stream, number: int, at: float, dice: random.Random) -> Due:
    heavy = dice.random() < stream.heavy_share
    return Due(
        at=at,
        stream=stream,
        number=number,
        work_ms=stream.heavy_ms if heavy else stream.work_ms,
        key=number % stream.keys if stream.keys else number + 1,
        batch_size=stream.batch_sizes[number % len(stream.batch_sizes)] if stream.batch_sizes else 1,
    )
