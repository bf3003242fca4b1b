"""The answer to an instant query: rows of labels and a number, as Prometheus, Thanos, Mimir and VictoriaMetrics give them.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-vectors
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from telemetry.prometheus_answer import Answer


@dataclass(frozen=True, slots=True)
class Vector:
    at: float | None
    """The second, by the server's clock, for which it was asked; None of an answer without rows."""
    labels: Sequence[Mapping[str, str]]
    numbers: Sequence[float]
    """Of the same rows, as they are: NaN and the infinities too."""
    warnings: tuple[str, ...]
    """Why rows may be missing."""
    size_bytes: int

    @property
    def rows(self) -> Iterable[tuple[Mapping[str, str], float]]:
        return zip(self.labels, self.numbers, strict=True)


# A hundred thousand rows a tick: as objects that the garbage collector looks at they made it stop everything for 0.2 s, each tick.
class _Value(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    at: float
    number: str


class _Row(msgspec.Struct, gc=False):
    metric: dict[str, str]
    value: _Value


_decoder = msgspec.json.Decoder(Answer[_Row])


def parse_vector(body: bytes) -> Vector:
    """Raises ValueError for anything else than an instant vector of numbers."""
    answer = _decoder.decode(body)
    rows = answer.rows("vector")
    numbers = array("d", (float(row.value.number) for row in rows))
    at = rows[0].value.at if rows else None
    return Vector(at, [row.metric for row in rows], numbers, answer.doubts, len(body))
